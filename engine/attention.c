/* attention.c: question tokens -> selection -> attention, layer by layer. Rows go through in
 * chunks; a row costs its own arithmetic only, because the question's k and v stay. */
#include "engine/attention_private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 32 /* question tokens in one pass */

int sx_question_no_memory(char *err, size_t errlen)
{
    snprintf(
        err, err ? errlen : 0,
        "E-MEMORY: not enough memory for the question; the index is kept; free memory or ask with "
        "sparse attention");
    return -ENOMEM;
}

int sx_question_cancelled(char *err, size_t errlen)
{
    snprintf(err, err ? errlen : 0, "E-CANCELLED: the answer was stopped; the index is kept");
    return -ECANCELED;
}

bool sx_question_go_on(sx_event_fn event, void *user)
{
    sx_event asking = {.kind = SX_EVENT_WORK};
    return !event || !event(&asking, user);
}

int sx_scored_block_compare(const void *a, const void *b) /* best first */
{
    const sx_scored_block *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->block < y->block ? -1 : x->block > y->block;
}

const float *sx_question_landmark(const sx_question *q, int global, uint32_t block)
{
    const sx_context *context = q->context;
    const sx_context_part *part = &context->parts[context->block_part[block]];

    return part->landmarks + ((size_t)global * part->n_blocks + (block - part->first_block)) *
                                 (size_t)q->t->landmark_dim;
}

float sx_question_dot(const float *a, const float *b, int n)
{
    float sum = 0.0f;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

bool sx_question_contains(const int32_t *blocks, int n, int32_t block)
{
    for (int i = 0; i < n; i++)
        if (blocks[i] == block)
            return true;
    return false;
}

int sx_question_new(sx_question **out, sx_context *context, int capacity,
                    const sx_ask_options *options, char *err, size_t errlen)
{
    const sx_transformer *t = context->engine->transformer;
    sx_attention attention = options->attention;
    sx_question *q = calloc(1, sizeof *q);
    size_t kv_width, layers, k, width;
    bool joins;

    *out = NULL;
    if (!q)
        return sx_question_no_memory(err, errlen);
    kv_width = (size_t)t->kv_heads * (size_t)t->head_dim;
    layers = t->config.num_hidden_layers;
    k = attention == SX_ATTENTION_WINDOW  ? 0
        : attention == SX_ATTENTION_DENSE ? context->n_blocks
        : options->top_k                  ? options->top_k
                                          : t->config.top_k_blocks;
    if (k > context->n_blocks)
        k = context->n_blocks;
    joins = k > 0 && k < context->n_blocks;
    width = k + (joins ? options->n_joined + SX_JOINED_MOST + SX_HELD_MOST : 0);
    for (size_t i = 0; joins && i < options->n_joined; i++)
        if (options->joined[i] >= context->n_blocks) {
            free(q);
            snprintf(err, err ? errlen : 0, "E-BUG: block %u joined to a question about %u blocks",
                     options->joined[i], context->n_blocks);
            return -ENOTRECOVERABLE;
        }
    /* A question's products are small: one thread streams the weights, and OpenMP's busy waiting
     * would cost many times that on a machine with other work. */
    t->kn.matmul_threads(1);
    *q = (sx_question){.context = context,
                       .t = t,
                       .capacity = capacity,
                       .k = (int)k,
                       .width = (int)width,
                       .joins = joins,
                       .read_first = NAN,
                       .passages = t->config.read_blocks ? options->passages : NULL};
    q->own_k = calloc(layers * (size_t)capacity, kv_width * sizeof(float));
    q->own_v = calloc(layers * (size_t)capacity, kv_width * sizeof(float));
    q->x = sx_transformer_rows(CHUNK, (size_t)t->d);
    q->h = sx_transformer_rows(CHUNK, (size_t)t->d);
    q->qkv = sx_transformer_rows(CHUNK, (size_t)t->qkv_width);
    q->o = sx_transformer_rows(CHUNK, (size_t)t->heads * (size_t)t->head_dim);
    q->ffn = sx_transformer_rows(CHUNK, 3 * (size_t)t->ffn);
    q->rope = sx_transformer_rows(CHUNK, (size_t)t->head_dim);
    q->logits = sx_transformer_rows(1, t->config.vocab_size);
    q->part = sx_transformer_rows(CHUNK, t->config.word_dim);
    q->word = calloc((size_t)capacity + 1, sizeof *q->word);
    q->iq = sx_transformer_rows(CHUNK, (size_t)t->landmark_dim);
    q->part_score = sx_transformer_rows(CHUNK, context->engine->longest);
    q->joined = calloc(width - k + SX_PLACE_MOST, sizeof *q->joined);
    q->last_iq = calloc((size_t)t->config.n_global * (size_t)t->landmark_dim, sizeof *q->last_iq);
    q->top_block = calloc(CHUNK * k + 1, sizeof *q->top_block);
    q->top_score = calloc(CHUNK * k + 1, sizeof *q->top_score);
    q->topk_work = malloc(sx_landmark_topk_work(CHUNK, (int)context->engine->longest,
                                                k ? (int)k : 1, t->landmark_dim));
    q->block = calloc(CHUNK * width + 1, sizeof *q->block);
    q->score = calloc(CHUNK * width + 1, sizeof *q->score);
    q->run = calloc(CHUNK * width + 1, sizeof *q->run);
    q->run_rows = calloc(CHUNK * width + 1, sizeof *q->run_rows);
    q->first_run = calloc(CHUNK + 1, sizeof *q->first_run);
    q->mass = calloc(CHUNK * width + 1, sizeof *q->mass);
    q->selection = calloc(t->config.n_global, sizeof *q->selection);
    if (!q->own_k || !q->own_v || !q->x || !q->h || !q->qkv || !q->o || !q->ffn || !q->rope ||
        !q->logits || !q->part || !q->word || !q->iq || !q->last_iq || !q->joined ||
        !q->part_score || !q->topk_work || !q->top_block || !q->top_score || !q->block ||
        !q->score || !q->run || !q->run_rows || !q->first_run || !q->mass || !q->selection ||
        (k > 0 &&
         (sx_late_interaction_new(&q->late, t, CHUNK) < 0 || sx_reading_new(&q->reading, t) < 0)))
        goto short_of_memory;
    q->most_joined = joins ? (int)options->n_joined + SX_HELD_MOST : 0;
    if (joins && options->n_joined) {
        memcpy(q->joined, options->joined, options->n_joined * sizeof *q->joined);
        q->n_joined = (int)options->n_joined;
    }
    for (uint32_t g = 0; g < t->config.n_global; g++) {
        sx_selection *s = &q->selection[g];
        s->block = calloc(width + 1, sizeof *s->block);
        s->score = calloc(width + 1, sizeof *s->score);
        s->mass = calloc(width + 1, sizeof *s->mass);
        if (!s->block || !s->score || !s->mass)
            goto short_of_memory;
    }
    *out = q;
    return 0;
short_of_memory:
    sx_question_free(q);
    return sx_question_no_memory(err, errlen);
}

void sx_question_free(sx_question *q)
{
    if (!q)
        return;
    for (uint32_t g = 0; q->selection && g < q->t->config.n_global; g++) {
        free(q->selection[g].block);
        free(q->selection[g].score);
        free(q->selection[g].mass);
    }
    void *buffers[] = {q->own_k,     q->own_v,  q->x,         q->h,         q->qkv,
                       q->o,         q->ffn,    q->rope,      q->logits,    q->iq,
                       q->last_iq,   q->joined, q->top_block, q->top_score, q->part_score,
                       q->topk_work, q->block,  q->score,     q->run,       q->run_rows,
                       q->first_run, q->mass,   q->work,      q->selection, q->part,
                       q->word};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        free(buffers[i]);
    sx_late_interaction_free(q->late);
    sx_reading_free(q->reading);
    free(q->order);
    free(q);
}

/* Every block of the context for one row, best first: what dense attention "selects". */
static bool sort_row(int32_t *block, float *score, int k)
{
    sx_scored_block *all = malloc(sizeof *all * ((size_t)k + 1));
    if (!all)
        return false;
    for (int b = 0; b < k; b++)
        all[b] = (sx_scored_block){(uint32_t)b, score[b]};
    qsort(all, (size_t)k, sizeof *all, sx_scored_block_compare);
    for (int b = 0; b < k; b++) {
        score[b] = all[b].score;
        block[b] = (int32_t)all[b].block;
    }
    free(all);
    return true;
}

/* Row i's own choice, unless there is none, then what was joined and is not in it. */
static void join_blocks(sx_question *q, int global, int i)
{
    int32_t *block = q->block + (size_t)i * q->width;
    float *score = q->score + (size_t)i * q->width;
    const float *iq = q->iq + (size_t)i * q->t->landmark_dim;
    int n = 0;

    if (!q->closed) {
        memcpy(block, q->top_block + (size_t)i * q->k, sizeof *block * (size_t)q->k);
        memcpy(score, q->top_score + (size_t)i * q->k, sizeof *score * (size_t)q->k);
        while (n < q->k && block[n] >= 0)
            n++;
    }
    for (int j = 0; j < q->n_joined; j++) {
        if (sx_question_contains(block, n, q->joined[j]))
            continue;
        block[n] = q->joined[j];
        score[n++] = sx_question_dot(iq, sx_question_landmark(q, global, (uint32_t)q->joined[j]),
                                     q->t->landmark_dim);
    }
    for (; n < q->width; n++)
        block[n] = -1;
}

/* Which blocks: score all landmarks of the repository, keep the k best for each of n rows. */
static bool select_blocks(sx_question *q, const sx_layer *layer, int n)
{
    const sx_transformer *t = q->t;
    const sx_context *context = q->context;
    int dim = t->landmark_dim, k = q->k;
    bool all = (uint32_t)k == context->n_blocks;

    if (!t->kn.matmul(NULL, q->iq, q->h, layer->query, n, false))
        return false;
    for (int i = 0; i < n; i++) { /* unit vectors */
        float *v = q->iq + (size_t)i * dim, norm = 0.0f;
        for (int j = 0; j < dim; j++)
            norm += v[j] * v[j];
        norm = fmaxf(sqrtf(norm), 1e-12f);
        for (int j = 0; j < dim; j++)
            v[j] /= norm;
    }
    memcpy(q->last_iq + (size_t)layer->global * dim, q->iq + (size_t)(n - 1) * dim,
           sizeof(float) * (size_t)dim);
    for (int i = 0; i < n * k; i++) {
        q->top_score[i] = -INFINITY;
        q->top_block[i] = -1;
    }
    for (size_t p = 0; p < context->n_parts && !q->closed; p++) {
        const sx_context_part *part = &context->parts[p];
        const float *landmarks = part->landmarks +
                                 (size_t)layer->global * part->n_blocks * (size_t)dim;
        int blocks = (int)part->n_blocks;
        if (!all) {
            t->kn.landmark_topk(NULL, q->top_score, q->top_block, k, q->iq, n, landmarks, SX_F32,
                                NULL, blocks, (int32_t)part->first_block, dim, q->topk_work);
            continue;
        }
        t->kn.landmark_score(NULL, q->part_score, q->iq, landmarks, n, blocks, dim);
        for (int i = 0; i < n; i++)
            memcpy(q->top_score + (size_t)i * k + part->first_block,
                   q->part_score + (size_t)i * blocks, sizeof(float) * (size_t)blocks);
    }
    for (int i = 0; i < n; i++) {
        if (all && !q->closed &&
            !sort_row(q->top_block + (size_t)i * k, q->top_score + (size_t)i * k, k))
            return false;
        join_blocks(q, layer->global, i);
    }
    return true;
}

/* n rows of the chunk, each under one softmax over its own past and its selected blocks. last: the
 * last row's selection is kept. */
static bool attend(sx_question *q, int l, int n, bool last)
{
    const sx_transformer *t = q->t;
    const sx_layer *layer = &t->layers[l];
    int kv_width = t->kv_heads * t->head_dim, runs = 0;
    const float *own_k = q->own_k + (size_t)l * q->capacity * kv_width;
    const float *own_v = q->own_v + (size_t)l * q->capacity * kv_width;
    int64_t most = 0; /* rows one token sees */
    size_t bytes;

    for (int i = 0; i < n; i++) {
        int64_t rows = q->n + i + 1;
        const int32_t *block = q->block + (size_t)i * q->width;
        q->first_run[i] = runs;
        for (int j = 0; layer->global >= 0 && j < q->width && block[j] >= 0; j++, runs++) {
            q->run[runs] = sx_context_rows(q->context, (uint32_t)block[j], layer->global,
                                           &q->run_rows[runs]);
            rows += q->run_rows[runs];
        }
        most = rows > most ? rows : most;
    }
    q->first_run[n] = runs;
    bytes = sx_gather_attention_work(n, runs, most, t->heads, t->kv_heads, t->head_dim);
    if (bytes > q->work_bytes) {
        free(q->work);
        q->work_bytes = 0;
        if (!(q->work = malloc(bytes)))
            return false;
        q->work_bytes = bytes;
    }
    t->kn.gather_attention(NULL, q->o, q->mass, q->qkv, t->qkv_width, n, own_k, own_v, q->n,
                           kv_width, q->run, q->run_rows, q->first_run, runs,
                           q->context->engine->kv_format, t->heads, t->kv_heads, t->head_dim,
                           t->scale, q->work);
    if (last && layer->global >= 0) {
        sx_selection *s = &q->selection[layer->global];
        int first = q->first_run[n - 1];
        size_t row = (size_t)(n - 1) * q->width;
        s->n = runs - first;
        memcpy(s->block, q->block + row, sizeof *q->block * (size_t)s->n);
        memcpy(s->score, q->score + row, sizeof *q->score * (size_t)s->n);
        memcpy(s->mass, q->mass + first, sizeof *q->mass * (size_t)s->n);
    }
    return true;
}

/* One chunk of rows through all layers. */
static int push_chunk(sx_question *q, const uint32_t *ids, int n, bool last, sx_event_fn event,
                      void *user, char *err, size_t errlen)
{
    const sx_transformer *t = q->t;
    int kv_width = t->kv_heads * t->head_dim, rc;

    sx_rope_rows(t, q->rope, q->n, n);
    if (!sx_transformer_embed(t, q->x, q->part, q->word + q->n, ids, n))
        return sx_question_no_memory(err, errlen);
    for (int l = 0; l < (int)t->config.num_hidden_layers; l++) {
        const sx_layer *layer = &t->layers[l];
        if (!sx_question_go_on(event, user))
            return sx_question_cancelled(err, errlen);
        if (q->reading && layer->global == 0)
            sx_reading_push(q->reading, q->x, n);
        if (!sx_transformer_qkv(t, l, q->h, q->qkv, q->x, q->rope, n))
            return sx_question_no_memory(err, errlen);
        for (int i = 0; i < n; i++) { /* the question's own k and v */
            const float *row = q->qkv + (size_t)i * t->qkv_width + t->heads * t->head_dim;
            size_t at = ((size_t)l * q->capacity + q->n + i) * kv_width;
            memcpy(q->own_k + at, row, sizeof(float) * (size_t)kv_width);
            memcpy(q->own_v + at, row + kv_width, sizeof(float) * (size_t)kv_width);
        }
        if (layer->global >= 0 && q->k) {
            if (!select_blocks(q, layer, n) ||
                (layer->late && !sx_late_interaction_push(q->late, q->h, n)))
                return sx_question_no_memory(err, errlen);
            if ((rc = sx_context_need(q->context, q->block, (size_t)n * q->width, event, user, err,
                                      errlen)) < 0)
                return rc;
        }
        if (!attend(q, l, n, last))
            return sx_question_no_memory(err, errlen);
        if (!sx_transformer_mix(t, l, q->x, q->o, q->h, q->ffn, n))
            return sx_question_no_memory(err, errlen);
    }
    if (last && !sx_transformer_logits(t, q->logits, q->h, q->x + (size_t)(n - 1) * t->d))
        return sx_question_no_memory(err, errlen);
    q->n += n;
    return 0;
}

void sx_question_hold(sx_question *q, int best)
{
    for (uint32_t g = 0; g < q->t->config.n_global; g++) {
        const sx_selection *chosen = &q->selection[g];

        for (int i = 0; i < chosen->n && (best == 0 || i < best); i++)
            if (q->n_joined < q->most_joined &&
                !sx_question_contains(q->joined, q->n_joined, chosen->block[i]))
                q->joined[q->n_joined++] = chosen->block[i];
    }
}

int sx_question_read_only(sx_question *q, const uint32_t *blocks, size_t n, uint32_t token,
                          sx_event_fn event, void *user, char *err, size_t errlen)
{
    if (q->width == 0 || q->n < 1)
        return 0;
    q->closed = true;
    q->n_joined = 0;
    for (size_t i = 0; i < n && i < SX_PLACE_MOST && i < (size_t)q->width; i++)
        q->joined[q->n_joined++] = (int32_t)blocks[i];
    q->most_joined = q->n_joined;
    q->n--;
    return sx_question_push(q, &token, 1, event, user, err, errlen);
}

void sx_question_take_back(sx_question *q, int n)
{
    q->n -= n;
}

int sx_question_push(sx_question *q, const uint32_t *ids, int n, sx_event_fn event, void *user,
                     char *err, size_t errlen)
{
    if (n < 1 || n > q->capacity - q->n) {
        snprintf(err, err ? errlen : 0, "E-BUG: %d question tokens where %d fit", n,
                 q->capacity - q->n);
        return -ENOTRECOVERABLE;
    }
    for (int i = 0; i < n; i += CHUNK) {
        int rows = n - i < CHUNK ? n - i : CHUNK;
        int rc = push_chunk(q, ids + i, rows, i + rows == n, event, user, err, errlen);
        if (rc < 0)
            return rc;
    }
    return 0;
}

const float *sx_question_logits(const sx_question *q)
{
    return q->logits;
}

const sx_selection *sx_question_selection(const sx_question *q, int global)
{
    return &q->selection[global];
}
