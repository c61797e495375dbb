/* catalog.c: opening, checking and verifying catalog.db; see catalog.h. The file is untrusted: it
 * may be damaged or made by somebody else, so its schema must be ours to the letter before it is
 * used. */
#include "indexer/catalog_private.h"

#include "indexer/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char sx_schema_sql[]; /* schema.sql, made by the build */

/* ---- errors and statements ------------------------------------------------------------------ */

int sx_catalog_fail(sx_catalog *catalog, char *err, size_t errlen)
{
    const char *path = SX_SHOW(catalog->path);
    const char *says = SX_SHOW(catalog->db ? sqlite3_errmsg(catalog->db) : "no memory");

    switch (catalog->db ? sqlite3_errcode(catalog->db) & 0xff : SQLITE_NOMEM) {
    case SQLITE_FULL:
        return sx_index_fail(
            err, errlen, -ENOSPC,
            "E-DISK-FULL: no room for %s; what was committed is kept; free some and run it "
            "again",
            path);
    case SQLITE_NOMEM:
        return sx_index_fail(err, errlen, -ENOMEM,
                             "E-RAM: no memory for %s; what was committed is kept; free some",
                             path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return sx_index_fail(
            err, errlen, -EBUSY,
            "E-BUSY: another process holds %s; what was committed is kept; run it again", path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return sx_index_fail(
            err, errlen, -EIO,
            "E-INDEX-BAD: %s is damaged (%s); the repository is untouched; sparsex forget, "
            "then index again",
            path, says);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return sx_index_fail(
            err, errlen, -EIO,
            "E-IO: %s (%s); what was committed is kept; look at the disk and permissions", path,
            says);
    default:
        return sx_index_fail(err, errlen, -ENOTRECOVERABLE,
                             "E-BUG: %s: %s; what was committed is kept; please report it", path,
                             says);
    }
}

int sx_catalog_damaged(char *err, size_t errlen)
{
    return sx_index_fail(
        err, errlen, -EIO,
        "E-INDEX-BAD: a row of catalog.db does not unpack; the repository is untouched; "
        "sparsex forget, then index again");
}

int sx_catalog_prepare(sqlite3_stmt **out, sx_catalog *catalog, const char *sql, char *err,
                       size_t errlen)
{
    *out = NULL;
    if (sqlite3_prepare_v2(catalog->db, sql, -1, out, NULL) != SQLITE_OK)
        return sx_catalog_fail(catalog, err, errlen);
    return 0;
}

int sx_catalog_step(sx_catalog *catalog, sqlite3_stmt *statement, char *err, size_t errlen)
{
    int sql = sqlite3_step(statement);

    if (sql == SQLITE_ROW)
        return 1;
    return sql == SQLITE_DONE ? 0 : sx_catalog_fail(catalog, err, errlen);
}

static int run_sql(sx_catalog *catalog, const char *sql, char *err, size_t errlen)
{
    if (sqlite3_exec(catalog->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sx_catalog_fail(catalog, err, errlen);
    return 0;
}

/* The one number a query gives. */
static int number_of(sx_catalog *catalog, const char *sql, int64_t *number, char *err,
                     size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    int rc;

    *number = 0;
    if ((rc = sx_catalog_prepare(&statement, catalog, sql, err, errlen)) == 0 &&
        (rc = sx_catalog_step(catalog, statement, err, errlen)) > 0)
        *number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc < 0 ? rc : 0;
}

int sx_catalog_begin(sx_catalog *catalog, char *err, size_t errlen)
{
    return run_sql(catalog, "BEGIN IMMEDIATE", err, errlen);
}

int sx_catalog_commit(sx_catalog *catalog, char *err, size_t errlen)
{
    return run_sql(catalog, "COMMIT", err, errlen);
}

bool sx_catalog_read_begin(sx_catalog *catalog)
{
    return sqlite3_get_autocommit(catalog->db) &&
           sqlite3_exec(catalog->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
}

void sx_catalog_read_end(sx_catalog *catalog, bool begun)
{
    if (begun && !sqlite3_get_autocommit(catalog->db))
        sqlite3_exec(catalog->db, "COMMIT", NULL, NULL, NULL);
}

void sx_catalog_rollback(sx_catalog *catalog)
{
    if (sqlite3_get_autocommit(catalog->db))
        return;
    sqlite3_exec(catalog->db, "ROLLBACK", NULL, NULL, NULL);
    memset(catalog->names, 0, NAME_CACHE * sizeof *catalog->names);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* page_size is for a file that is made: a segment has about 3 KB of tokens, and four times the
 * usual page wastes a sixth less behind them. */
static const char connection_sql[] = "PRAGMA page_size = 16384;"
                                     "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                                     "PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON;"
                                     "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -32768; PRAGMA journal_mode = DELETE;";

/* The text of the schema in `db`, malloc'ed; *out NULL where it cannot be read. */
static int schema_text(sqlite3 *db, char **out)
{
    static const char sql[] =
        "SELECT group_concat(type || ' ' || name || ' ' || coalesce(sql, ''), char(10))"
        " FROM (SELECT type, name, sql FROM sqlite_schema ORDER BY type, name)";
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    *out = NULL;
    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);

        rc = (*out = strdup(text ? text : "")) ? SQLITE_OK : SQLITE_NOMEM;
    }
    sqlite3_finalize(statement);
    return rc;
}

/* 0: the schema is ours; 1: another; negative. */
static int compare_schema(sx_catalog *catalog, char *err, size_t errlen)
{
    sqlite3 *memory = NULL;
    char *ours = NULL, *theirs = NULL;
    int rc = 0;

    if (sqlite3_open(":memory:", &memory) != SQLITE_OK ||
        sqlite3_exec(memory, sx_schema_sql, NULL, NULL, NULL) != SQLITE_OK ||
        schema_text(memory, &ours) != SQLITE_OK)
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for the schema; free some");
    else if (schema_text(catalog->db, &theirs) != SQLITE_OK)
        rc = sx_catalog_fail(catalog, err, errlen);
    else
        rc = strcmp(ours, theirs) != 0;
    sqlite3_close(memory);
    free(ours);
    free(theirs);
    return rc;
}

static int create_schema(sx_catalog *catalog, char *err, size_t errlen)
{
    char *sql = NULL;
    int64_t pages = 0;
    int rc;

    if (asprintf(&sql, "%sPRAGMA application_id = %d; PRAGMA user_version = %d;", sx_schema_sql,
                 SX_CATALOG_APPLICATION_ID, SX_CATALOG_VERSION) < 0) {
        sql = NULL;
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for the schema; free some");
        goto out;
    }
    if ((rc = sx_catalog_begin(catalog, err, errlen)) < 0 ||
        (rc = number_of(catalog, "SELECT count(*) FROM sqlite_schema", &pages, err, errlen)) < 0)
        goto out;
    if (pages == 0 &&
        (rc = run_sql(catalog, sql, err, errlen)) < 0) /* else another process was first */
        goto out;
    rc = sx_catalog_commit(catalog, err, errlen);
out:
    if (rc < 0)
        sx_catalog_rollback(catalog);
    free(sql);
    return rc;
}

/* Is what was opened a catalogue of this version? 1: no (err[] says why). */
static int check(sx_catalog *catalog, char *err, size_t errlen)
{
    int64_t pages = 0, id = 0, version = 0;
    int rc;

    if ((rc = number_of(catalog, "PRAGMA page_count", &pages, err, errlen)) < 0)
        return rc;
    if (pages == 0 && (rc = create_schema(catalog, err, errlen)) < 0)
        return rc;
    if ((rc = number_of(catalog, "PRAGMA application_id", &id, err, errlen)) < 0 ||
        (rc = number_of(catalog, "PRAGMA user_version", &version, err, errlen)) < 0)
        return rc;
    if (id == SX_CATALOG_APPLICATION_ID && version > SX_CATALOG_VERSION)
        return sx_index_fail(
            err, errlen, -EIO,
            "E-INDEX-NEWER: %s is of a newer version of sparsex; it was left as it is; use "
            "that version or sparsex forget",
            SX_SHOW(catalog->path));
    if (id != SX_CATALOG_APPLICATION_ID || version != SX_CATALOG_VERSION)
        return sx_index_fail(err, errlen, 1, "%s is no catalogue of this version",
                             SX_SHOW(catalog->path));
    if ((rc = compare_schema(catalog, err, errlen)) > 0)
        return sx_index_fail(err, errlen, 1, "%s has a schema that is not ours",
                             SX_SHOW(catalog->path));
    return rc;
}

/* SQLite makes files with the mode of the umask: an absent catalogue is made here, 0600. Never
 * opened once it exists: closing a descriptor of ours would drop SQLite's locks. */
static int make_file(const char *path, char *err, size_t errlen)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) == 0) {
        if (S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1)
            return chmod(path, 0600) == 0 ? 0 : -EIO;
        return sx_index_fail(err, errlen, S_ISDIR(st.st_mode) ? -EIO : 1,
                             "E-IO: %s is no file of our own; it was left as it is; remove it",
                             SX_SHOW(path));
    }
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST
                   ? 0 /* another process was first */
                   : sx_index_fail(
                         err, errlen, errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO,
                         "E-IO: %s cannot be made (%s); nothing was kept; look at the disk and "
                         "permissions",
                         SX_SHOW(path), strerror(errno));
    fchmod(fd, 0600);
    close(fd);
    return 0;
}

int sx_catalog_open(sx_catalog **out, const char *directory, char *err, size_t errlen)
{
    sx_catalog *catalog = NULL;
    int rc;

    *out = NULL;
    if (!(catalog = calloc(1, sizeof *catalog)) ||
        !(catalog->names = calloc(NAME_CACHE, sizeof *catalog->names)) ||
        asprintf(&catalog->path, "%s/catalog.db", directory) < 0) {
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for the catalogue; free some");
        goto out;
    }
    if ((rc = make_file(catalog->path, err, errlen)) != 0)
        goto out;
    if (sqlite3_open_v2(catalog->path, &catalog->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        rc = sx_catalog_fail(catalog, err, errlen);
        goto out;
    }
    sqlite3_busy_timeout(catalog->db, 5000);
    sqlite3_db_config(catalog->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(catalog->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(catalog->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    if ((rc = run_sql(catalog, connection_sql, err, errlen)) == 0)
        rc = check(catalog, err, errlen);
    if (rc == -EIO && (sqlite3_errcode(catalog->db) == SQLITE_NOTADB ||
                       sqlite3_errcode(catalog->db) == SQLITE_CORRUPT))
        rc = 1;
    if (rc == 0) {
        *out = catalog;
        catalog = NULL;
    }
out:
    sx_catalog_close(catalog);
    return rc;
}

void sx_catalog_close(sx_catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; i < PUT_COUNT; i++)
        sqlite3_finalize(catalog->put[i]);
    sqlite3_close(catalog->db);
    free(catalog->names);
    free(catalog->path);
    free(catalog);
}

int sx_catalog_set_aside(const char *directory, char *err, size_t errlen)
{
    char *from = NULL, *to = NULL, *journal = NULL;
    int rc = -EIO;

    if (asprintf(&from, "%s/catalog.db", directory) < 0 ||
        asprintf(&journal, "%s/catalog.db-journal", directory) < 0) {
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a path; free some");
        goto out;
    }
    for (int i = 1; i < 1000 && rc == -EIO; i++) {
        struct stat st;

        free(to);
        if (asprintf(&to, "%s.bad-%d", from, i) < 0) {
            to = NULL;
            break;
        }
        if (lstat(to, &st) < 0 && errno == ENOENT) {
            unlink(journal); /* it belongs to what is set aside, and must not be played into the
                                next */
            rc = rename(from, to) == 0 || errno == ENOENT ? 0 : -EIO;
            break;
        }
    }
    if (rc < 0)
        sx_index_fail(
            err, errlen, rc,
            "E-IO: %s cannot be set aside (%s); it was left as it is; sparsex forget removes it",
            SX_SHOW(from), strerror(errno));
out:
    free(from);
    free(to);
    free(journal);
    return rc;
}

/* ---- verifying ------------------------------------------------------------------------------ */

static int violated(const char *what, size_t n, const char *row, char *err, size_t errlen)
{
    return sx_index_fail(
        err, errlen, -EIO,
        "E-INDEX-BAD: the catalogue breaks: %.*s (%s); the repository is untouched; sparsex "
        "forget, then index again",
        (int)n, what, SX_SHOW(row));
}

/* Runs a query that must return no row, or, for PRAGMA integrity_check, the row "ok". */
static int expect_none(sx_catalog *catalog, const char *sql, const char *what, size_t n_what,
                       char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    int rc;

    if ((rc = sx_catalog_prepare(&statement, catalog, sql, err, errlen)) == 0 &&
        (rc = sx_catalog_step(catalog, statement, err, errlen)) > 0) {
        const char *row = (const char *)sqlite3_column_text(statement, 0);

        rc = row && strcmp(row, "ok") == 0 ? 0
                                           : violated(what, n_what, row ? row : "", err, errlen);
    }
    sqlite3_finalize(statement);
    return rc;
}

/* The invariants in the text of schema.sql: "-- I1: words", then "--> SQL" lines up to a ';'. */
static int check_invariants(sx_catalog *catalog, char *err, size_t errlen)
{
    sx_bytes sql = {0};
    const char *what = "", *line = sx_schema_sql;
    size_t n_what = 0;
    int rc = 0;

    while (rc == 0 && *line) {
        const char *end = strchr(line, '\n');
        size_t n = (size_t)(end - line);

        if (n > 4 && strncmp(line, "-- I", 4) == 0 && line[4] >= '0' && line[4] <= '9') {
            what = line + 3;
            n_what = n - 3;
        } else if (n > 4 && strncmp(line, "--> ", 4) == 0) {
            sx_bytes_put(&sql, line + 3, n - 3);
            if (line[n - 1] == ';') {
                sx_bytes_put(&sql, "", 1);
                rc = sql.failed
                         ? -ENOMEM
                         : expect_none(catalog, (const char *)sql.at, what, n_what, err, errlen);
                sql.n = 0;
            }
        }
        line = end + 1;
    }
    sx_bytes_free(&sql);
    return rc;
}

/* I14, for one revision. */
static int check_list(sx_catalog *catalog, sqlite3_stmt *revision, sqlite3_stmt *file, char *err,
                      size_t errlen)
{
    static const char what[] = "I14: the files of a complete commit are there and cut";
    const uint8_t *list = sqlite3_column_blob(revision, 2);
    size_t n_list = (size_t)sqlite3_column_bytes(revision, 2), at = 0;
    int64_t id = 0, files = 0, skipped = 0;
    int rc;

    while ((rc = sx_unpack_file(&id, list, n_list, &at)) > 0) {
        sqlite3_reset(file);
        sqlite3_bind_int64(file, 1, id);
        sqlite3_bind_int64(file, 2, sqlite3_column_int64(revision, 1));
        if ((rc = sx_catalog_step(catalog, file, err, errlen)) < 0)
            return rc;
        if (rc == 0 || sqlite3_column_int(file, 1))
            return violated(what, sizeof what - 1, "a file", err, errlen);
        files += sqlite3_column_int(file, 0);
        skipped += !sqlite3_column_int(file, 0);
    }
    if (rc < 0 || files != sqlite3_column_int64(revision, 3) ||
        skipped != sqlite3_column_int64(revision, 4))
        return violated(what, sizeof what - 1, "their number", err, errlen);
    return 0;
}

static int check_lists(sx_catalog *catalog, char *err, size_t errlen)
{
    sqlite3_stmt *revision = NULL, *file = NULL;
    int rc;

    if ((rc = sx_catalog_prepare(
             &revision, catalog,
             "SELECT id, text, files, n_files, n_skipped FROM revision WHERE complete", err,
             errlen)) < 0 ||
        (rc = sx_catalog_prepare(
             &file, catalog,
             "SELECT f.blob IS NOT NULL, f.blob IS NOT NULL AND c.file IS NULL FROM file f"
             " LEFT JOIN cut c ON c.file = f.id AND c.text = ?2 WHERE f.id = ?1",
             err, errlen)) < 0)
        goto out;
    while ((rc = sx_catalog_step(catalog, revision, err, errlen)) > 0)
        if ((rc = check_list(catalog, revision, file, err, errlen)) < 0)
            break;
out:
    sqlite3_finalize(revision);
    sqlite3_finalize(file);
    return rc;
}

/* I17. */
static int check_words(sx_catalog *catalog, char *err, size_t errlen)
{
    static const char what[] = "I17: the words of a blob unpack";
    sqlite3_stmt *row = NULL;
    sx_word *words = malloc(SX_UNIT_WORDS * sizeof *words);
    int rc;

    if (!words) {
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for words; free some");
        goto out;
    }
    if ((rc = sx_catalog_prepare(&row, catalog,
                                 "SELECT w.words, b.size FROM words w JOIN blob b ON b.id = w.blob",
                                 err, errlen)) < 0)
        goto out;
    while ((rc = sx_catalog_step(catalog, row, err, errlen)) > 0) {
        const uint8_t *packed = sqlite3_column_blob(row, 0);
        size_t n = (size_t)sqlite3_column_bytes(row, 0), at = 0;
        int64_t size = sqlite3_column_int64(row, 1);
        sx_unit unit = {0};

        while ((rc = sx_unpack_unit(&unit, words, size, packed, n, &at)) > 0)
            ;
        if (rc < 0) {
            rc = violated(what, sizeof what - 1, "a unit", err, errlen);
            break;
        }
    }
out:
    sqlite3_finalize(row);
    free(words);
    return rc;
}

int sx_catalog_verify(sx_catalog *catalog, char *err, size_t errlen)
{
    static const char whole[] = "SQLite's integrity check", keys[] = "foreign keys";
    int rc;

    if ((rc = expect_none(catalog, "PRAGMA integrity_check(1)", whole, sizeof whole - 1, err,
                          errlen)) == 0 &&
        (rc = expect_none(catalog, "PRAGMA foreign_key_check", keys, sizeof keys - 1, err,
                          errlen)) == 0 &&
        (rc = check_invariants(catalog, err, errlen)) == 0 &&
        (rc = check_lists(catalog, err, errlen)) == 0)
        rc = check_words(catalog, err, errlen);
    return rc;
}
