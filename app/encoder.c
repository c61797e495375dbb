/* encoder.c: the catalogue's segments -> the engine -> rows in the slabs -> extents.
 *
 * Kill-safe by order alone: rows are written behind everything referenced, made durable, and only
 * then referenced, a batch at least every second. What a killed run left unreferenced is
 * overwritten. Must not know how questions are answered. */
#include "app/session_private.h"

#include "app/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { BATCH = 1024, FLUSH_MS = 1000 };
static const uint64_t AUTO_BUDGET = (uint64_t)8 << 30;
static const uint64_t DISK_MARGIN = (uint64_t)16 << 20; /* catalogue, journal */

typedef struct encoding {
    sx_session *session;
    sx_failure *failure;
    int rc; /* of source or sink: counts more than sx_encode's own */
    pthread_mutex_t lock;
    sx_segment_cursor *cursor;
    sx_slab *landmarks, *kv;
    int64_t landmark_end, kv_end; /* next free row */
    int64_t kv_limit;             /* rows of k and v that may be kept */
    sx_extent extents[BATCH];     /* written, not yet referenced */
    size_t n_extents;
    bool kv_dirty;
    double flushed_ms, deadline_ms; /* deadline 0: none */
    char last_path[4096];           /* to count files */
    sx_progress progress;
} encoding;

static int encoding_failed(encoding *e, sx_domain domain, int rc)
{
    e->rc = rc;
    return sx_failed_with(e->failure, domain, rc);
}

static int flush(encoding *e)
{
    sx_session *s = e->session;
    char *err = e->failure->text;
    size_t errlen = sizeof e->failure->text;
    int rc;

    e->flushed_ms = sx_clock_ms();
    if (e->n_extents == 0)
        return 0;
    if ((rc = sx_slab_sync(e->landmarks, err, errlen)) < 0 ||
        (e->kv_dirty && (rc = sx_slab_sync(e->kv, err, errlen)) < 0))
        return encoding_failed(e, SX_DOMAIN_MODEL, rc);
    rc = sx_extents_put(s->index, s->info->model, s->info->n_global, e->extents, e->n_extents, err,
                        errlen);
    if (rc < 0)
        return encoding_failed(e, SX_DOMAIN_REPOSITORY, rc);
    e->n_extents = 0;
    e->kv_dirty = false;
    return 0;
}

static int next_segment(encoding *e, sx_encode_input *in)
{
    sx_segment_row row;
    int rc;

    if (sx_session_stopped(e->session))
        return -ECANCELED;
    if (e->deadline_ms > 0 && sx_clock_ms() > e->deadline_ms)
        return 0; /* the rest another time */
    rc = sx_segments_next(e->cursor, &row, e->failure->text, sizeof e->failure->text);
    if (rc < 0)
        return encoding_failed(e, SX_DOMAIN_REPOSITORY, rc);
    if (rc == 0)
        return 0;
    *in = (sx_encode_input){.id = row.id, .n_tokens = row.n_tokens, .n_blocks = row.n_blocks};
    in->tokens = malloc(((size_t)row.n_tokens + 1) * sizeof *in->tokens);
    in->block_starts = malloc(((size_t)row.n_blocks + 1) * sizeof *in->block_starts);
    if (in->tokens == NULL || in->block_starts == NULL) {
        free(in->tokens);
        free(in->block_starts);
        return encoding_failed(e, SX_DOMAIN_MODEL, -ENOMEM);
    }
    memcpy(in->tokens, row.tokens, row.n_tokens * sizeof *in->tokens);
    for (uint32_t i = 0; i < row.n_blocks; i++)
        in->block_starts[i] = row.blocks[i].token;
    if (strcmp(e->last_path, row.path) != 0) {
        e->progress.files_done++;
        snprintf(e->last_path, sizeof e->last_path, "%s", row.path);
    }
    return 1;
}

static int source(sx_encode_input *in, void *user)
{
    encoding *e = user;
    int rc;

    pthread_mutex_lock(&e->lock);
    rc = e->rc < 0 ? e->rc : next_segment(e, in);
    pthread_mutex_unlock(&e->lock);
    return rc;
}

static int write_segment(encoding *e, const sx_encode_output *out)
{
    uint32_t layers = e->session->info->n_global;
    int64_t landmark_rows = (int64_t)out->n_blocks * layers,
            kv_rows = (int64_t)out->n_tokens * layers;
    sx_extent *extent = &e->extents[e->n_extents];
    char *err = e->failure->text;
    size_t errlen = sizeof e->failure->text;
    int rc;

    *extent = (sx_extent){out->id, e->landmark_end, -1};
    rc = sx_slab_write(e->landmarks, e->landmark_end, out->landmarks, (size_t)landmark_rows, err,
                       errlen);
    if (rc < 0)
        return encoding_failed(e, SX_DOMAIN_MODEL, rc);
    if (e->kv_end + kv_rows <= e->kv_limit) {
        if ((rc = sx_slab_write(e->kv, e->kv_end, out->kv, (size_t)kv_rows, err, errlen)) < 0)
            return encoding_failed(e, SX_DOMAIN_MODEL, rc);
        extent->kv_row = e->kv_end;
        e->kv_end += kv_rows;
        e->kv_dirty = true;
    }
    e->landmark_end += landmark_rows;
    e->n_extents++;
    e->progress.tokens_done += out->n_tokens;
    if (e->n_extents == BATCH || sx_clock_ms() - e->flushed_ms >= FLUSH_MS)
        if ((rc = flush(e)) < 0)
            return rc;
    if (e->session->options.progress != NULL)
        e->session->options.progress(&e->progress, e->session->options.user);
    return 0;
}

static int sink(const sx_encode_output *out, void *user)
{
    encoding *e = user;
    int rc;

    pthread_mutex_lock(&e->lock);
    rc = e->rc < 0 ? e->rc : write_segment(e, out);
    pthread_mutex_unlock(&e->lock);
    return rc;
}

/* What is still to do, from the catalogue's rows alone. */
static int count_pending(encoding *e, uint64_t *blocks)
{
    sx_session *s = e->session;
    sx_segment_cursor *cursor = NULL;
    sx_segment_row row;
    char *err = e->failure->text;
    size_t errlen = sizeof e->failure->text;
    int rc;

    *blocks = 0;
    rc = sx_segments_begin(&cursor, s->index, &s->commit, s->info->text, s->info->model,
                           SX_ORDER_ENCODE, false, err, errlen);
    while (rc >= 0 && (rc = sx_segments_next(cursor, &row, err, errlen)) == 1) {
        *blocks += row.n_blocks;
        e->progress.tokens_total += row.n_tokens;
        if (strcmp(e->last_path, row.path) != 0) {
            e->progress.files_total++;
            snprintf(e->last_path, sizeof e->last_path, "%s", row.path);
        }
    }
    sx_segments_end(cursor);
    e->last_path[0] = '\0';
    return rc < 0 ? encoding_failed(e, SX_DOMAIN_REPOSITORY, rc) : 0;
}

/* How many rows of k and v may be kept, and whether the landmarks fit at all. */
static int plan_room(encoding *e, uint64_t blocks)
{
    sx_session *s = e->session;
    uint64_t landmarks = blocks * s->info->n_global * s->info->landmark_row;
    uint64_t kept = (uint64_t)e->kv_end * s->info->kv_row; /* by earlier runs */
    uint64_t budget = s->options.kv_budget, room;
    struct statvfs fs;
    char need[32], have[32];

    if (statvfs(sx_index_directory(s->index), &fs) != 0)
        return encoding_failed(e, SX_DOMAIN_MODEL, -EIO);
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (landmarks + DISK_MARGIN > room) {
        e->rc = -ENOSPC;
        return sx_failed_saying(
            e->failure, SX_DOMAIN_MODEL, -ENOSPC,
            "E-DISK-FULL: %s needed for landmarks, %s free on the cache's disk; what was "
            "read before is kept; make room or give --cache DIR",
            sx_text_bytes(need, sizeof need, landmarks + DISK_MARGIN),
            sx_text_bytes(have, sizeof have, room));
    }
    room -= landmarks + DISK_MARGIN;
    if (budget == UINT64_MAX) {
        budget = (room + kept) / 4;
        budget = budget < AUTO_BUDGET ? budget : AUTO_BUDGET;
    }
    if (budget > kept + room)
        budget = kept + room;
    e->kv_limit = s->info->kv_row > 0 ? (int64_t)(budget / s->info->kv_row) : 0;
    return 0;
}

static int open_slabs(encoding *e)
{
    sx_session *s = e->session;
    char *landmarks = sx_session_slab_path(s, "landmarks"), *kv = sx_session_slab_path(s, "kv");
    char *err = e->failure->text;
    size_t errlen = sizeof e->failure->text;
    int rc = -ENOMEM;

    if (landmarks != NULL && kv != NULL &&
        (rc = sx_slab_open(&e->landmarks, landmarks, s->info->landmark_row, true, err, errlen)) ==
            0)
        rc = sx_slab_open(&e->kv, kv, s->info->kv_row, true, err, errlen);
    free(landmarks);
    free(kv);
    return rc < 0 ? encoding_failed(e, SX_DOMAIN_MODEL, rc) : 0;
}

int sx_session_encode(sx_session *s, sx_failure *failure)
{
    encoding *e = calloc(1, sizeof *e);
    uint64_t blocks;
    int rc, flushed;

    if (e == NULL)
        return sx_failed_with(failure, SX_DOMAIN_MODEL, -ENOMEM);
    e->session = s;
    e->failure = failure;
    e->progress.step = "reading";
    pthread_mutex_init(&e->lock, NULL);
    if ((rc = count_pending(e, &blocks)) < 0 || e->progress.tokens_total == 0)
        goto out;
    rc = sx_extents_end(s->index, s->info->model, &e->landmark_end, &e->kv_end, failure->text,
                        sizeof failure->text);
    if (rc < 0) {
        sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
        goto out;
    }
    if ((rc = plan_room(e, blocks)) < 0 || (rc = open_slabs(e)) < 0)
        goto out;
    rc = sx_segments_begin(&e->cursor, s->index, &s->commit, s->info->text, s->info->model,
                           SX_ORDER_ENCODE, true, failure->text, sizeof failure->text);
    if (rc < 0) {
        sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
        goto out;
    }
    e->flushed_ms = sx_clock_ms();
    if (s->options.encode_ms > 0)
        e->deadline_ms = e->flushed_ms + s->options.encode_ms;
    rc = sx_encode(s->engine, source, sink, e, s->options.stop, failure->text,
                   sizeof failure->text);
    if (e->rc < 0)
        rc = e->rc;
    else if (rc < 0)
        sx_failed_with(failure, SX_DOMAIN_MODEL, rc);
    if (rc == 0 || rc == -ECANCELED) { /* after a cancel, what is done is kept */
        flushed = flush(e);
        rc = flushed < 0 ? flushed : rc;
    }
out:
    sx_segments_end(e->cursor);
    sx_slab_close(e->landmarks);
    sx_slab_close(e->kv);
    pthread_mutex_destroy(&e->lock);
    free(e);
    return rc;
}
