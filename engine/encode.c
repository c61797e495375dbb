/* encode.c: segments -> k, v, landmarks, on all cores. A segment is encoded alone, by one thread,
 * so its result depends on nothing but its tokens. */
#include "engine/encode.h"
#include "engine/engine_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FFN_ROWS 256 /* feed-forward tile: its 3 * ffn wide rows stay in the cache */

struct sx_encoder {
    const sx_transformer *t;
    sx_type format;
    int longest;
    float *x, *h, *qkv, *o, *ffn, *pooled, *work;
    float *part;   /* [longest, word_dim] */
    sx_word *word; /* [longest + 1]; the first stays: no word in front of a segment */
    int32_t *block_start;
    float *landmarks;
    char *kv;
};

static void *rows_new(int rows, int width)
{
    size_t bytes = ((size_t)sx_matmul_rows(rows) * (size_t)width * sizeof(float) + 63) / 64 * 64;
    void *p = aligned_alloc(64, bytes);
    if (p)
        memset(p, 0, bytes); /* rows behind n are multiplied too: they must hold numbers */
    return p;
}

sx_encoder *sx_encoder_new(const sx_transformer *t, int longest, sx_type format)
{
    sx_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    size_t n_global = t->config.n_global;
    *e = (sx_encoder){
        .t = t,
        .format = format,
        .longest = longest,
        .x = rows_new(longest, t->d),
        .h = rows_new(longest, t->d),
        .qkv = rows_new(longest, t->qkv_width),
        .o = rows_new(longest, t->heads * t->head_dim),
        .ffn = rows_new(FFN_ROWS, 3 * t->ffn),
        .pooled = rows_new(longest, t->landmark_dim + 1),
        .work = malloc(sx_window_attention_work(longest, 1, longest, t->head_dim,
                                                (int)t->config.sliding_window)),
        .part = sx_transformer_rows(longest, t->config.word_dim),
        .word = calloc((size_t)longest + 1, sizeof(sx_word)),
        .block_start = malloc(sizeof(int32_t) * ((size_t)longest + 1)),
        .landmarks = malloc(sizeof(float) * n_global * (size_t)longest * (size_t)t->landmark_dim),
        .kv = malloc(n_global * (size_t)longest *
                     sx_kv_row_bytes(format, t->kv_heads, t->head_dim)),
    };
    if (!e->x || !e->h || !e->qkv || !e->o || !e->ffn || !e->pooled || !e->work || !e->part ||
        !e->word || !e->block_start || !e->landmarks || !e->kv) {
        sx_encoder_free(e);
        return NULL;
    }
    return e;
}

void sx_encoder_free(sx_encoder *e)
{
    if (!e)
        return;
    free(e->x);
    free(e->h);
    free(e->qkv);
    free(e->o);
    free(e->ffn);
    free(e->pooled);
    free(e->work);
    free(e->part);
    free(e->word);
    free(e->block_start);
    free(e->landmarks);
    free(e->kv);
    free(e);
}

static bool stopped(const atomic_bool *stop)
{
    return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

/* What the global layer `l` keeps of the segment, from h and qkv. */
static bool keep(sx_encoder *e, int l, int n, int n_blocks)
{
    const sx_transformer *t = e->t;
    const sx_layer *w = &t->layers[l];
    size_t row_bytes = sx_kv_row_bytes(e->format, t->kv_heads, t->head_dim);
    const float *k = e->qkv + t->heads * t->head_dim, *v = k + t->kv_heads * t->head_dim;

    if (!t->kn.matmul(NULL, e->pooled, e->h, w->landmark, n, false))
        return false;
    t->kn.landmark_pool(NULL, e->landmarks + (size_t)w->global * n_blocks * t->landmark_dim,
                        e->pooled, e->pooled + t->landmark_dim, t->landmark_dim + 1, w->gate_bias,
                        e->block_start, n_blocks, t->landmark_dim);
    t->kn.kv_pack(NULL, e->kv + (size_t)w->global * n * row_bytes, e->format, k, v, n, t->qkv_width,
                  t->kv_heads, t->head_dim);
    return true;
}

int sx_encoder_run(sx_encoder *e, const uint32_t *tokens, int n, const uint32_t *block_starts,
                   int n_blocks, const atomic_bool *stop, const float **landmarks, const void **kv)
{
    const sx_transformer *t = e->t;
    int last = (int)t->config.global_layers[t->config.n_global - 1];
    int q = t->heads * t->head_dim, kv_width = t->kv_heads * t->head_dim;

    if (n < 1 || n > e->longest || n_blocks < 1 || n_blocks > n || block_starts[0] != 0)
        return -EINVAL;
    for (int i = 0; i < n; i++)
        if (tokens[i] >= t->config.vocab_size)
            return -EINVAL;
    for (int b = 0; b < n_blocks; b++) {
        if (block_starts[b] >= (uint32_t)n || (b && block_starts[b] <= block_starts[b - 1]))
            return -EINVAL;
        e->block_start[b] = (int32_t)block_starts[b];
    }
    e->block_start[n_blocks] = n;

    if (!sx_transformer_embed(t, e->x, e->part, e->word, tokens, n))
        return -ENOMEM;
    memset(e->x + (size_t)n * t->d, 0,
           sizeof(float) * (size_t)(sx_matmul_rows(n) - n) * (size_t)t->d);
    for (int l = 0;; l++) {
        if (stopped(stop))
            return -ECANCELED;
        if (!sx_transformer_qkv(t, l, e->h, e->qkv, e->x, t->rope, n))
            return -ENOMEM;
        if (t->layers[l].global >= 0 && !keep(e, l, n, n_blocks))
            return -ENOMEM;
        if (l == last) /* nothing above needs the context's hidden states */
            break;
        /* a segment sees itself through the window, in global layers too */
        t->kn.window_attention(NULL, e->o, e->qkv, e->qkv + q, e->qkv + q + kv_width, t->qkv_width,
                               (const int32_t[]){0, n}, 1, n, t->heads, t->kv_heads, t->head_dim,
                               (int)t->config.sliding_window, t->scale, e->work);
        for (int i = 0; i < n; i += FFN_ROWS) {
            int rows = n - i < FFN_ROWS ? n - i : FFN_ROWS;
            if (stopped(stop))
                return -ECANCELED;
            if (!sx_transformer_mix(t, l, e->x + (size_t)i * t->d, e->o + (size_t)i * q, e->h,
                                    e->ffn, rows))
                return -ENOMEM;
        }
    }
    *landmarks = e->landmarks;
    *kv = e->kv;
    return 0;
}

/* ---- all cores
 * ------------------------------------------------------------------------------------ */

typedef struct encode_job {
    sx_engine *engine;
    sx_encode_source_fn source;
    sx_encode_sink_fn sink;
    void *user;
    atomic_bool halt;     /* ours: somebody failed, or the caller said stop */
    pthread_mutex_t lock; /* source, sink, rc, running */
    pthread_cond_t finished;
    int running;
    int rc;
} encode_job;

/* Workers look at one flag; the calling thread copies the caller's into it. */
static void *encode_worker(void *arg)
{
    encode_job *job = arg;
    const sx_transformer *t = job->engine->transformer;
    sx_encoder *encoder = sx_encoder_new(t, (int)job->engine->longest, job->engine->kv_format);
    int rc = encoder ? 0 : -ENOMEM;

    t->kn.matmul_threads(1); /* one segment a thread is worth more than many threads a segment */
    while (!rc) {
        sx_encode_input in = {0};
        const float *landmarks;
        const void *kv;

        pthread_mutex_lock(&job->lock);
        rc = job->rc ? job->rc : atomic_load(&job->halt) ? -ECANCELED : job->source(&in, job->user);
        pthread_mutex_unlock(&job->lock);
        if (rc <= 0)
            break;
        rc = sx_encoder_run(encoder, in.tokens, (int)in.n_tokens, in.block_starts, (int)in.n_blocks,
                            &job->halt, &landmarks, &kv);
        if (!rc) {
            sx_encode_output out = {in.id, in.n_tokens, in.n_blocks, landmarks, kv};
            pthread_mutex_lock(&job->lock);
            rc = job->rc ? job->rc : job->sink(&out, job->user);
            pthread_mutex_unlock(&job->lock);
        }
        free(in.tokens);
        free(in.block_starts);
    }
    sx_encoder_free(encoder);
    pthread_mutex_lock(&job->lock);
    if (rc < 0 && !job->rc) {
        job->rc = rc;
        atomic_store(&job->halt, true);
    }
    job->running--;
    pthread_cond_signal(&job->finished);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

int sx_encode_polled(sx_engine *engine, sx_encode_source_fn source, sx_encode_sink_fn sink,
                     sx_encode_poll_fn poll, void *user, const atomic_bool *stop, char *err,
                     size_t errlen)
{
    encode_job job = {.engine = engine, .source = source, .sink = sink, .user = user};
    int n = engine->threads, started = 0;
    pthread_t *threads = NULL;

    if (!engine->transformer) {
        snprintf(err, err ? errlen : 0,
                 "E-BUG: encoding asked of an engine opened without weights");
        return -ENOTRECOVERABLE;
    }
    if (!(threads = calloc((size_t)n, sizeof *threads)))
        goto out;
    pthread_mutex_init(&job.lock, NULL);
    pthread_cond_init(&job.finished, NULL);
    pthread_mutex_lock(&job.lock);
    for (; started < n; started++) {
        job.running++;
        if (pthread_create(&threads[started], NULL, encode_worker, &job)) {
            job.running--;
            break;
        }
    }
    while (job.running) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50 * 1000 * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&job.finished, &job.lock, &until);
        if (stopped(stop) || (poll && poll(user)))
            atomic_store(&job.halt, true);
    }
    pthread_mutex_unlock(&job.lock);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&job.lock);
    pthread_cond_destroy(&job.finished);
out:
    free(threads);
    if (!started)
        job.rc = -ENOMEM;
    if (job.rc == -ENOMEM)
        snprintf(err, err ? errlen : 0,
                 "E-MEMORY: not enough memory to encode; segments encoded so far were kept; free "
                 "memory or "
                 "use fewer --threads");
    else if (job.rc == -ECANCELED)
        snprintf(err, err ? errlen : 0,
                 "E-CANCELLED: encoding was stopped; segments encoded so far were kept; run again "
                 "to go on");
    else if (job.rc == -EINVAL)
        snprintf(err, err ? errlen : 0,
                 "E-SEGMENT: a stored segment does not fit the model; the others were kept; run "
                 "`sparsex "
                 "forget` on the repository and index it again");
    return job.rc;
}

int sx_encode(sx_engine *engine, sx_encode_source_fn source, sx_encode_sink_fn sink, void *user,
              const atomic_bool *stop, char *err, size_t errlen)
{
    return sx_encode_polled(engine, source, sink, NULL, user, stop, err, errlen);
}
