/* catalog_put.c: the rows that an update writes and asks for; see catalog.h. Statements are
 * prepared once a connection. Everything here happens inside the caller's transaction. */
#include "indexer/catalog_private.h"

#include "indexer/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const put_sql[PUT_COUNT] = {
    [PUT_FIND_FILE] =
        ("SELECT f.id, f.blob, f.skip, f.class, f.size, c.n_segments, c.n_tokens, c.n_blocks,"
         " b.n_definitions, b.n_references FROM file f"
         " LEFT JOIN cut c ON c.file = f.id AND c.text = ?4 LEFT JOIN blob b ON b.id = f.blob"
         " WHERE f.path = ?1 AND f.oid = ?2 AND f.kind = ?3"),
    [PUT_FILE] =
        ("INSERT INTO file (path, oid, kind, skip, class, size, blob) VALUES (?1,?2,?3,?4,?5,?6,?7)"
         " ON CONFLICT (path, oid, kind) DO UPDATE SET skip = excluded.skip,"
         " class = excluded.class, size = excluded.size, blob = excluded.blob RETURNING id"),
    [PUT_FIND_BLOB] =
        "SELECT id, n_definitions, n_references FROM blob WHERE oid = ?1 AND language = ?2",
    [PUT_BLOB] =
        ("INSERT INTO blob (oid, language, size, plain, has_errors, n_definitions, n_references)"
         " VALUES (?1,?2,?3,?4,?5,?6,?7)"),
    [PUT_FIND_NAME] = "SELECT id FROM name WHERE bytes = ?1",
    [PUT_NAME] = "INSERT INTO name (bytes) VALUES (?1)",
    [PUT_DEFINITION] =
        "INSERT INTO definition VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    [PUT_REFERENCE] = "INSERT INTO reference VALUES (?1,?2,?3,?4)",
    [PUT_WORDS] = "INSERT INTO words VALUES (?1,?2)",
    [PUT_FIND_CUT] = "SELECT n_segments, n_tokens, n_blocks FROM cut WHERE file = ?1 AND text = ?2",
    [PUT_LAST_SEGMENT] = "SELECT coalesce(max(id), 0) FROM segment",
    [PUT_SEGMENT] = "INSERT INTO segment VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
    [PUT_TOKENS] = "INSERT INTO segment_tokens VALUES (?1,?2)",
    [PUT_CUT] = "INSERT INTO cut VALUES (?1,?2,?3,?4,?5,?6)",
};

/* The statement, ready to be bound; NULL and err[] where it cannot be. */
static sqlite3_stmt *statement_of(sx_catalog *catalog, put_statement which, char *err,
                                  size_t errlen)
{
    sqlite3_stmt **statement = &catalog->put[which];

    if (!*statement &&
        sqlite3_prepare_v3(catalog->db, put_sql[which], -1, SQLITE_PREPARE_PERSISTENT, statement,
                           NULL) != SQLITE_OK) {
        sx_catalog_fail(catalog, err, errlen);
        return NULL;
    }
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
    return *statement;
}

static void bind_numbers(sqlite3_stmt *statement, int first, const int64_t *numbers, int n)
{
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(statement, first + i, numbers[i]);
}

static void bind_bytes(sqlite3_stmt *statement, int at, const void *bytes, size_t n)
{
    sqlite3_bind_blob64(statement, at, n ? bytes : "", n, SQLITE_STATIC);
}

/* Steps, and lets the row go: no statement stays open between calls, so no lock does. */
static int finish(sx_catalog *catalog, sqlite3_stmt *statement, int64_t *numbers, int n, char *err,
                  size_t errlen)
{
    int rc = sx_catalog_step(catalog, statement, err, errlen);

    for (int i = 0; rc > 0 && i < n; i++)
        numbers[i] = sqlite3_column_int64(statement, i);
    if (rc >= 0)
        sqlite3_reset(statement);
    return rc;
}

static int no_memory(char *err, size_t errlen)
{
    return sx_index_fail(
        err, errlen, -ENOMEM,
        "E-RAM: no memory for the catalogue; what was committed is kept; free some");
}

/* ---- texts and models ----------------------------------------------------------------------- */

int sx_catalog_text(sx_catalog *catalog, const char *fingerprint, bool add, int64_t *id, char *err,
                    size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    const char *sql =
        add ? "INSERT INTO text_model (fingerprint) VALUES (?1) ON CONFLICT (fingerprint)"
              " DO UPDATE SET fingerprint = fingerprint RETURNING id"
            : "SELECT id FROM text_model WHERE fingerprint = ?1";
    int rc;

    *id = 0;
    if ((rc = sx_catalog_prepare(&statement, catalog, sql, err, errlen)) == 0) {
        sqlite3_bind_text(statement, 1, fingerprint, -1, SQLITE_STATIC);
        rc = finish(catalog, statement, id, 1, err, errlen);
    }
    sqlite3_finalize(statement);
    return rc < 0 ? rc : 0;
}

int sx_catalog_model(sx_catalog *catalog, const char *fingerprint, uint32_t layers, int64_t *id,
                     char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    int64_t row[2] = {0, 0};
    int rc;

    *id = 0;
    if ((rc = sx_catalog_prepare(
             &statement, catalog,
             "INSERT INTO model (fingerprint, layers) VALUES (?1, ?2) ON CONFLICT"
             " (fingerprint) DO UPDATE SET layers = layers RETURNING id, layers",
             err, errlen)) == 0) {
        sqlite3_bind_text(statement, 1, fingerprint, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, layers);
        rc = finish(catalog, statement, row, 2, err, errlen);
    }
    sqlite3_finalize(statement);
    if (rc > 0 && row[1] != layers)
        return sx_index_fail(
            err, errlen, -EIO,
            "E-INDEX-BAD: the catalogue has %lld layers for a model of %u; nothing was "
            "changed; sparsex forget, then index again",
            (long long)row[1], layers);
    *id = row[0];
    return rc < 0 ? rc : 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

int sx_catalog_find_file(sx_catalog *catalog, const char *path, const sx_oid *oid, int kind,
                         int64_t text, sx_file_row *row, char *err, size_t errlen)
{
    sqlite3_stmt *statement = statement_of(catalog, PUT_FIND_FILE, err, errlen);
    int rc;

    *row = (sx_file_row){0};
    if (!statement)
        return -EIO;
    bind_bytes(statement, 1, path, strlen(path));
    bind_bytes(statement, 2, oid->id, SX_OID_SIZE);
    sqlite3_bind_int(statement, 3, kind);
    sqlite3_bind_int64(statement, 4, text);
    if ((rc = sx_catalog_step(catalog, statement, err, errlen)) > 0) {
        row->id = sqlite3_column_int64(statement, 0);
        row->blob = sqlite3_column_int64(statement, 1);
        row->skip = sx_skip_named((const char *)sqlite3_column_text(statement, 2));
        row->file_class = (sx_file_class)sqlite3_column_int(statement, 3);
        row->size = (uint64_t)sqlite3_column_int64(statement, 4);
        row->is_cut = sqlite3_column_type(statement, 5) != SQLITE_NULL;
        row->n_segments = (uint64_t)sqlite3_column_int64(statement, 5);
        row->n_tokens = (uint64_t)sqlite3_column_int64(statement, 6);
        row->n_blocks = (uint64_t)sqlite3_column_int64(statement, 7);
        row->n_definitions = (uint64_t)sqlite3_column_int64(statement, 8);
        row->n_references = (uint64_t)sqlite3_column_int64(statement, 9);
    }
    sqlite3_reset(statement);
    return rc < 0 ? rc : 0;
}

int sx_catalog_put_file(sx_catalog *catalog, const char *path, const sx_oid *oid, int kind,
                        sx_file_row *row, char *err, size_t errlen)
{
    sqlite3_stmt *statement = statement_of(catalog, PUT_FILE, err, errlen);
    int rc;

    if (!statement)
        return -EIO;
    bind_bytes(statement, 1, path, strlen(path));
    bind_bytes(statement, 2, oid->id, SX_OID_SIZE);
    sqlite3_bind_int(statement, 3, kind);
    if (row->skip != SX_SKIP_NONE)
        sqlite3_bind_text(statement, 4, sx_skip_name(row->skip), -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 5, row->file_class);
    sqlite3_bind_int64(statement, 6, (int64_t)row->size);
    if (row->blob)
        sqlite3_bind_int64(statement, 7, row->blob);
    rc = finish(catalog, statement, &row->id, 1, err, errlen);
    return rc < 0 ? rc : 0;
}

/* ---- blobs: definitions, references and words ----------------------------------------------- */

static uint64_t hash_of(const uint8_t *bytes, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a; equal names are compared byte by byte below */

    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

static int name_id(sx_catalog *catalog, const uint8_t *bytes, size_t n, int64_t *id, char *err,
                   size_t errlen)
{
    uint64_t hash = hash_of(bytes, n);
    name_slot *slot = &catalog->names[(hash ^ hash >> 32) % NAME_CACHE];
    sqlite3_stmt *statement;
    int rc;

    if (slot->id && slot->hash == hash && slot->n == n && memcmp(slot->bytes, bytes, n) == 0) {
        *id = slot->id;
        return 0;
    }
    if (!(statement = statement_of(catalog, PUT_FIND_NAME, err, errlen)))
        return -EIO;
    bind_bytes(statement, 1, bytes, n);
    if ((rc = finish(catalog, statement, id, 1, err, errlen)) < 0)
        return rc;
    if (rc == 0) {
        if (!(statement = statement_of(catalog, PUT_NAME, err, errlen)))
            return -EIO;
        bind_bytes(statement, 1, bytes, n);
        if ((rc = finish(catalog, statement, NULL, 0, err, errlen)) < 0)
            return rc;
        *id = sqlite3_last_insert_rowid(catalog->db);
    }
    if (n <= NAME_CACHED_BYTES) {
        *slot = (name_slot){.id = *id, .hash = hash, .n = (uint8_t)n};
        memcpy(slot->bytes, bytes, n);
    }
    return 0;
}

static int put_definitions(sx_catalog *catalog, int64_t blob, const uint8_t *bytes,
                           const sx_parse *parse, char *err, size_t errlen)
{
    int rc = 0;

    for (size_t i = 0; i < parse->n_definitions && rc >= 0; i++) {
        const sx_definition *d = &parse->definitions[i];
        sqlite3_stmt *statement;
        int64_t name = 0;

        if ((rc = name_id(catalog, bytes + d->name_start, d->name_end - d->name_start, &name, err,
                          errlen)) < 0)
            break;
        if (!(statement = statement_of(catalog, PUT_DEFINITION, err, errlen)))
            return -EIO;
        bind_numbers(statement, 1, (const int64_t[]){blob, (int64_t)i, name}, 3);
        sqlite3_bind_text(statement, 4, d->kind, -1, SQLITE_STATIC);
        if (d->parent >= 0)
            sqlite3_bind_int64(statement, 5, d->parent);
        bind_numbers(statement, 6,
                     (const int64_t[]){d->start_byte, d->end_byte, d->name_start, d->name_end,
                                       d->doc_start, d->doc_end, d->signature_end, d->start_line,
                                       d->end_line},
                     9);
        rc = finish(catalog, statement, NULL, 0, err, errlen);
    }
    return rc;
}

typedef struct use { /* a reference with the id of its name, for grouping by name */
    int64_t name;
    uint32_t reference;
} use;

static int compare_uses(const void *a, const void *b)
{
    const use *x = a, *y = b;

    return x->name != y->name ? (x->name < y->name ? -1 : 1)
                              : (x->reference > y->reference) - (x->reference < y->reference);
}

static int put_references(sx_catalog *catalog, int64_t blob, const uint8_t *bytes,
                          const sx_parse *parse, char *err, size_t errlen)
{
    size_t n = parse->n_references;
    use *uses = n ? malloc(n * sizeof *uses) : NULL;
    sx_bytes places = {0};
    int rc = n && !uses ? no_memory(err, errlen) : 0;

    for (size_t i = 0; i < n && rc >= 0; i++) {
        const sx_reference *r = &parse->references[i];

        uses[i].reference = (uint32_t)i;
        rc = name_id(catalog, bytes + r->start_byte, r->end_byte - r->start_byte, &uses[i].name,
                     err, errlen);
    }
    if (rc >= 0 && n)
        qsort(uses, n, sizeof *uses, compare_uses);
    for (size_t i = 0; i < n && rc >= 0;) {
        sx_reference before = {0};
        sqlite3_stmt *statement = statement_of(catalog, PUT_REFERENCE, err, errlen);
        size_t first = i;

        places.n = 0;
        for (; i < n && uses[i].name == uses[first].name; i++) {
            const sx_reference *r = &parse->references[uses[i].reference];

            sx_pack_place(&places, r, &before);
            before = *r;
        }
        if (places.failed) {
            rc = no_memory(err, errlen);
        } else if (!statement) {
            rc = -EIO;
        } else {
            bind_numbers(statement, 1,
                         (const int64_t[]){uses[first].name, blob, (int64_t)(i - first)}, 3);
            bind_bytes(statement, 4, places.at, places.n);
            rc = finish(catalog, statement, NULL, 0, err, errlen);
        }
    }
    sx_bytes_free(&places);
    free(uses);
    return rc;
}

static int put_words(sx_catalog *catalog, int64_t blob, const sx_bytes *words, char *err,
                     size_t errlen)
{
    sqlite3_stmt *statement = statement_of(catalog, PUT_WORDS, err, errlen);

    if (!statement)
        return -EIO;
    sqlite3_bind_int64(statement, 1, blob);
    bind_bytes(statement, 2, words->at, words->n);
    return finish(catalog, statement, NULL, 0, err, errlen);
}

int sx_catalog_put_blob(sx_catalog *catalog, const sx_oid *oid, const char *language,
                        const uint8_t *bytes, size_t n, const sx_parse *parse,
                        const sx_bytes *words, sx_file_row *row, char *err, size_t errlen)
{
    sqlite3_stmt *statement = statement_of(catalog, PUT_FIND_BLOB, err, errlen);
    int64_t found[3] = {0, 0, 0};
    int rc;

    if (!statement)
        return -EIO;
    bind_bytes(statement, 1, oid->id, SX_OID_SIZE);
    sqlite3_bind_text(statement, 2, language, -1, SQLITE_STATIC);
    if ((rc = finish(catalog, statement, found, 3, err, errlen)) < 0)
        return rc;
    row->blob = found[0];
    row->n_definitions = (uint64_t)found[1];
    row->n_references = (uint64_t)found[2];
    if (rc > 0)
        return 0;
    if (!(statement = statement_of(catalog, PUT_BLOB, err, errlen)))
        return -EIO;
    bind_bytes(statement, 1, oid->id, SX_OID_SIZE);
    sqlite3_bind_text(statement, 2, language, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (int64_t)n);
    if (parse->plain)
        sqlite3_bind_text(statement, 4, parse->plain, -1, SQLITE_STATIC);
    bind_numbers(statement, 5,
                 (const int64_t[]){parse->has_errors, (int64_t)parse->n_definitions,
                                   (int64_t)parse->n_references},
                 3);
    if ((rc = finish(catalog, statement, NULL, 0, err, errlen)) < 0)
        return rc;
    row->blob = sqlite3_last_insert_rowid(catalog->db);
    row->n_definitions = parse->n_definitions;
    row->n_references = parse->n_references;
    if ((rc = put_definitions(catalog, row->blob, bytes, parse, err, errlen)) < 0 ||
        (rc = put_references(catalog, row->blob, bytes, parse, err, errlen)) < 0)
        return rc;
    rc = put_words(catalog, row->blob, words, err, errlen);
    return rc < 0 ? rc : 0;
}

/* ---- segments ------------------------------------------------------------------------------- */

static int put_segment(sx_catalog *catalog, int64_t id, int64_t file, size_t ordinal,
                       const sx_segment *segment, sx_bytes *room, char *err, size_t errlen)
{
    sqlite3_stmt *statement = statement_of(catalog, PUT_SEGMENT, err, errlen);
    int rc;

    if (!statement)
        return -EIO;
    room->n = 0;
    sx_pack_blocks(room, segment->blocks, segment->n_blocks, segment->byte_start);
    if (room->failed)
        return no_memory(err, errlen);
    bind_numbers(statement, 1,
                 (const int64_t[]){id, file, (int64_t)ordinal, segment->n_tokens, segment->n_blocks,
                                   segment->byte_start, segment->byte_end},
                 7);
    bind_bytes(statement, 8, room->at, room->n);
    if ((rc = finish(catalog, statement, NULL, 0, err, errlen)) < 0)
        return rc;
    if (!(statement = statement_of(catalog, PUT_TOKENS, err, errlen)))
        return -EIO;
    room->n = 0;
    sx_pack_tokens(room, segment->tokens, segment->n_tokens);
    if (room->failed)
        return no_memory(err, errlen);
    sqlite3_bind_int64(statement, 1, id);
    bind_bytes(statement, 2, room->at, room->n);
    return finish(catalog, statement, NULL, 0, err, errlen);
}

int sx_catalog_put_cut(sx_catalog *catalog, int64_t text, const sx_segments *segments,
                       sx_file_row *row, char *err, size_t errlen)
{
    sqlite3_stmt *statement = statement_of(catalog, PUT_FIND_CUT, err, errlen);
    int64_t found[3] = {0, 0, 0}, last = 0;
    sx_bytes room = {0};
    int rc;

    if (!statement)
        return -EIO;
    bind_numbers(statement, 1, (const int64_t[]){row->id, text}, 2);
    if ((rc = finish(catalog, statement, found, 3, err, errlen)) != 0)
        goto out;
    if (!(statement = statement_of(catalog, PUT_LAST_SEGMENT, err, errlen)) ||
        (rc = finish(catalog, statement, &last, 1, err, errlen)) < 0) {
        rc = rc < 0 ? rc : -EIO;
        goto out;
    }
    for (size_t i = 0; i < segments->n_segments; i++) {
        const sx_segment *segment = &segments->segments[i];

        if ((rc = put_segment(catalog, last + 1 + (int64_t)i, row->id, i, segment, &room, err,
                              errlen)) < 0)
            goto out;
        found[1] += segment->n_tokens;
        found[2] += segment->n_blocks;
    }
    found[0] = (int64_t)segments->n_segments;
    if (!(statement = statement_of(catalog, PUT_CUT, err, errlen))) {
        rc = -EIO;
        goto out;
    }
    bind_numbers(statement, 1,
                 (const int64_t[]){row->id, text, last + 1, found[0], found[1], found[2]}, 6);
    rc = finish(catalog, statement, NULL, 0, err, errlen);
out:
    sx_bytes_free(&room);
    row->is_cut = rc >= 0;
    row->n_segments = (uint64_t)found[0];
    row->n_tokens = (uint64_t)found[1];
    row->n_blocks = (uint64_t)found[2];
    return rc < 0 ? rc : 0;
}

/* ---- revisions ------------------------------------------------------------------------------ */

int sx_catalog_find_revision(sx_catalog *catalog, int64_t text, sx_commit *commit, char *err,
                             size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    int64_t row[11];
    int rc;

    if ((rc = sx_catalog_prepare(
             &statement, catalog,
             "SELECT id, complete, damaged, n_files, n_skipped, n_bytes, n_tokens,"
             " n_segments, n_blocks, n_definitions, n_references FROM revision"
             " WHERE oid = ?1 AND text = ?2",
             err, errlen)) == 0) {
        bind_bytes(statement, 1, commit->oid.id, SX_OID_SIZE);
        sqlite3_bind_int64(statement, 2, text);
        rc = finish(catalog, statement, row, 11, err, errlen);
    }
    sqlite3_finalize(statement);
    if (rc <= 0)
        return rc;
    commit->id = row[0];
    commit->complete = row[1] != 0;
    commit->damaged = row[2] != 0;
    commit->files = (uint64_t)row[3];
    commit->skipped = (uint64_t)row[4];
    commit->bytes = (uint64_t)row[5];
    commit->tokens = (uint64_t)row[6];
    commit->segments = (uint64_t)row[7];
    commit->blocks = (uint64_t)row[8];
    commit->definitions = (uint64_t)row[9];
    commit->references = (uint64_t)row[10];
    return 0;
}

int sx_catalog_put_revision(sx_catalog *catalog, int64_t text, sx_commit *commit,
                            const uint8_t *list, size_t n_list, char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL, *old = NULL;
    int rc;

    if ((rc = sx_catalog_prepare(
             &statement, catalog,
             "INSERT INTO revision VALUES (NULL, ?1, ?2, ?3, ?4, (SELECT coalesce(max(used), 0) + "
             "1 FROM"
             " revision), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (oid, text) DO "
             "UPDATE SET"
             " complete = excluded.complete, damaged = excluded.damaged, used = excluded.used,"
             " n_files = excluded.n_files, n_skipped = excluded.n_skipped, n_bytes = "
             "excluded.n_bytes,"
             " n_tokens = excluded.n_tokens, n_segments = excluded.n_segments, n_blocks = "
             "excluded.n_blocks,"
             " n_definitions = excluded.n_definitions, n_references = excluded.n_references,"
             " files = excluded.files RETURNING id",
             err, errlen)) < 0 ||
        (rc = sx_catalog_prepare(
             &old, catalog,
             "DELETE FROM revision WHERE id NOT IN"
             " (SELECT id FROM revision ORDER BY complete DESC, used DESC LIMIT ?1)",
             err, errlen)) < 0)
        goto out;
    bind_bytes(statement, 1, commit->oid.id, SX_OID_SIZE);
    bind_numbers(statement, 2,
                 (const int64_t[]){text, commit->complete, commit->damaged, (int64_t)commit->files,
                                   (int64_t)commit->skipped, (int64_t)commit->bytes,
                                   (int64_t)commit->tokens, (int64_t)commit->segments,
                                   (int64_t)commit->blocks, (int64_t)commit->definitions,
                                   (int64_t)commit->references},
                 11);
    if (list)
        bind_bytes(statement, 13, list, n_list);
    if ((rc = finish(catalog, statement, &commit->id, 1, err, errlen)) < 0)
        goto out;
    sqlite3_bind_int(old, 1, SX_CATALOG_KEPT_COMMITS);
    rc = finish(catalog, old, NULL, 0, err, errlen);
out:
    sqlite3_finalize(statement);
    sqlite3_finalize(old);
    return rc < 0 ? rc : 0;
}
