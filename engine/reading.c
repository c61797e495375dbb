/* reading.c: one question, each passage alone; a few passages side by side in a thread, so that
 * weights are streamed once for all of them. */
#include "engine/reading.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 4, MOST_THREADS = 16 };

struct sx_reading {
    const sx_transformer *t;
    int most, n;  /* tokens of a question there may be, there are; n > most: too many */
    float *start; /* [most, d]: what enters the first global layer */
};

typedef struct scratch {                 /* of one thread; n tokens of a question */
    float *x, *h, *qkv, *o, *ffn, *rope; /* [AT_ONCE * n, ..] */
    const void **run;                    /* [n, SX_READING_RUNS]: the passage, for every token */
    int32_t *run_rows, *first_run;       /* [n, SX_READING_RUNS], [n + 1] */
    float *mass;                         /* [n, SX_READING_RUNS] */
    void *work;
} scratch;

typedef struct job {
    const sx_reading *r;
    float *score;
    const void *const *rows;
    const int32_t *n_rows;
    const int *n_runs;
    int n;
    sx_type format;
    atomic_int next; /* passage that nobody reads yet */
    atomic_int rc;
} job;

int sx_reading_new(sx_reading **out, const sx_transformer *t)
{
    int most = (int)t->config.read_tokens;
    sx_reading *r;

    *out = NULL;
    if (!t->read)
        return 0;
    if (!(r = calloc(1, sizeof *r)))
        return -ENOMEM;
    *r = (sx_reading){.t = t, .most = most, .start = sx_transformer_rows(most, (size_t)t->d)};
    if (!r->start) {
        free(r);
        return -ENOMEM;
    }
    *out = r;
    return 0;
}

void sx_reading_free(sx_reading *r)
{
    if (!r)
        return;
    free(r->start);
    free(r);
}

void sx_reading_push(sx_reading *r, const float *x, int n)
{
    size_t d = (size_t)r->t->d;

    if (n <= r->most - r->n)
        memcpy(r->start + (size_t)r->n * d, x, sizeof(float) * (size_t)n * d);
    r->n = n <= r->most - r->n ? r->n + n : r->most + 1;
}

bool sx_reading_can(const sx_reading *r)
{
    return r->n > 0 && r->n <= r->most;
}

static void scratch_free(scratch *s)
{
    float *buffers[] = {s->x, s->h, s->qkv, s->o, s->ffn, s->rope, s->mass};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        free(buffers[i]);
    free(s->run);
    free(s->run_rows);
    free(s->first_run);
    free(s->work);
}

static bool scratch_make(scratch *s, const sx_reading *r)
{
    const sx_transformer *t = r->t;
    int rows = AT_ONCE * r->n;
    size_t n = (size_t)r->n, runs = n * SX_READING_RUNS;
    int64_t most = r->n + (int64_t)t->config.block_tokens * SX_READING_RUNS;

    *s = (scratch){
        .x = sx_transformer_rows(rows, (size_t)t->d),
        .h = sx_transformer_rows(rows, (size_t)t->d),
        .qkv = sx_transformer_rows(rows, (size_t)t->qkv_width),
        .o = sx_transformer_rows(rows, (size_t)(t->heads * t->head_dim)),
        .ffn = sx_transformer_rows(rows, (size_t)(3 * t->ffn)),
        .rope = sx_transformer_rows(rows, (size_t)t->head_dim),
        .run = calloc(runs, sizeof *s->run),
        .run_rows = calloc(runs, sizeof *s->run_rows),
        .first_run = calloc(n + 1, sizeof *s->first_run),
        .mass = calloc(runs, sizeof *s->mass),
        .work = malloc(
            sx_gather_attention_work(r->n, (int)runs, most, t->heads, t->kv_heads, t->head_dim)),
    };
    return s->x && s->h && s->qkv && s->o && s->ffn && s->rope && s->run && s->run_rows &&
           s->first_run && s->mass && s->work;
}

/* Number `at` of those at hand, number `passage` of all: each of the question's tokens from `since`
 * on sees its own past and, in a global layer, the passage. */
static void attend(const job *j, scratch *s, int at, int passage, int global, int since)
{
    const sx_reading *r = j->r;
    const sx_transformer *t = r->t;
    int n_global = (int)t->config.n_global, runs = 0, n = r->n - since;
    size_t width = (size_t)t->qkv_width;
    const float *own = s->qkv + (size_t)at * (size_t)r->n * width;
    const float *k = own + t->heads * t->head_dim, *v = k + t->kv_heads * t->head_dim;

    for (int i = 0; i < n; i++) {
        for (int p = 0; global >= 0 && p < j->n_runs[passage]; p++) {
            int run = passage * SX_READING_RUNS + p;

            if (j->n_rows[run] < 1)
                continue;
            s->run[runs] = j->rows[run * n_global + global];
            s->run_rows[runs++] = j->n_rows[run];
        }
        s->first_run[i + 1] = runs;
    }
    t->kn.gather_attention(NULL, s->o + (size_t)at * (size_t)n * (size_t)(t->heads * t->head_dim),
                           s->mass, own + (size_t)since * width, t->qkv_width, n, k, v, since,
                           t->qkv_width, s->run, s->run_rows, s->first_run, runs, j->format,
                           t->heads, t->kv_heads, t->head_dim, t->scale, s->work);
}

/* Passages first .. first + n, n at most AT_ONCE. */
static bool read_passages(const job *j, scratch *s, int first, int n)
{
    const sx_reading *r = j->r;
    const sx_transformer *t = r->t;
    int all = n * r->n, last = (int)t->config.num_hidden_layers - 1;
    size_t d = (size_t)t->d, width = (size_t)t->head_dim;

    for (int b = 0; b < n; b++) {
        memcpy(s->x + (size_t)(b * r->n) * d, r->start, sizeof(float) * (size_t)r->n * d);
        memcpy(s->rope + (size_t)(b * r->n) * width, t->rope, sizeof(float) * (size_t)r->n * width);
    }
    for (int l = (int)t->config.global_layers[0]; l <= last; l++) {
        int global = t->layers[l].global, since = l == last ? r->n - 1 : 0;

        if (!sx_transformer_qkv(t, l, s->h, s->qkv, s->x, s->rope, all))
            return false;
        for (int b = 0; b < n; b++) {
            attend(j, s, b, first + b, global, since);
            if (since > 0) /* only what <a> becomes is wanted of the last layer */
                memmove(s->x + (size_t)b * d, s->x + (size_t)(b * r->n + since) * d,
                        sizeof(float) * d);
        }
        if (!sx_transformer_mix(t, l, s->x, s->o, s->h, s->ffn, since > 0 ? n : all))
            return false;
    }
    for (int b = 0; b < n; b++) {
        float sum = 0.0f;

        t->kn.rms_norm(NULL, s->h, s->x + (size_t)b * d, t->nf, 1, t->d, t->config.rms_norm_eps);
        for (int i = 0; i < t->d; i++)
            sum += s->h[i] * t->read[i];
        j->score[first + b] = sum;
    }
    return true;
}

/* Reads passages until none is left or somebody failed; the caller's thread asks go_on. */
static void read_some(job *j, bool (*go_on)(void *), void *user)
{
    scratch s;
    bool made = scratch_make(&s, j->r);
    int first;

    /* a setting of the thread: a few passages each, not each passage by many */
    j->r->t->kn.matmul_threads(1);
    if (!made)
        atomic_store(&j->rc, -ENOMEM);
    while (made && !atomic_load(&j->rc) && (first = atomic_fetch_add(&j->next, AT_ONCE)) < j->n) {
        int n = j->n - first < AT_ONCE ? j->n - first : AT_ONCE;

        if (go_on && !go_on(user))
            atomic_store(&j->rc, -ECANCELED);
        else if (!read_passages(j, &s, first, n))
            atomic_store(&j->rc, -ENOMEM);
    }
    scratch_free(&s);
}

static void *worker(void *arg)
{
    read_some(arg, NULL, NULL);
    return NULL;
}

int sx_reading_score(const sx_reading *r, float *score, const void *const *rows,
                     const int32_t *n_rows, const int *n_runs, int n, sx_type format, int threads,
                     bool (*go_on)(void *user), void *user)
{
    job j = {.r = r,
             .score = score,
             .rows = rows,
             .n_rows = n_rows,
             .n_runs = n_runs,
             .n = n,
             .format = format};
    pthread_t thread[MOST_THREADS];
    int started = 0, wanted = (n + AT_ONCE - 1) / AT_ONCE;

    wanted = wanted < threads ? wanted : threads;
    wanted = wanted < MOST_THREADS ? wanted : MOST_THREADS;
    for (; started + 1 < wanted; started++) /* with fewer than wanted it takes longer */
        if (pthread_create(&thread[started], NULL, worker, &j))
            break;
    read_some(&j, go_on, user);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    return atomic_load(&j.rc);
}
