/* update.c: a commit's tree through blob.h, definitions.h, units.h and segments.h into the
 * catalogue.
 *
 *   calling thread: walk the tree, find what the catalogue lacks -> jobs
 *   worker threads: job -> read, classify, parse, count, cut     -> results
 *   calling thread: results -> rows, a transaction per batch; then the commit's row with its list
 *
 * A job is a blob with all its paths; a result is one path. Results wait in a queue bounded in
 * bytes, so memory does not depend on the size of the repository. Each batch is whole: a file's
 * row, its blob's definitions and words and its segments are written together, so whatever ends the
 * process leaves a catalogue that a rerun goes on from. */
#include "indexer/blob.h"
#include "indexer/definitions.h"
#include "indexer/index_private.h"
#include "indexer/report.h"
#include "indexer/tree.h"
#include "indexer/units.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TICK_MS = 40, /* how often the progress callback may cancel */
    MOST_THREADS = 256,
};
#define BATCH_BYTES  ((size_t)16 << 20)   /* of rows in one transaction */
#define QUEUE_BYTES  ((size_t)48 << 20)   /* of results that wait for the writer */
#define COPIES_BYTES ((uint64_t)64 << 20) /* of text one blob may become through its copies */

typedef struct job {
    uint32_t entry; /* first entry of the tree with this blob that lacks something */
    uint32_t size;
} job;

typedef struct result { /* one path done */
    struct result *next;
    uint32_t entry;
    sx_skip skip;         /* else the rest is set */
    const char *language; /* static */
    sx_content content;   /* the parser's, of the first path of a blob in a language */
    sx_parse parse;
    sx_bytes words; /* of the units */
    sx_segments segments;
    size_t n_bytes; /* of the file */
    size_t weight;  /* of this result in memory */
} result;

typedef struct update {
    sx_index *index;
    const sx_text_model *text;
    int64_t text_id;
    sx_tree tree;
    int64_t *files;  /* of tree.entries: row of the file; 0: not yet */
    uint8_t *wanted; /* of tree.entries: the workers have it to do; constant while they run */
    job *jobs;
    size_t n_jobs;
    sx_commit commit;
    bool was_complete; /* before: then a cancelled update takes nothing back */
    bool whole;        /* every row that was begun is written: the last batch may be committed */

    sx_index_progress progress;
    sx_index_progress_fn tell;
    void *user;
    int64_t told_ms, batch_ms;
    size_t batch_bytes;

    atomic_size_t next_job;
    atomic_bool stop;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t filled, drained;
    result *first, **last;
    size_t queued_bytes;
    int running; /* workers that may still add results */
    int failed;  /* the first worker's error; its sentence is in why */
    char why[512];
} update;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Asks the callback if it is time to. -ECANCELED if it said so. */
static int tick(update *u)
{
    int64_t now = now_ms();

    if (!u->tell || now - u->told_ms < TICK_MS)
        return 0;
    u->told_ms = now;
    return u->tell(&u->progress, u->user) ? -ECANCELED : 0;
}

static int no_memory(char *err, size_t errlen)
{
    return sx_index_fail(err, errlen, -ENOMEM,
                         "E-RAM: no memory for indexing; what was committed is kept; free some");
}

static int cancelled(char *err, size_t errlen)
{
    return sx_index_fail(
        err, errlen, -ECANCELED,
        "E-CANCELLED: indexing was stopped; what was committed is kept; run it again to go on");
}

static int begin_batch(update *u, char *err, size_t errlen)
{
    u->batch_ms = now_ms();
    u->batch_bytes = 0;
    return sx_catalog_begin(u->index->catalog, err, errlen);
}

/* Commits and begins anew if the batch is large or old enough. */
static int next_batch(update *u, size_t added, char *err, size_t errlen)
{
    int rc;

    u->batch_bytes += added;
    if (u->batch_bytes < BATCH_BYTES && now_ms() - u->batch_ms < u->index->batch_ms)
        return 0;
    if ((rc = sx_catalog_commit(u->index->catalog, err, errlen)) < 0)
        return rc;
    return begin_batch(u, err, errlen);
}

/* ---- results -------------------------------------------------------------------------------- */

static void result_free(result *r)
{
    if (!r)
        return;
    if (r->content.handle)
        sx_content_free(&r->content);
    sx_parse_free(&r->parse);
    sx_bytes_free(&r->words);
    sx_segments_free(&r->segments);
    free(r);
}

/* The result becomes the queue's. Waits while the queue is full; false: stopped, and it was freed.
 */
static bool push(update *u, result *r)
{
    bool stopped;

    r->weight = sizeof *r + (r->content.handle ? r->content.n : 0) +
                r->parse.cap_definitions * sizeof *r->parse.definitions +
                r->parse.cap_references * sizeof *r->parse.references + r->words.cap +
                r->segments.n_tokens * sizeof *r->segments.tokens +
                r->segments.n_blocks * sizeof *r->segments.blocks;
    pthread_mutex_lock(&u->mutex);
    while (u->queued_bytes > QUEUE_BYTES && !atomic_load(&u->stop))
        pthread_cond_wait(&u->drained, &u->mutex);
    stopped = atomic_load(&u->stop);
    if (!stopped) {
        *u->last = r;
        u->last = &r->next;
        u->queued_bytes += r->weight;
        pthread_cond_signal(&u->filled);
    }
    pthread_mutex_unlock(&u->mutex);
    if (stopped)
        result_free(r);
    return !stopped;
}

/* The next result, or NULL after a tick without one. *over: there will be none any more. */
static result *pop(update *u, bool *over)
{
    struct timespec until;
    result *r;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&u->mutex);
    if (!u->first && u->running)
        pthread_cond_timedwait(&u->filled, &u->mutex, &until);
    if ((r = u->first)) {
        u->first = r->next;
        if (!u->first)
            u->last = &u->first;
        u->queued_bytes -= r->weight;
        pthread_cond_broadcast(&u->drained);
    }
    *over = !r && !u->running;
    pthread_mutex_unlock(&u->mutex);
    return r;
}

static void stop_workers(update *u)
{
    pthread_mutex_lock(&u->mutex);
    atomic_store(&u->stop, true);
    pthread_cond_broadcast(&u->drained);
    pthread_mutex_unlock(&u->mutex);
}

/* ---- workers -------------------------------------------------------------------------------- */

typedef struct worker {
    update *u;
    pthread_t thread;
    sx_objects *objects;
    sx_parser *parser;
    /* of the blob in hand: the language it was parsed in last, and the boundaries that gave */
    bool parsed;
    const sx_language *language;
    uint32_t
        *boundaries; /* [2 * cap_boundaries]: the second half is for sx_segments_make() to use up */
    size_t n_boundaries, cap_boundaries;
} worker;

static int keep_boundaries(worker *w, const sx_parse *parse)
{
    if (parse->n_definitions > w->cap_boundaries) {
        uint32_t *grown = realloc(w->boundaries, 2 * parse->n_definitions * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        w->boundaries = grown;
        w->cap_boundaries = parse->n_definitions;
    }
    w->n_boundaries = parse->n_definitions;
    for (size_t i = 0; i < parse->n_definitions; i++)
        w->boundaries[i] = sx_definition_boundary(&parse->definitions[i]);
    return 0;
}

/* Past what one content may become through its copies? The first sixteen always may. */
static bool is_copy_too_many(const sx_tree_entry *entry, uint64_t size)
{
    return entry->copy >= 16 && entry->copy * size >= COPIES_BYTES;
}

/* A path whose content is context: language, definitions, words, segments. */
static int do_source(worker *w, result *r, const char *path, const sx_content *content, char *err,
                     size_t errlen)
{
    const sx_language *language = sx_language_of(path, content->bytes, content->n);
    uint32_t *copy;
    int rc;

    r->language = language ? language->name : "";
    if (!w->parsed || language != w->language) {
        if ((rc = sx_parser_run(w->parser, language, content->bytes, content->n, &w->u->stop,
                                &r->parse, err, errlen)) < 0)
            return rc;
        r->content = sx_content_share(content);
        w->parsed = true;
        w->language = language;
        if (keep_boundaries(w, &r->parse) < 0 ||
            sx_units_pack(&r->words, content->bytes, content->n, &r->parse) < 0)
            return no_memory(err, errlen);
    }
    copy = w->boundaries ? w->boundaries + w->cap_boundaries : NULL;
    if (w->n_boundaries)
        memcpy(copy, w->boundaries, w->n_boundaries * sizeof *copy);
    if (sx_segments_make(&r->segments, w->u->text, path, content->bytes, content->n, copy,
                         w->n_boundaries) < 0)
        return no_memory(err, errlen);
    return 0;
}

/* Reads the blob once and makes a result for each of its paths that wants one. */
static int do_job(worker *w, const job *job, char *err, size_t errlen)
{
    const sx_tree *tree = &w->u->tree;
    sx_content content = {0};
    sx_skip skip = sx_objects_read(w->objects, &tree->entries[job->entry].oid, SX_OBJECT_BLOB,
                                   &content);
    uint32_t at = job->entry;
    int rc = 0;

    if (skip == SX_SKIP_NONE && content.n != job->size)
        skip = SX_SKIP_CORRUPT; /* the header said otherwise */
    w->parsed = false;
    do {
        const sx_tree_entry *entry = &tree->entries[at];
        const char *path = sx_tree_path(tree, entry);
        result *r;

        if (w->u->wanted[at]) {
            if (!(r = calloc(1, sizeof *r))) {
                rc = no_memory(err, errlen);
                break;
            }
            r->entry = at;
            r->n_bytes = job->size;
            r->skip = skip != SX_SKIP_NONE ? skip
                      : is_copy_too_many(entry, job->size)
                          ? SX_SKIP_COPIES
                          : sx_blob_skip_by_content(path, content.bytes, content.n);
            if (r->skip == SX_SKIP_NONE && (rc = do_source(w, r, path, &content, err, errlen)) < 0)
                result_free(r);
            else if (!push(w->u, r))
                rc = -ECANCELED;
        }
        at = entry->next_copy;
    } while (rc == 0 && at && !atomic_load(&w->u->stop));
    if (content.handle)
        sx_content_free(&content);
    return rc;
}

static void *work(void *user)
{
    worker *w = user;
    update *u = w->u;
    char why[512] = "";
    size_t i;
    int rc = 0;

    while (rc == 0 && !atomic_load(&u->stop) && (i = atomic_fetch_add(&u->next_job, 1)) < u->n_jobs)
        rc = do_job(w, &u->jobs[i], why, sizeof why);
    pthread_mutex_lock(&u->mutex);
    if (rc < 0 && rc != -ECANCELED && !u->failed) {
        u->failed = rc;
        memcpy(u->why, why, sizeof why);
        atomic_store(&u->stop, true);
        pthread_cond_broadcast(&u->drained);
    }
    u->running--;
    pthread_cond_signal(&u->filled);
    pthread_mutex_unlock(&u->mutex);
    return NULL;
}

/* ---- what is to be done --------------------------------------------------------------------- */

static int walk_tick(size_t n_entries, void *user)
{
    update *u = user;

    u->progress.files_total = n_entries;
    return tick(u);
}

/* Adds a file of the catalogue to the commit's figures. */
static void count(update *u, uint32_t entry, const sx_file_row *row)
{
    u->files[entry] = row->id;
    if (row->skip != SX_SKIP_NONE) {
        u->commit.skipped++;
        u->commit.damaged |= row->skip == SX_SKIP_MISSING || row->skip == SX_SKIP_CORRUPT;
        return;
    }
    u->commit.files++;
    u->commit.bytes += row->size;
    u->commit.tokens += row->n_tokens;
    u->commit.segments += row->n_segments;
    u->commit.blocks += row->n_blocks;
    u->commit.definitions += row->n_definitions;
    u->commit.references += row->n_references;
}

static int put_skipped(update *u, uint32_t entry, sx_skip skip, uint64_t size, char *err,
                       size_t errlen)
{
    const sx_tree_entry *e = &u->tree.entries[entry];
    const char *path = sx_tree_path(&u->tree, e);
    sx_file_row row = {.skip = skip, .size = size, .file_class = sx_blob_class(path)};
    int rc;

    if ((rc = sx_catalog_put_file(u->index->catalog, path, &e->oid, e->kind, &row, err, errlen)) <
            0 ||
        (rc = next_batch(u, strlen(path) + 64, err, errlen)) < 0)
        return rc;
    count(u, entry, &row);
    return 0;
}

/* Is the row of the catalogue all there is to know? What could not be read is tried again. */
static bool is_known(const sx_file_row *row)
{
    return row->id &&
           (row->blob ? row->is_cut : row->skip != SX_SKIP_MISSING && row->skip != SX_SKIP_CORRUPT);
}

/* Looks an entry up; settles it here if its content need not be read, else marks it wanted. *size:
 * of the blob, asked for once for all copies; UINT64_MAX: not yet. */
static int prepare_entry(update *u, uint32_t entry, uint64_t *size, sx_skip *unreadable, char *err,
                         size_t errlen)
{
    const sx_tree_entry *e = &u->tree.entries[entry];
    const char *path = sx_tree_path(&u->tree, e);
    sx_file_row row;
    sx_skip skip;
    int rc;

    if ((rc = sx_catalog_find_file(u->index->catalog, path, &e->oid, e->kind, u->text_id, &row, err,
                                   errlen)) < 0)
        return rc;
    if (e->skip == SX_SKIP_NONE && is_known(&row)) {
        count(u, entry, &row);
        return 0;
    }
    if (e->skip != SX_SKIP_NONE)
        return put_skipped(u, entry, (sx_skip)e->skip, 0, err, errlen);
    if (*size == UINT64_MAX)
        *unreadable = sx_objects_size(u->index->objects, &e->oid, SX_OBJECT_BLOB, size);
    skip = *unreadable != SX_SKIP_NONE ? *unreadable
           : *size == 0                ? SX_SKIP_EMPTY
                                       : sx_blob_skip_by_path(path);
    if (skip == SX_SKIP_NONE && *size > sx_blob_max_bytes(path))
        skip = SX_SKIP_TOO_LARGE;
    if (skip != SX_SKIP_NONE)
        return put_skipped(u, entry, skip, *size, err, errlen);
    u->wanted[entry] = 1;
    u->progress.files_total++;
    u->progress.bytes_total += *size;
    return 0;
}

/* Goes through the tree, blob by blob, and makes the jobs. */
static int prepare(update *u, char *err, size_t errlen)
{
    size_t n = u->tree.n_entries, cap = 0;
    int rc = 0;

    u->files = calloc(n + 1, sizeof *u->files);
    u->wanted = calloc(n + 1, 1);
    if (!u->files || !u->wanted)
        return no_memory(err, errlen);
    u->progress.files_total = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        const sx_tree_entry *e = &u->tree.entries[i];
        uint64_t size = UINT64_MAX;
        sx_skip unreadable = SX_SKIP_NONE;
        bool wanted = false;

        if (e->copy > 0)
            continue; /* its first copy brought it along */
        for (uint32_t at = (uint32_t)i;; at = u->tree.entries[at].next_copy) {
            if ((rc = prepare_entry(u, at, &size, &unreadable, err, errlen)) < 0)
                break;
            wanted |= u->wanted[at];
            if (!u->tree.entries[at].next_copy)
                break;
        }
        if (rc == 0 && wanted) {
            if (u->n_jobs == cap) {
                job *grown = realloc(u->jobs, (cap = cap ? 2 * cap : 1024) * sizeof *grown);

                if (!grown)
                    return no_memory(err, errlen);
                u->jobs = grown;
            }
            u->jobs[u->n_jobs++] = (job){(uint32_t)i, (uint32_t)size};
        }
        if (rc == 0 && tick(u) < 0) {
            u->whole = true;
            rc = cancelled(err, errlen);
        }
    }
    return rc;
}

/* ---- the writer ----------------------------------------------------------------------------- */

static int write_result(update *u, const result *r, char *err, size_t errlen)
{
    const sx_tree_entry *e = &u->tree.entries[r->entry];
    const char *path = sx_tree_path(&u->tree, e);
    sx_file_row row = {.skip = r->skip, .size = r->n_bytes, .file_class = sx_blob_class(path)};
    sx_catalog *catalog = u->index->catalog;
    int rc;

    if (r->skip == SX_SKIP_NONE &&
        (rc = sx_catalog_put_blob(catalog, &e->oid, r->language, r->content.bytes, r->n_bytes,
                                  &r->parse, &r->words, &row, err, errlen)) < 0)
        return rc;
    if ((rc = sx_catalog_put_file(catalog, path, &e->oid, e->kind, &row, err, errlen)) < 0)
        return rc;
    if (r->skip == SX_SKIP_NONE &&
        (rc = sx_catalog_put_cut(catalog, u->text_id, &r->segments, &row, err, errlen)) < 0)
        return rc;
    count(u, r->entry, &row);
    u->progress.files_done++;
    u->progress.bytes_done += r->n_bytes;
    u->progress.tokens_done += row.n_tokens;
    return next_batch(u, r->weight, err, errlen);
}

static int start_workers(update *u, worker *workers, int n, char *err, size_t errlen)
{
    for (int i = 0; i < n; i++) {
        worker *w = &workers[i];
        int rc;

        w->u = u;
        if ((rc = sx_objects_open(&w->objects, u->index->repository, err, errlen)) < 0 ||
            (rc = sx_parser_new(&w->parser, u->index->queries_dir, NULL, err, errlen)) < 0)
            return rc;
        pthread_mutex_lock(&u->mutex);
        u->running++;
        pthread_mutex_unlock(&u->mutex);
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            pthread_mutex_lock(&u->mutex);
            u->running--;
            pthread_mutex_unlock(&u->mutex);
            w->u = NULL;                               /* nothing to join */
            return i > 0 ? 0 : no_memory(err, errlen); /* fewer threads do as well */
        }
    }
    return 0;
}

/* Runs the workers over the jobs and writes what they find. */
static int run(update *u, char *err, size_t errlen)
{
    size_t most = u->n_jobs < MOST_THREADS ? u->n_jobs : MOST_THREADS;
    int n = u->index->threads < (int)most ? u->index->threads : (int)most, rc;
    worker *workers = calloc((size_t)n + 1, sizeof *workers);
    bool over = false;

    u->progress.step = "parsing";
    rc = workers ? start_workers(u, workers, n, err, errlen) : no_memory(err, errlen);
    while (rc == 0 && !over) {
        result *r = pop(u, &over);

        if (r)
            rc = write_result(u, r, err, errlen);
        result_free(r);
        if (rc == 0 && tick(u) < 0)
            rc = cancelled(err, errlen);
    }
    stop_workers(u);
    for (int i = 0; workers && i < n; i++) {
        if (workers[i].u && workers[i].parser)
            pthread_join(workers[i].thread, NULL);
        sx_parser_free(workers[i].parser);
        sx_objects_close(workers[i].objects);
        free(workers[i].boundaries);
    }
    free(workers);
    u->whole = rc == 0 || rc == -ECANCELED;
    if (rc == 0 && u->failed)
        rc = sx_index_fail(err, errlen, u->failed, "%s", u->why);
    return rc;
}

/* The commit's row: with the list of its files if every one was reached. */
static int finish(update *u, bool complete, char *err, size_t errlen)
{
    sx_bytes list = {0};
    int64_t before = 0;
    int rc;

    u->commit.complete = complete;
    u->commit.damaged |= u->tree.damaged;
    for (size_t i = 0; complete && i < u->tree.n_entries; i++) {
        sx_pack_file(&list, u->files[i], before);
        before = u->files[i];
    }
    if (list.failed)
        rc = no_memory(err, errlen);
    else /* the list of an empty tree is empty, not absent */
        rc = sx_catalog_put_revision(u->index->catalog, u->text_id, &u->commit,
                                     complete ? (list.n ? list.at : (const uint8_t *)"") : NULL,
                                     list.n, err, errlen);
    sx_bytes_free(&list);
    return rc;
}

static int update_commit(update *u, const sx_oid *tree, char *err, size_t errlen)
{
    int rc;

    u->progress.step = "reading the tree";
    if ((rc = sx_tree_walk(&u->tree, u->index->objects, tree, NULL, walk_tick, u, err, errlen)) < 0)
        return rc == -ECANCELED ? cancelled(err, errlen) : rc;
    if ((rc = begin_batch(u, err, errlen)) < 0 ||
        (rc = sx_catalog_text(u->index->catalog, u->text->fingerprint, true, &u->text_id, err,
                              errlen)) < 0)
        return rc;
    if ((rc = prepare(u, err, errlen)) == 0)
        rc = run(u, err, errlen);
    if (rc == 0)
        rc = finish(u, true, err, errlen);
    else if (rc == -ECANCELED && !u->was_complete)
        u->whole = finish(u, false, NULL, 0) == 0;
    if (rc == 0)
        rc = sx_catalog_commit(u->index->catalog, err, errlen);
    else if (u->whole)
        sx_catalog_commit(u->index->catalog, NULL, 0);
    if (rc < 0)
        sx_catalog_rollback(u->index->catalog);
    return rc;
}

int sx_index_update(sx_index *index, const char *rev, const sx_text_model *text,
                    sx_index_progress_fn progress, void *user, sx_commit *out, char *err,
                    size_t errlen)
{
    update u = {.index = index, .text = text, .tell = progress, .user = user};
    int64_t text_id = 0;
    sx_oid tree;
    int rc;

    *out = (sx_commit){0};
    if (index->lock_fd < 0)
        return sx_index_fail(
            err, errlen, -ENOTRECOVERABLE,
            "E-BUG: an update without the lock of %s; nothing was changed; please report it",
            SX_SHOW(index->directory));
    u.last = &u.first;
    pthread_mutex_init(&u.mutex, NULL);
    pthread_cond_init(&u.filled, NULL);
    pthread_cond_init(&u.drained, NULL);
    if ((rc = sx_repository_resolve(index->repository, rev, &u.commit.oid, &tree, err, errlen)) < 0)
        goto out;
    sx_oid_hex(u.commit.hex, &u.commit.oid);
    if ((rc = sx_catalog_text(index->catalog, text->fingerprint, false, &text_id, err, errlen)) < 0)
        goto out;
    if (text_id) {
        sx_commit known = u.commit;

        if ((rc = sx_catalog_find_revision(index->catalog, text_id, &known, err, errlen)) < 0)
            goto out;
        u.was_complete = known.complete;
        if (known.complete && !known.damaged) {
            u.commit = known;
            goto out;
        }
    }
    rc = update_commit(&u, &tree, err, errlen);
    sx_file_list_clear(&index->list);
out:
    if (rc == 0 || rc == -ECANCELED)
        *out = u.commit;
    while (u.first) {
        result *next = u.first->next;

        result_free(u.first);
        u.first = next;
    }
    sx_tree_free(&u.tree);
    free(u.files);
    free(u.wanted);
    free(u.jobs);
    pthread_cond_destroy(&u.filled);
    pthread_cond_destroy(&u.drained);
    pthread_mutex_destroy(&u.mutex);
    return rc;
}
