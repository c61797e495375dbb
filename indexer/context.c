/* context.c: the segments of a commit, their extents, and what status says about them; see
 * indexer.h. A cursor reads some rows ahead under one lock and gives them out with none held, so
 * that a writer never waits for whoever goes through a context. */
#include "indexer/cache.h"
#include "indexer/index_private.h"
#include "indexer/pack.h"
#include "indexer/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 64 }; /* segments read at a time */

typedef struct slot { /* a segment read ahead; the row points into what follows */
    sx_segment_row row;
    sx_bytes path;
    sx_block_row *blocks;
    uint32_t *tokens;
    size_t cap_blocks, cap_tokens;
} slot;

struct sx_segment_cursor {
    sx_index *index;
    sqlite3_stmt *file, *segment;
    int64_t *files;          /* of the commit, tree order */
    uint8_t *classes;        /* of the files; NULL in tree order */
    size_t n_files, at_file; /* at_file counts through SX_CLASS_COUNT rounds in encoding order */
    bool encode;             /* only what has no landmark extent */
    bool with_tokens;
    int64_t next, end; /* segments of the file at hand still to be read */
    int64_t blob;
    sx_file_class file_class;
    sx_bytes path;
    slot slots[AHEAD];
    size_t n_slots, at_slot;
};

static int no_memory(char *err, size_t errlen)
{
    return sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a segment; free some");
}

/* The model's row, 0 if it has none yet. */
static int find_model(sx_index *index, const char *model, int64_t *id, char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    int rc;

    *id = 0;
    if (!model)
        return 0;
    if ((rc = sx_catalog_prepare(&statement, index->catalog,
                                 "SELECT id FROM model WHERE fingerprint = ?1", err, errlen)) ==
        0) {
        sqlite3_bind_text(statement, 1, model, -1, SQLITE_STATIC);
        if ((rc = sx_catalog_step(index->catalog, statement, err, errlen)) > 0)
            *id = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return rc < 0 ? rc : 0;
}

static int read_classes(sx_segment_cursor *cursor, char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    bool begun;
    int rc;

    if (!(cursor->classes = calloc(cursor->n_files + 1, 1)))
        return no_memory(err, errlen);
    begun = sx_catalog_read_begin(cursor->index->catalog);
    rc = sx_catalog_prepare(&statement, cursor->index->catalog,
                            "SELECT class FROM file WHERE id = ?1", err, errlen);
    for (size_t i = 0; i < cursor->n_files && rc >= 0; i++) {
        sqlite3_bind_int64(statement, 1, cursor->files[i]);
        if ((rc = sx_catalog_step(cursor->index->catalog, statement, err, errlen)) > 0)
            cursor->classes[i] = (uint8_t)sqlite3_column_int(statement, 0);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    sx_catalog_read_end(cursor->index->catalog, begun);
    return rc < 0 ? rc : 0;
}

int sx_segments_begin(sx_segment_cursor **out, sx_index *index, const sx_commit *commit,
                      const char *text_fingerprint, const char *model, sx_segment_order order,
                      bool with_tokens, char *err, size_t errlen)
{
    static const char sql[] =
        "SELECT s.n_tokens, s.n_blocks, s.byte_start, s.byte_end, s.blocks, s.ordinal,"
        " e.landmark_row, e.kv_row FROM segment s"
        " LEFT JOIN extent e ON e.model = ?2 AND e.segment = s.id WHERE s.id = ?1";
    static const char sql_tokens[] =
        "SELECT s.n_tokens, s.n_blocks, s.byte_start, s.byte_end, s.blocks, s.ordinal,"
        " e.landmark_row, e.kv_row, t.tokens FROM segment s JOIN segment_tokens t ON t.segment = "
        "s.id"
        " LEFT JOIN extent e ON e.model = ?2 AND e.segment = s.id WHERE s.id = ?1";
    sx_segment_cursor *cursor = NULL;
    sx_file_list *list = NULL;
    int64_t text = 0, model_id = 0;
    int rc;

    *out = NULL;
    if ((rc = sx_index_list(index, commit, &list, err, errlen)) < 0 ||
        (rc = sx_catalog_text(index->catalog, text_fingerprint, false, &text, err, errlen)) < 0 ||
        (rc = find_model(index, model, &model_id, err, errlen)) < 0)
        goto out;
    if (!(cursor = calloc(1, sizeof *cursor)) ||
        !(cursor->files = malloc((list->n + 1) * sizeof *cursor->files))) {
        rc = no_memory(err, errlen);
        goto out;
    }
    cursor->index = index;
    cursor->encode = order == SX_ORDER_ENCODE;
    cursor->with_tokens = with_tokens;
    cursor->n_files = list->n;
    memcpy(cursor->files, list->ids, list->n * sizeof *cursor->files);
    if ((rc = sx_catalog_prepare(
             &cursor->file, index->catalog,
             "SELECT f.path, f.class, f.blob, c.first_segment, c.n_segments FROM file f"
             " JOIN cut c ON c.file = f.id AND c.text = ?2 WHERE f.id = ?1",
             err, errlen)) < 0 ||
        (rc = sx_catalog_prepare(&cursor->segment, index->catalog, with_tokens ? sql_tokens : sql,
                                 err, errlen)) < 0 ||
        (cursor->encode && (rc = read_classes(cursor, err, errlen)) < 0))
        goto out;
    sqlite3_bind_int64(cursor->file, 2, text);
    sqlite3_bind_int64(cursor->segment, 2, model_id);
    *out = cursor;
    cursor = NULL;
out:
    sx_segments_end(cursor);
    return rc;
}

void sx_segments_end(sx_segment_cursor *cursor)
{
    if (!cursor)
        return;
    sqlite3_finalize(cursor->file);
    sqlite3_finalize(cursor->segment);
    sx_bytes_free(&cursor->path);
    for (size_t i = 0; i < AHEAD; i++) {
        sx_bytes_free(&cursor->slots[i].path);
        free(cursor->slots[i].blocks);
        free(cursor->slots[i].tokens);
    }
    free(cursor->files);
    free(cursor->classes);
    free(cursor);
}

/* Goes to the next file with segments. 1, 0 at the end, or negative. */
static int next_file(sx_segment_cursor *cursor, char *err, size_t errlen)
{
    size_t n = cursor->n_files * (cursor->encode ? SX_CLASS_COUNT : 1);
    int rc = 0;

    for (; cursor->at_file < n; cursor->at_file++) {
        size_t file = cursor->at_file % cursor->n_files;

        if (cursor->encode && cursor->classes[file] != cursor->at_file / cursor->n_files)
            continue;
        sqlite3_bind_int64(cursor->file, 1, cursor->files[file]);
        if ((rc = sx_catalog_step(cursor->index->catalog, cursor->file, err, errlen)) > 0) {
            cursor->path.n = 0;
            sx_bytes_put(&cursor->path, sqlite3_column_blob(cursor->file, 0),
                         (size_t)sqlite3_column_bytes(cursor->file, 0));
            sx_bytes_put(&cursor->path, "", 1);
            if (cursor->path.failed)
                rc = no_memory(err, errlen);
            cursor->file_class = (sx_file_class)sqlite3_column_int(cursor->file, 1);
            cursor->blob = sqlite3_column_int64(cursor->file, 2);
            cursor->next = sqlite3_column_int64(cursor->file, 3);
            cursor->end = cursor->next + sqlite3_column_int64(cursor->file, 4);
        }
        sqlite3_reset(cursor->file);
        if (rc != 0) {
            cursor->at_file++;
            break;
        }
    }
    return rc;
}

static int grow(void **at, size_t *cap, size_t n, size_t size)
{
    void *grown;

    if (n <= *cap)
        return 0;
    if (!(grown = realloc(*at, n * size)))
        return -ENOMEM;
    *at = grown;
    *cap = n;
    return 0;
}

/* Copies the row that cursor->segment stands on. Its numbers are untrusted: they size nothing that
 * the packed bytes do not cover. */
static int read_segment(sx_segment_cursor *cursor, int64_t id, slot *to, char *err, size_t errlen)
{
    sqlite3_stmt *from = cursor->segment;
    size_t n_blocks_bytes = (size_t)sqlite3_column_bytes(from, 4);
    size_t n_tokens_bytes = cursor->with_tokens ? (size_t)sqlite3_column_bytes(from, 8) : 0;
    sx_segment_row *row = &to->row;

    *row = (sx_segment_row){
        .id = id,
        .blob_id = cursor->blob,
        .file_class = cursor->file_class,
        .n_tokens = (uint32_t)sqlite3_column_int64(from, 0),
        .n_blocks = (uint32_t)sqlite3_column_int64(from, 1),
        .byte_start = (uint32_t)sqlite3_column_int64(from, 2),
        .byte_end = (uint32_t)sqlite3_column_int64(from, 3),
        .ordinal = (uint32_t)sqlite3_column_int64(from, 5),
        .landmark_row = sqlite3_column_type(from, 6) == SQLITE_NULL ? -1
                                                                    : sqlite3_column_int64(from, 6),
        .kv_row = sqlite3_column_type(from, 7) == SQLITE_NULL ? -1 : sqlite3_column_int64(from, 7),
    };
    if (row->n_blocks > n_blocks_bytes || (cursor->with_tokens && row->n_tokens > n_tokens_bytes))
        return sx_catalog_damaged(err, errlen);
    to->path.n = 0;
    sx_bytes_put(&to->path, cursor->path.at, cursor->path.n);
    if (to->path.failed ||
        grow((void **)&to->blocks, &to->cap_blocks, row->n_blocks, sizeof *to->blocks) < 0 ||
        (cursor->with_tokens &&
         grow((void **)&to->tokens, &to->cap_tokens, row->n_tokens, sizeof *to->tokens) < 0))
        return no_memory(err, errlen);
    if (sx_unpack_blocks(to->blocks, row->n_blocks, row->byte_start, row->byte_end, row->n_tokens,
                         sqlite3_column_blob(from, 4), n_blocks_bytes) < 0 ||
        (cursor->with_tokens && sx_unpack_tokens(to->tokens, row->n_tokens,
                                                 sqlite3_column_blob(from, 8), n_tokens_bytes) < 0))
        return sx_catalog_damaged(err, errlen);
    row->path = (const char *)to->path.at;
    row->blocks = to->blocks;
    row->tokens = cursor->with_tokens ? to->tokens : NULL;
    return 1;
}

/* Fills the slots. 1, 0 where nothing is left, or negative. */
static int read_ahead(sx_segment_cursor *cursor, char *err, size_t errlen)
{
    bool begun = sx_catalog_read_begin(cursor->index->catalog);
    int rc = 1;

    cursor->n_slots = cursor->at_slot = 0;
    while (rc > 0 && cursor->n_slots < AHEAD) {
        int64_t id;

        if (cursor->next == cursor->end && (rc = next_file(cursor, err, errlen)) <= 0)
            break;
        id = cursor->next++;
        sqlite3_bind_int64(cursor->segment, 1, id);
        if ((rc = sx_catalog_step(cursor->index->catalog, cursor->segment, err, errlen)) == 0) {
            rc = sx_catalog_damaged(err, errlen);
        } else if (rc > 0 &&
                   !(cursor->encode && sqlite3_column_type(cursor->segment, 6) != SQLITE_NULL)) {
            rc = read_segment(cursor, id, &cursor->slots[cursor->n_slots], err, errlen);
            cursor->n_slots += rc > 0;
        }
        sqlite3_reset(cursor->segment);
    }
    sx_catalog_read_end(cursor->index->catalog, begun);
    return rc < 0 ? rc : cursor->n_slots > 0;
}

int sx_segments_next(sx_segment_cursor *cursor, sx_segment_row *row, char *err, size_t errlen)
{
    int rc;

    if (cursor->at_slot == cursor->n_slots && (rc = read_ahead(cursor, err, errlen)) <= 0)
        return rc;
    *row = cursor->slots[cursor->at_slot++].row;
    return 1;
}

int sx_segment_tokens(sx_index *index, int64_t segment_id, uint32_t **ids, uint32_t *n_ids,
                      char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    size_t n, n_bytes;
    int rc;

    *ids = NULL;
    *n_ids = 0;
    if ((rc = sx_catalog_prepare(&statement, index->catalog,
                                 "SELECT s.n_tokens, t.tokens FROM segment s JOIN segment_tokens t"
                                 " ON t.segment = s.id WHERE s.id = ?1",
                                 err, errlen)) < 0)
        goto out;
    sqlite3_bind_int64(statement, 1, segment_id);
    if ((rc = sx_catalog_step(index->catalog, statement, err, errlen)) <= 0) {
        rc = rc < 0 ? rc
                    : sx_index_fail(
                          err, errlen, -ENOENT,
                          "E-SEGMENT: the catalogue holds no segment %lld; nothing was read; index "
                          "again",
                          (long long)segment_id);
        goto out;
    }
    n = (size_t)sqlite3_column_int64(statement, 0);
    n_bytes = (size_t)sqlite3_column_bytes(statement, 1);
    if (n > n_bytes)
        rc = sx_catalog_damaged(err, errlen);
    else if (!(*ids = malloc((n + 1) * sizeof **ids)))
        rc = no_memory(err, errlen);
    else if (sx_unpack_tokens(*ids, n, sqlite3_column_blob(statement, 1), n_bytes) < 0)
        rc = sx_catalog_damaged(err, errlen);
    else
        rc = 0;
    *n_ids = (uint32_t)n;
    if (rc < 0) {
        free(*ids);
        *ids = NULL;
        *n_ids = 0;
    }
out:
    sqlite3_finalize(statement);
    return rc;
}

/* ---- extents -------------------------------------------------------------------------------- */

int sx_extents_put(sx_index *index, const char *model, uint32_t layers, const sx_extent *extents,
                   size_t n, char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    int64_t model_id = 0;
    int rc;

    if (index->lock_fd < 0)
        return sx_index_fail(
            err, errlen, -ENOTRECOVERABLE,
            "E-BUG: extents without the lock of %s; nothing was changed; please report it",
            SX_SHOW(index->directory));
    if ((rc = sx_catalog_begin(index->catalog, err, errlen)) < 0 ||
        (rc = sx_catalog_model(index->catalog, model, layers, &model_id, err, errlen)) < 0 ||
        (rc = sx_catalog_prepare(
             &statement, index->catalog,
             "INSERT INTO extent VALUES (?1, ?2, ?3, ?4) ON CONFLICT (model, segment) DO"
             " UPDATE SET landmark_row = excluded.landmark_row, kv_row = excluded.kv_row",
             err, errlen)) < 0)
        goto out;
    for (size_t i = 0; i < n && rc >= 0; i++) {
        sqlite3_bind_int64(statement, 1, model_id);
        sqlite3_bind_int64(statement, 2, extents[i].segment_id);
        sqlite3_bind_int64(statement, 3, extents[i].landmark_row);
        if (extents[i].kv_row >= 0)
            sqlite3_bind_int64(statement, 4, extents[i].kv_row);
        else
            sqlite3_bind_null(statement, 4);
        rc = sx_catalog_step(index->catalog, statement, err, errlen);
        sqlite3_reset(statement);
    }
    if (rc >= 0)
        rc = sx_catalog_commit(index->catalog, err, errlen);
out:
    sqlite3_finalize(statement);
    if (rc < 0)
        sx_catalog_rollback(index->catalog);
    return rc;
}

int sx_extents_end(sx_index *index, const char *model, int64_t *landmark_rows, int64_t *kv_rows,
                   char *err, size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    int rc;

    *landmark_rows = *kv_rows = 0;
    if ((rc = sx_catalog_prepare(
             &statement, index->catalog,
             "SELECT coalesce(max(e.landmark_row + s.n_blocks * m.layers), 0),"
             " coalesce(max(e.kv_row + s.n_tokens * m.layers), 0) FROM model m"
             " JOIN extent e ON e.model = m.id JOIN segment s ON s.id = e.segment"
             " WHERE m.fingerprint = ?1",
             err, errlen)) == 0) {
        sqlite3_bind_text(statement, 1, model, -1, SQLITE_STATIC);
        if ((rc = sx_catalog_step(index->catalog, statement, err, errlen)) > 0) {
            *landmark_rows = sqlite3_column_int64(statement, 0);
            *kv_rows = sqlite3_column_int64(statement, 1);
        }
    }
    sqlite3_finalize(statement);
    return rc < 0 ? rc : 0;
}

/* ---- status --------------------------------------------------------------------------------- */

/* Adds a file of the commit, and what of it is encoded. */
static int add_file(sx_index *index, sqlite3_stmt *file, sqlite3_stmt *encoded, int64_t id,
                    sx_index_status *out, char *err, size_t errlen)
{
    int rc;

    sqlite3_bind_int64(file, 1, id);
    if ((rc = sx_catalog_step(index->catalog, file, err, errlen)) > 0) {
        sx_skip skip = sx_skip_named((const char *)sqlite3_column_text(file, 0));
        unsigned file_class = (unsigned)sqlite3_column_int(file, 1);

        if (skip != SX_SKIP_NONE)
            out->skipped[skip]++;
        else if (file_class < SX_CLASS_COUNT)
            out->files[file_class]++;
        if (sqlite3_column_type(file, 2) != SQLITE_NULL) {
            sqlite3_bind_int64(encoded, 2, sqlite3_column_int64(file, 2));
            sqlite3_bind_int64(encoded, 3,
                               sqlite3_column_int64(file, 2) + sqlite3_column_int64(file, 3) - 1);
            if ((rc = sx_catalog_step(index->catalog, encoded, err, errlen)) > 0) {
                out->encoded_segments += (uint64_t)sqlite3_column_int64(encoded, 0);
                out->encoded_tokens += (uint64_t)sqlite3_column_int64(encoded, 1);
                out->kv_tokens += (uint64_t)sqlite3_column_int64(encoded, 2);
            }
            sqlite3_reset(encoded);
        }
    }
    sqlite3_reset(file);
    return rc;
}

int sx_index_get_status(sx_index *index, const sx_commit *commit, const char *text_fingerprint,
                        const char *model, sx_index_status *out, char *err, size_t errlen)
{
    sqlite3_stmt *count = NULL, *file = NULL, *encoded = NULL;
    int64_t text = 0, model_id = 0;
    sx_file_list *list = NULL;
    bool begun = sx_catalog_read_begin(index->catalog);
    int rc;

    *out = (sx_index_status){0};
    sx_cache_sizes(index->directory, &out->slab_bytes, &out->catalog_bytes);
    if ((rc = sx_catalog_prepare(&count, index->catalog,
                                 "SELECT count(*) FROM revision WHERE complete", err, errlen)) <
            0 ||
        (rc = sx_catalog_step(index->catalog, count, err, errlen)) < 0)
        goto out;
    out->commits = (uint64_t)sqlite3_column_int64(count, 0);
    rc = 0;
    if (!commit)
        goto out;
    if ((rc = sx_catalog_text(index->catalog, text_fingerprint, false, &text, err, errlen)) < 0 ||
        (rc = find_model(index, model, &model_id, err, errlen)) < 0 ||
        (rc = sx_index_list(index, commit, &list, err, errlen)) < 0 ||
        (rc = sx_catalog_prepare(
             &file, index->catalog,
             "SELECT f.skip, f.class, c.first_segment, c.n_segments FROM file f"
             " LEFT JOIN cut c ON c.file = f.id AND c.text = ?2 WHERE f.id = ?1",
             err, errlen)) < 0 ||
        (rc = sx_catalog_prepare(
             &encoded, index->catalog,
             "SELECT count(*), coalesce(sum(s.n_tokens), 0), coalesce(sum(CASE WHEN"
             " e.kv_row IS NOT NULL THEN s.n_tokens END), 0) FROM extent e"
             " JOIN segment s ON s.id = e.segment"
             " WHERE e.model = ?1 AND e.segment BETWEEN ?2 AND ?3",
             err, errlen)) < 0)
        goto out;
    sqlite3_bind_int64(file, 2, text);
    sqlite3_bind_int64(encoded, 1, model_id);
    for (size_t i = 0; i < list->n && rc >= 0; i++)
        rc = add_file(index, file, encoded, list->ids[i], out, err, errlen);
out:
    sqlite3_finalize(count);
    sqlite3_finalize(file);
    sqlite3_finalize(encoded);
    sx_catalog_read_end(index->catalog, begun);
    return rc < 0 ? rc : 0;
}

int sx_index_skipped(sx_index *index, const sx_commit *commit, sx_skipped_fn fn, void *user,
                     char *err, size_t errlen)
{
    sqlite3_stmt *file = NULL;
    sx_file_list *list = NULL;
    sx_bytes path = {0};
    bool stop = false, begun = sx_catalog_read_begin(index->catalog);
    int rc;

    if ((rc = sx_index_list(index, commit, &list, err, errlen)) == 0)
        rc = sx_catalog_prepare(
            &file, index->catalog,
            "SELECT path, skip, size FROM file WHERE id = ?1 AND skip IS NOT NULL", err, errlen);
    for (size_t i = 0; rc >= 0 && !stop && i < list->n; i++) {
        sqlite3_bind_int64(file, 1, list->ids[i]);
        if ((rc = sx_catalog_step(index->catalog, file, err, errlen)) > 0) {
            path.n = 0;
            sx_bytes_put(&path, sqlite3_column_blob(file, 0),
                         (size_t)sqlite3_column_bytes(file, 0));
            sx_bytes_put(&path, "", 1);
            stop = !path.failed && fn((const char *)path.at,
                                      sx_skip_named((const char *)sqlite3_column_text(file, 1)),
                                      (uint64_t)sqlite3_column_int64(file, 2), user) != 0;
        }
        sqlite3_reset(file);
    }
    sqlite3_finalize(file);
    sx_bytes_free(&path);
    sx_catalog_read_end(index->catalog, begun);
    return rc < 0 ? rc : 0;
}
