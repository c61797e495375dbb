/* session.c: one repository, its index and one engine: open, bring up to date, load a context.
 * Must not know how spans are ranked or answers shown (reply.c, output.c). */
#include "app/session_private.h"

#include "app/sandbox.h"
#include "app/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool sx_session_stopped(const sx_session *s)
{
    return s->options.stop != NULL && atomic_load(s->options.stop);
}

char *sx_session_slab_path(const sx_session *s, const char *slab)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s.%s", sx_index_directory(s->index), slab, s->info->model) < 0)
        return NULL;
    return path;
}

sx_index *sx_session_index(sx_session *s)
{
    return s->index;
}

const sx_engine_info *sx_session_model(const sx_session *s)
{
    return s->info;
}

const sx_commit *sx_session_commit(const sx_session *s)
{
    return &s->commit;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int open_index(sx_session *s, sx_failure *failure)
{
    int rc = sx_index_open(&s->index, &s->options.index, failure->text, sizeof failure->text);

    return rc < 0 ? sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc) : 0;
}

int sx_session_open(sx_session **out, const sx_session_options *options, sx_failure *failure)
{
    sx_session *s = calloc(1, sizeof *s);
    double started = sx_clock_ms();
    int rc;

    if (s == NULL)
        return sx_failed_with(failure, SX_DOMAIN_PROGRAM, -ENOMEM);
    s->options = *options;
    pthread_mutex_init(&s->index_lock, NULL);
    if ((rc = open_index(s, failure)) < 0)
        goto out;
    /* Before the engine starts threads, so that they inherit it, and before blobs are read. */
    if (options->confine &&
        (rc = sx_sandbox_enter(s->index, options->engine.model_dir, options->index.queries_dir,
                               options->index.allow_outside, failure)) < 0)
        goto out;
    rc = sx_engine_open(&s->engine, &options->engine, failure->text, sizeof failure->text);
    if (rc < 0) {
        sx_failed_with(failure, SX_DOMAIN_MODEL, rc);
        goto out;
    }
    s->info = sx_engine_get_info(s->engine);
    s->load_ms = sx_clock_ms() - started;
    *out = s;
    s = NULL;
out:
    sx_session_close(s);
    return rc;
}

static void unload(sx_session *s)
{
    sx_context_free(s->context);
    sx_slab_close(s->landmarks);
    sx_slab_close(s->kv);
    s->context = NULL;
    s->landmarks = s->kv = NULL;
    for (size_t i = 0; i < s->n_files; i++)
        free(s->files[i].path);
    sx_words_free(s->words);
    free(s->by_path);
    s->words = NULL;
    s->by_path = NULL;
    s->n_files = s->n_pieces = s->n_blocks = 0;
}

static void unlock(sx_session *s)
{
    if (s->writing)
        sx_index_unlock(s->index);
    s->writing = false;
}

void sx_session_close(sx_session *s)
{
    if (s == NULL)
        return;
    unload(s);
    free(s->files);
    free(s->pieces);
    free(s->block_bytes);
    if (s->index != NULL)
        unlock(s);
    sx_index_close(s->index);
    sx_engine_close(s->engine);
    pthread_mutex_destroy(&s->index_lock);
    free(s);
}

/* ---- bringing up to date -------------------------------------------------------------------- */

int sx_session_find(sx_session *s, const char *rev, sx_failure *failure)
{
    int rc;

    memset(&s->commit, 0, sizeof s->commit);
    rc = sx_index_find_commit(s->index, rev, s->info->text, &s->commit, failure->text,
                              sizeof failure->text);
    return rc < 0 ? sx_failed_with(failure, SX_DOMAIN_LOOKUP, rc) : 0;
}

static int index_progress(const sx_index_progress *progress, void *user)
{
    sx_session *s = user;
    sx_progress p = {.step = progress->step,
                     .files_done = progress->files_done,
                     .files_total = progress->files_total,
                     .bytes_done = progress->bytes_done,
                     .bytes_total = progress->bytes_total,
                     .tokens_done = progress->tokens_done};

    if (s->options.progress != NULL)
        s->options.progress(&p, s->options.user);
    return sx_session_stopped(s);
}

static size_t tokenize(void *user, const uint8_t *bytes, size_t n, uint32_t *ids, uint32_t *ends)
{
    return sx_engine_tokenize(user, bytes, n, ids, ends);
}

/* The commit becomes complete in the catalogue, by us or by whoever holds the lock. */
static int update(sx_session *s, const char *rev, int wait_ms, sx_failure *failure)
{
    sx_text_model text = {.file_token = s->info->file_token,
                          .segment_tokens = s->info->segment_tokens,
                          .block_tokens = s->info->block_tokens,
                          .header_tokens = s->info->header_tokens,
                          .tokenize = tokenize,
                          .user = s->engine};
    double deadline = sx_clock_ms() + wait_ms;
    int rc;

    snprintf(text.fingerprint, sizeof text.fingerprint, "%s", s->info->text);
    while ((rc = sx_session_find(s, rev, failure)) == -ENOENT && s->commit.hex[0] != '\0') {
        if (sx_session_stopped(s))
            return sx_failed_saying(
                failure, SX_DOMAIN_PROGRAM, -ECANCELED,
                "E-CANCELLED: stopped while waiting "
                "for another process; what is done is kept; run the command again");
        if (!s->writing) {
            rc = sx_index_lock(s->index, 100, failure->text, sizeof failure->text);
            s->writing = rc == 0;
            if (rc == 0 || (rc == -EBUSY && sx_clock_ms() < deadline))
                continue; /* look again: the other process may have finished it meanwhile */
            return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
        }
        rc = sx_index_update(s->index, rev, &text, index_progress, s, &s->commit, failure->text,
                             sizeof failure->text);
        if (rc < 0)
            return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
        break;
    }
    if (rc == 0)
        failure->text[0] = '\0';
    return rc;
}

int sx_session_status(sx_session *s, sx_index_status *status, sx_failure *failure)
{
    int rc = sx_index_get_status(s->index, &s->commit, s->info->text, s->info->model, status,
                                 failure->text, sizeof failure->text);

    return rc < 0 ? sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc) : 0;
}

/* Opens the landmarks behind what is encoded. -ESTALE: the catalogue refers to rows that the file
 * does not hold (deleted or cut by someone). NULL in s->landmarks: nothing is encoded. */
static int open_landmarks(sx_session *s, sx_failure *failure)
{
    int64_t end = 0, kv_end = 0;
    char *path = NULL;
    int rc;

    rc = sx_extents_end(s->index, s->info->model, &end, &kv_end, failure->text,
                        sizeof failure->text);
    if (rc < 0)
        return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
    if (end == 0)
        return 0;
    if ((path = sx_session_slab_path(s, "landmarks")) == NULL)
        return sx_failed_with(failure, SX_DOMAIN_MODEL, -ENOMEM);
    rc = sx_slab_open(&s->landmarks, path, s->info->landmark_row, false, failure->text,
                      sizeof failure->text);
    if (rc < 0 || sx_slab_rows(s->landmarks, end - 1, 1) == NULL) {
        sx_slab_close(s->landmarks);
        s->landmarks = NULL;
        rc = -ESTALE;
    }
    /* Lost k and v are no loss: they are computed again from the tokens. */
    if (rc == 0 && kv_end > 0) {
        free(path);
        path = sx_session_slab_path(s, "kv");
        if (path != NULL && sx_slab_open(&s->kv, path, s->info->kv_row, false, NULL, 0) < 0)
            s->kv = NULL;
    }
    free(path);
    return rc;
}

static int encode(sx_session *s, sx_depth depth, int wait_ms, sx_failure *failure)
{
    sx_index_status status;
    int rc;

    if ((rc = sx_session_status(s, &status, failure)) < 0)
        return rc;
    if (status.encoded_segments >= s->commit.segments)
        return 0;
    if (!s->writing) {
        /* Someone else is reading this repository: use what there is, wait only for a first part.
         */
        bool partly = depth == SX_DEPTH_CONTEXT && status.encoded_segments > 0;

        rc = sx_index_lock(s->index, partly ? 0 : wait_ms, failure->text, sizeof failure->text);
        if (rc == -EBUSY && depth == SX_DEPTH_CONTEXT) {
            if (!partly && (rc = sx_session_status(s, &status, failure)) < 0)
                return rc;
            if (status.encoded_segments > 0)
                return 0;
            rc = -EBUSY;
        }
        if (rc < 0)
            return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
        s->writing = true;
    }
    return sx_session_encode(s, failure);
}

/* ---- the context ---------------------------------------------------------------------------- */

static int grow(void **array, size_t *cap, size_t n, size_t size)
{
    size_t want = *cap;
    void *bigger;

    if (n <= *cap)
        return 0;
    while (want < n)
        want = want < 64 ? 64 : want * 2;
    if ((bigger = reallocarray(*array, want, size)) == NULL)
        return -ENOMEM;
    *array = bigger;
    *cap = want;
    return 0;
}

static int add_piece(sx_session *s, const sx_segment_row *row, sx_failure *failure)
{
    uint32_t layers = s->info->n_global, *starts = NULL;
    size_t kv_rows = (size_t)row->n_tokens * layers;
    bool new_file = s->n_files == 0 || strcmp(s->files[s->n_files - 1].path, row->path) != 0;
    sx_context_segment segment = {
        .id = row->id, .n_tokens = row->n_tokens, .n_blocks = row->n_blocks};
    int rc = -ENOMEM;

    if (grow((void **)&s->files, &s->cap_files, s->n_files + 1, sizeof *s->files) < 0 ||
        grow((void **)&s->pieces, &s->cap_pieces, s->n_pieces + 1, sizeof *s->pieces) < 0 ||
        grow((void **)&s->block_bytes, &s->cap_blocks, s->n_blocks + row->n_blocks,
             sizeof *s->block_bytes) < 0 ||
        (starts = malloc(((size_t)row->n_blocks + 1) * sizeof *starts)) == NULL)
        goto out;
    if (new_file) {
        sx_context_file *file = &s->files[s->n_files];

        *file = (sx_context_file){.path = strdup(row->path),
                                  .blob_id = row->blob_id,
                                  .aside = row->file_class == SX_CLASS_TEST ||
                                           row->file_class == SX_CLASS_VENDORED,
                                  .first_piece = s->n_pieces};
        if (file->path == NULL)
            goto out;
        s->n_files++;
    }
    s->files[s->n_files - 1].n_pieces++;
    s->pieces[s->n_pieces++] = (sx_context_piece){(uint32_t)(s->n_files - 1), (uint32_t)s->n_blocks,
                                                  row->n_blocks, row->byte_end};
    for (uint32_t i = 0; i < row->n_blocks; i++) {
        starts[i] = row->blocks[i].token;
        s->block_bytes[s->n_blocks++] = row->blocks[i].byte;
    }
    segment.block_starts = starts;
    segment.landmarks = sx_slab_rows(s->landmarks, row->landmark_row,
                                     (size_t)row->n_blocks * layers);
    if (row->kv_row >= 0 && s->kv != NULL)
        segment.kv = sx_slab_rows(s->kv, row->kv_row, kv_rows);
    rc = segment.landmarks == NULL
             ? -ESTALE
             : sx_context_add(s->context, &segment, failure->text, sizeof failure->text);
out:
    free(starts);
    return rc;
}

static int context_tokens(int64_t segment_id, uint32_t **tokens, uint32_t *n, void *user)
{
    sx_session *s = user;
    int rc;

    pthread_mutex_lock(&s->index_lock);
    rc = sx_segment_tokens(s->index, segment_id, tokens, n, NULL, 0);
    pthread_mutex_unlock(&s->index_lock);
    return rc;
}

static int by_path(const void *pa, const void *pb, void *user)
{
    const sx_context_file *files = user;

    return strcmp(files[*(const uint32_t *)pa].path, files[*(const uint32_t *)pb].path);
}

static int load_words(sx_session *s, sx_failure *failure)
{
    int rc = sx_words_load(&s->words, s->index, &s->commit, failure->text, sizeof failure->text);

    if (rc < 0)
        return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
    if ((s->by_path = malloc((s->n_files + 1) * sizeof *s->by_path)) == NULL)
        return sx_failed_with(failure, SX_DOMAIN_MODEL, -ENOMEM);
    for (size_t i = 0; i < s->n_files; i++)
        s->by_path[i] = (uint32_t)i;
    qsort_r(s->by_path, s->n_files, sizeof *s->by_path, by_path, s->files);
    return 0;
}

static int load(sx_session *s, sx_failure *failure)
{
    sx_segment_cursor *cursor = NULL;
    sx_segment_row row;
    char *err = failure->text;
    size_t errlen = sizeof failure->text;
    int rc;

    if ((rc = sx_context_new(&s->context, s->engine, err, errlen)) < 0)
        return sx_failed_with(failure, SX_DOMAIN_MODEL, rc);
    sx_context_set_tokens(s->context, context_tokens, s);
    rc = sx_segments_begin(&cursor, s->index, &s->commit, s->info->text, s->info->model,
                           SX_ORDER_TREE, false, err, errlen);
    if (rc < 0)
        return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
    while ((rc = sx_segments_next(cursor, &row, err, errlen)) == 1) {
        if (row.landmark_row < 0)
            continue; /* not encoded yet */
        if ((rc = s->landmarks != NULL ? add_piece(s, &row, failure) : -ESTALE) < 0)
            break;
    }
    sx_segments_end(cursor);
    if (rc < 0)
        return rc != -ESTALE ? sx_failed_with(failure, SX_DOMAIN_MODEL, rc) : rc;
    return load_words(s, failure);
}

/* Everything kept for the repository is deleted and the index opened anew. */
static int start_over(sx_session *s, sx_failure *failure)
{
    int rc;

    unload(s);
    unlock(s);
    sx_index_close(s->index);
    s->index = NULL;
    rc = sx_index_forget(&s->options.index, NULL, failure->text, sizeof failure->text);
    if (rc < 0 && rc != -ENOENT)
        return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
    return open_index(s, failure);
}

static int prepare(sx_session *s, const char *rev, sx_depth depth, int wait_ms, sx_failure *failure)
{
    double started = sx_clock_ms();
    int rc;

    unload(s);
    if ((rc = update(s, rev, wait_ms, failure)) < 0 || depth == SX_DEPTH_CATALOG)
        return rc;
    if ((rc = open_landmarks(s, failure)) < 0)
        return rc;
    if (depth != SX_DEPTH_CONTEXT_NOW) {
        if ((rc = encode(s, depth, wait_ms, failure)) < 0)
            return rc;
        unload(s); /* the slabs grew: map them again */
        if ((rc = open_landmarks(s, failure)) < 0)
            return rc;
    }
    s->index_ms += sx_clock_ms() - started;
    started = sx_clock_ms();
    if (depth >= SX_DEPTH_CONTEXT && (rc = load(s, failure)) < 0)
        return rc;
    s->load_ms += sx_clock_ms() - started;
    if (depth == SX_DEPTH_CONTEXT_NOW && s->n_pieces == 0 && s->commit.segments > 0)
        return sx_failed_saying(
            failure, SX_DOMAIN_PROGRAM, -EINVAL,
            "E-NOTHING-READ: no part of this repository "
            "is read yet; nothing was asked; run `sparsex index` or leave --now out");
    return 0;
}

int sx_session_prepare(sx_session *s, const char *rev, sx_depth depth, int wait_ms,
                       sx_failure *failure)
{
    int rc = prepare(s, rev, depth, wait_ms, failure);

    if (rc == -ESTALE && (rc = start_over(s, failure)) == 0)
        rc = prepare(s, rev, depth, wait_ms, failure);
    if (rc == -ESTALE)
        sx_failed_saying(failure, SX_DOMAIN_MODEL, rc = -EIO,
                         "E-SLAB-LOST: the cache loses what is written to "
                         "it, %s; nothing was kept; check the disk",
                         sx_index_directory(s->index));
    if (s->index != NULL)
        unlock(s);
    return rc;
}
