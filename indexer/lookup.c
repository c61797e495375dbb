/* lookup.c: names -> definitions and references of a commit; see indexer.h. A name leads to blobs
 * by an index, a blob to its files by another; which of those are of the commit says the commit's
 * list. */
#include "indexer/index_private.h"
#include "indexer/pack.h"
#include "indexer/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFINITION_COLUMNS                                                                         \
    "SELECT d.ordinal, n.bytes, d.kind, d.parent, d.start_byte, d.end_byte, d.name_start, "        \
    "d.name_end,"                                                                                  \
    " d.doc_start, d.doc_end, d.signature_end, d.start_line, d.end_line FROM definition d"         \
    " JOIN name n ON n.id = d.name WHERE d.blob = ?1"

enum {
    SCOPE_DEPTH = 64,
    ORDINAL_BITS = 21
}; /* a blob has at most 2^21 bytes, so fewer definitions */

/* ---- the commit's list ---------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    const struct sx_list_place *x = a, *y = b;

    return x->id != y->id ? (x->id < y->id ? -1 : 1) : (x->at > y->at) - (x->at < y->at);
}

static int make_places(sx_file_list *list, char *err, size_t errlen)
{
    if (list->places)
        return 0;
    if (!(list->places = malloc((list->n + 1) * sizeof *list->places)))
        return sx_index_fail(err, errlen, -ENOMEM,
                             "E-RAM: no memory for a list of files; free some");
    for (size_t i = 0; i < list->n; i++)
        list->places[i] = (struct sx_list_place){list->ids[i], i};
    qsort(list->places, list->n, sizeof *list->places, compare_places);
    return 0;
}

/* Where the file stands in the tree; false: it is not of the commit. */
static bool place_of(const sx_file_list *list, int64_t id, size_t *at)
{
    size_t low = 0, high = list->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list->places[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == list->n || list->places[low].id != id)
        return false;
    *at = list->places[low].at;
    return true;
}

/* ---- finding -------------------------------------------------------------------------------- */

typedef struct hit {
    size_t at; /* place of the file in the tree */
    int64_t file, blob, name;
    int64_t ordinal; /* of the definition */
} hit;
typedef struct hits {
    hit *at;
    size_t n, cap;
} hits;

static int compare_hits(const void *a, const void *b)
{
    const hit *x = a, *y = b;

    return x->at != y->at ? (x->at > y->at) - (x->at < y->at)
                          : (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

static int add_hit(hits *found, hit one, char *err, size_t errlen)
{
    if (found->n == found->cap) {
        size_t cap = found->cap ? 2 * found->cap : 64;
        hit *grown = realloc(found->at, cap * sizeof *grown);

        if (!grown)
            return sx_index_fail(err, errlen, -ENOMEM,
                                 "E-RAM: no memory for what was found; free some");
        found->at = grown;
        found->cap = cap;
    }
    found->at[found->n++] = one;
    return 0;
}

/* Rows (name, blob, ordinal, file) of `sql` for the name, those of the commit, added to found. */
static int find(sx_index *index, const sx_commit *commit, const char *sql, const char *name,
                size_t n, hits *found, char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    sx_file_list *list;
    int rc;

    if ((rc = sx_index_list(index, commit, &list, err, errlen)) < 0 ||
        (rc = make_places(list, err, errlen)) < 0 ||
        (rc = sx_catalog_prepare(&statement, index->catalog, sql, err, errlen)) < 0)
        goto out;
    sqlite3_bind_blob64(statement, 1, n ? name : "", n, SQLITE_STATIC);
    while ((rc = sx_catalog_step(index->catalog, statement, err, errlen)) > 0) {
        hit one = {.name = sqlite3_column_int64(statement, 0),
                   .blob = sqlite3_column_int64(statement, 1),
                   .ordinal = sqlite3_column_int64(statement, 2),
                   .file = sqlite3_column_int64(statement, 3)};

        if (place_of(list, one.file, &one.at) && (rc = add_hit(found, one, err, errlen)) < 0)
            break;
    }
    if (rc == 0 && found->n)
        qsort(found->at, found->n, sizeof *found->at, compare_hits);
out:
    sqlite3_finalize(statement);
    return rc;
}

/* ---- rows ----------------------------------------------------------------------------------- */

typedef struct reader { /* statements and strings for giving rows out */
    sx_index *index;
    sqlite3_stmt *one;  /* a definition by blob and ordinal */
    sqlite3_stmt *file; /* path and blob of a file */
    sx_bytes path, name, scope, kind;
} reader;

static int reader_open(reader *r, sx_index *index, char *err, size_t errlen)
{
    int rc;

    *r = (reader){.index = index};
    if ((rc = sx_catalog_prepare(&r->one, index->catalog, DEFINITION_COLUMNS " AND d.ordinal = ?2",
                                 err, errlen)) == 0)
        rc = sx_catalog_prepare(&r->file, index->catalog,
                                "SELECT path, blob FROM file WHERE id = ?1", err, errlen);
    return rc;
}

static void reader_close(reader *r)
{
    sqlite3_finalize(r->one);
    sqlite3_finalize(r->file);
    sx_bytes_free(&r->path);
    sx_bytes_free(&r->name);
    sx_bytes_free(&r->scope);
    sx_bytes_free(&r->kind);
}

/* Copies a column as a string: rows are given out with no statement open. */
static const char *keep(sx_bytes *room, sqlite3_stmt *statement, int column)
{
    room->n = 0;
    sx_bytes_put(room, sqlite3_column_blob(statement, column),
                 (size_t)sqlite3_column_bytes(statement, column));
    sx_bytes_put(room, "", 1);
    return room->failed ? "" : (const char *)room->at;
}

/* Path and blob of a file. 1, 0 (no such file), or negative. */
static int read_file(reader *r, int64_t file, const char **path, int64_t *blob, char *err,
                     size_t errlen)
{
    int rc;

    sqlite3_bind_int64(r->file, 1, file);
    if ((rc = sx_catalog_step(r->index->catalog, r->file, err, errlen)) > 0) {
        *path = keep(&r->path, r->file, 0);
        *blob = sqlite3_column_int64(r->file, 1);
    }
    sqlite3_reset(r->file);
    return rc;
}

static void fill(sx_definition_row *row, sqlite3_stmt *statement, int64_t blob)
{
    uint32_t *const numbers[] = {&row->start_byte,    &row->end_byte,   &row->name_start,
                                 &row->name_end,      &row->doc_start,  &row->doc_end,
                                 &row->signature_end, &row->start_line, &row->end_line};

    row->id = blob << ORDINAL_BITS | sqlite3_column_int64(statement, 0);
    row->blob_id = blob;
    for (int i = 0; i < 9; i++)
        *numbers[i] = (uint32_t)sqlite3_column_int64(statement, 4 + i);
}

/* The names around a definition, outermost first, joined by '.'. */
static int read_scope(reader *r, int64_t blob, int64_t parent, const char **scope, char *err,
                      size_t errlen)
{
    int64_t chain[SCOPE_DEPTH];
    size_t n = 0;
    int rc = 0;

    for (; parent >= 0 && n < SCOPE_DEPTH; n++) {
        chain[n] = parent;
        sqlite3_bind_int64(r->one, 1, blob);
        sqlite3_bind_int64(r->one, 2, parent);
        rc = sx_catalog_step(r->index->catalog, r->one, err, errlen);
        parent = rc > 0 && sqlite3_column_type(r->one, 3) != SQLITE_NULL &&
                         sqlite3_column_int64(r->one, 3) < parent /* so that it ends */
                     ? sqlite3_column_int64(r->one, 3)
                     : -1;
        sqlite3_reset(r->one);
        if (rc < 0)
            return rc;
    }
    r->scope.n = 0;
    while (n-- > 0) {
        sqlite3_bind_int64(r->one, 1, blob);
        sqlite3_bind_int64(r->one, 2, chain[n]);
        if ((rc = sx_catalog_step(r->index->catalog, r->one, err, errlen)) > 0) {
            if (r->scope.n)
                sx_bytes_put(&r->scope, ".", 1);
            sx_bytes_put(&r->scope, sqlite3_column_blob(r->one, 1),
                         (size_t)sqlite3_column_bytes(r->one, 1));
        }
        sqlite3_reset(r->one);
        if (rc < 0)
            return rc;
    }
    sx_bytes_put(&r->scope, "", 1);
    *scope = r->scope.failed ? "" : (const char *)r->scope.at;
    return 0;
}

/* Fills everything but the path from `statement`, which stands on a definition of `blob`; *parent:
 * its ordinal, -1: none. */
static void read_row(reader *r, sqlite3_stmt *statement, int64_t blob, sx_definition_row *row,
                     int64_t *parent)
{
    *row = (sx_definition_row){0};
    fill(row, statement, blob);
    row->name = keep(&r->name, statement, 1);
    row->kind = keep(&r->kind, statement, 2);
    *parent = sqlite3_column_type(statement, 3) == SQLITE_NULL ? -1
                                                               : sqlite3_column_int64(statement, 3);
}

/* ---- definitions ---------------------------------------------------------------------------- */

/* Does `scope` ("a.b") end in `head` ("b", "a.b", "a::b") at the border of a name? */
static bool scope_ends_in(const char *scope, const char *head, size_t n_head)
{
    size_t n = strlen(scope);

    while (n && n_head) {
        bool dot = strchr(".:#", scope[n - 1]), head_dot = strchr(".:#", head[n_head - 1]);

        if (dot != head_dot || (!dot && scope[n - 1] != head[n_head - 1]))
            return false;
        do
            n--;
        while (dot && n && strchr(".:#", scope[n - 1]));
        do
            n_head--;
        while (dot && n_head && strchr(".:#", head[n_head - 1]));
    }
    return n_head == 0 && (n == 0 || strchr(".:#", scope[n - 1]));
}

static int give_hits(sx_index *index, const hits *found, const char *head, size_t n_head,
                     sx_definition_fn fn, void *user, char *err, size_t errlen)
{
    reader r;
    int rc = reader_open(&r, index, err, errlen);

    for (size_t i = 0; i < found->n && rc >= 0; i++) {
        const hit *one = &found->at[i];
        sx_definition_row row;
        int64_t parent = -1, blob;

        sqlite3_bind_int64(r.one, 1, one->blob);
        sqlite3_bind_int64(r.one, 2, one->ordinal);
        if ((rc = sx_catalog_step(index->catalog, r.one, err, errlen)) <= 0) {
            sqlite3_reset(r.one);
            continue;
        }
        read_row(&r, r.one, one->blob, &row, &parent);
        sqlite3_reset(r.one);
        if ((rc = read_scope(&r, one->blob, parent, &row.scope, err, errlen)) < 0 ||
            (rc = read_file(&r, one->file, &row.path, &blob, err, errlen)) < 0)
            break;
        if ((!head || scope_ends_in(row.scope, head, n_head)) && fn(&row, user))
            break;
    }
    reader_close(&r);
    return rc < 0 ? rc : 0;
}

int sx_definitions_named(sx_index *index, const sx_commit *commit, const char *name,
                         sx_definition_fn fn, void *user, char *err, size_t errlen)
{
    static const char sql[] = "SELECT d.name, d.blob, d.ordinal, f.id FROM name n"
                              " JOIN definition d ON d.name = n.id JOIN file f ON f.blob = d.blob"
                              " WHERE n.bytes = ?1";
    size_t n = strlen(name), tail = n, head;
    hits found = {0};
    int rc;

    if ((rc = find(index, commit, sql, name, n, &found, err, errlen)) < 0 ||
        (rc = give_hits(index, &found, NULL, 0, fn, user, err, errlen)) < 0 || found.n)
        goto out;
    /* not the name itself: what stands before the last '.', '::' or '#' may be its scope */
    while (tail > 0 && !strchr(".:#", name[tail - 1]))
        tail--;
    for (head = tail; head > 0 && strchr(".:#", name[head - 1]);)
        head--;
    if (head > 0 && tail < n &&
        (rc = find(index, commit, sql, name + tail, n - tail, &found, err, errlen)) == 0)
        rc = give_hits(index, &found, name, head, fn, user, err, errlen);
out:
    free(found.at);
    return rc;
}

/* The definitions of a blob, each given to fn. *stop: fn wanted no more. */
static int give_blob(reader *r, sqlite3_stmt *all, int64_t blob, const char *path,
                     sx_definition_fn fn, void *user, bool *stop, char *err, size_t errlen)
{
    int rc = 0;

    sqlite3_bind_int64(all, 1, blob);
    while (!*stop && (rc = sx_catalog_step(r->index->catalog, all, err, errlen)) > 0) {
        sx_definition_row row;
        int64_t parent;

        read_row(r, all, blob, &row, &parent);
        row.path = path;
        if ((rc = read_scope(r, blob, parent, &row.scope, err, errlen)) < 0)
            break;
        *stop = fn(&row, user) != 0;
    }
    sqlite3_reset(all);
    return rc < 0 ? rc : 0;
}

int sx_definitions_of_blob(sx_index *index, int64_t blob_id, sx_definition_fn fn, void *user,
                           char *err, size_t errlen)
{
    sqlite3_stmt *all = NULL;
    bool stop = false;
    reader r;
    int rc;

    if ((rc = reader_open(&r, index, err, errlen)) == 0 &&
        (rc = sx_catalog_prepare(&all, index->catalog, DEFINITION_COLUMNS " ORDER BY d.ordinal",
                                 err, errlen)) == 0)
        rc = give_blob(&r, all, blob_id, NULL, fn, user, &stop, err, errlen);
    sqlite3_finalize(all);
    reader_close(&r);
    return rc;
}

int sx_definitions_all(sx_index *index, const sx_commit *commit, sx_definition_fn fn, void *user,
                       char *err, size_t errlen)
{
    sqlite3_stmt *all = NULL;
    sx_file_list *list = NULL;
    bool stop = false, begun = sx_catalog_read_begin(index->catalog);
    reader r;
    int rc;

    if ((rc = reader_open(&r, index, err, errlen)) < 0 ||
        (rc = sx_catalog_prepare(&all, index->catalog, DEFINITION_COLUMNS " ORDER BY d.ordinal",
                                 err, errlen)) < 0 ||
        (rc = sx_index_list(index, commit, &list, err, errlen)) < 0)
        goto out;
    for (size_t i = 0; i < list->n && !stop && rc >= 0; i++) {
        const char *path = "";
        int64_t blob = 0;

        if ((rc = read_file(&r, list->ids[i], &path, &blob, err, errlen)) > 0 && blob)
            rc = give_blob(&r, all, blob, path, fn, user, &stop, err, errlen);
    }
out:
    sqlite3_finalize(all);
    reader_close(&r);
    sx_catalog_read_end(index->catalog, begun);
    return rc < 0 ? rc : 0;
}

/* ---- references ----------------------------------------------------------------------------- */

/* All places of a name in one file. */
static int give_places(reader *r, sqlite3_stmt *places, const hit *one, const char *name,
                       sx_reference_fn fn, void *user, bool *stop, char *err, size_t errlen)
{
    sx_reference_row row = {.blob_id = one->blob, .name = name};
    sx_reference place = {0};
    sx_bytes packed = {0};
    size_t at = 0;
    int64_t blob;
    int rc;

    if ((rc = read_file(r, one->file, &row.path, &blob, err, errlen)) <= 0)
        return rc;
    sqlite3_bind_int64(places, 1, one->name);
    sqlite3_bind_int64(places, 2, one->blob);
    if ((rc = sx_catalog_step(r->index->catalog, places, err, errlen)) > 0)
        sx_bytes_put(&packed, sqlite3_column_blob(places, 0),
                     (size_t)sqlite3_column_bytes(places, 0));
    sqlite3_reset(places);
    while (rc >= 0 && !*stop && (rc = sx_unpack_place(&place, packed.at, packed.n, &at)) > 0) {
        row.start_byte = place.start_byte;
        row.end_byte = place.start_byte + (uint32_t)strlen(name);
        row.line = place.line;
        row.in_definition = "";
        if (place.definition >= 0) {
            sqlite3_bind_int64(r->one, 1, one->blob);
            sqlite3_bind_int64(r->one, 2, place.definition);
            if ((rc = sx_catalog_step(r->index->catalog, r->one, err, errlen)) > 0)
                row.in_definition = keep(&r->name, r->one, 1);
            sqlite3_reset(r->one);
        }
        *stop = rc >= 0 && fn(&row, user) != 0;
    }
    sx_bytes_free(&packed);
    return rc == -EBADMSG ? sx_catalog_damaged(err, errlen) : rc;
}

int sx_references_named(sx_index *index, const sx_commit *commit, const char *name,
                        sx_reference_fn fn, void *user, char *err, size_t errlen)
{
    static const char sql[] =
        "SELECT r.name, r.blob, 0, f.id FROM name n JOIN reference r ON r.name = n.id"
        " JOIN file f ON f.blob = r.blob WHERE n.bytes = ?1";
    sqlite3_stmt *places = NULL;
    hits found = {0};
    bool stop = false;
    reader r;
    int rc;

    if ((rc = reader_open(&r, index, err, errlen)) == 0 &&
        (rc = sx_catalog_prepare(&places, index->catalog,
                                 "SELECT places FROM reference WHERE name = ?1 AND blob = ?2", err,
                                 errlen)) == 0)
        rc = find(index, commit, sql, name, strlen(name), &found, err, errlen);
    for (size_t i = 0; i < found.n && !stop && rc >= 0; i++)
        rc = give_places(&r, places, &found.at[i], name, fn, user, &stop, err, errlen);
    free(found.at);
    sqlite3_finalize(places);
    reader_close(&r);
    return rc < 0 ? rc : 0;
}
