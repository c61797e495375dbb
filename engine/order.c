/* order.c: what <a> could read -> in which order it would. */
#include "engine/attention_private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of many blocks (dense attention orders all there are) the best so many may be read alone. */
enum { MOST_TRIED = 1024 };

/* What the score of a global layer counts. */
static float layer_weight(const sx_transformer *t, uint32_t g)
{
    return t->config.rank_weight[g] * t->layers[t->config.global_layers[g]].temperature;
}

static float landmark_score(const sx_question *q, uint32_t block)
{
    const sx_transformer *t = q->t;
    float sum = 0.0f;

    for (uint32_t g = 0; g < t->config.n_global; g++)
        sum += layer_weight(t, g) *
               sx_question_dot(q->last_iq + (size_t)g * (size_t)t->landmark_dim,
                               sx_question_landmark(q, (int)g, block), t->landmark_dim);
    return sum;
}

typedef struct asked {
    sx_event_fn event;
    void *user;
} asked;

static bool ask_event(void *user)
{
    const asked *a = user;
    return sx_question_go_on(a->event, a->user);
}

/* A block that may be read. */
typedef struct candidate {
    float both;  /* its score and its passage's prior */
    uint32_t at; /* place among the blocks that are scored */
    const sx_passage *passage;
    int number; /* of that among those read, -1: it is not read */
} candidate;

static int by_both(const void *pa, const void *pb)
{
    const candidate *a = pa, *b = pb;

    if (a->both != b->both)
        return a->both > b->both ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static bool same_passage(const sx_passage *a, const sx_passage *b)
{
    return a->n == b->n && memcmp(a->blocks, b->blocks, sizeof *a->blocks * a->n) == 0;
}

/* The passages of n blocks, as the question's caller sees them, checked; or each block itself. */
static int find_passages(const sx_question *q, sx_passage *passages, const uint32_t *blocks,
                         size_t n, void *user, char *err, size_t errlen)
{
    uint32_t most = q->context->n_blocks;

    for (size_t i = 0; i < n; i++)
        passages[i] = (sx_passage){.around = -1, .n = 1, .blocks = {blocks[i]}};
    if (q->passages && q->passages(passages, blocks, n, user))
        return sx_question_cancelled(err, errlen);
    for (size_t i = 0; i < n; i++) {
        bool good = isfinite(passages[i].prior) && passages[i].n >= 1 &&
                    passages[i].n < SX_PASSAGE_BLOCKS && passages[i].path < most &&
                    (passages[i].around < 0 || (uint32_t)passages[i].around < most);
        for (uint32_t j = 0; good && j < passages[i].n; j++)
            good = passages[i].blocks[j] < most;
        if (!good) {
            snprintf(err, err ? errlen : 0, "E-BUG: a passage that is not among %u blocks", most);
            return -ENOTRECOVERABLE;
        }
    }
    return 0;
}

/* One more run of a passage: `most` rows of a block from its row `first` on, as far as it goes.
 * What would have to be encoded again first is left out. */
static void add_run(const sx_question *q, const void **rows, int32_t *n_rows, int *n_runs,
                    uint32_t block, uint32_t first, uint32_t most)
{
    int n_global = (int)q->t->config.n_global;
    int32_t there = 0;

    if (!sx_context_has(q->context, block))
        return;
    for (int g = 0; g < n_global; g++) {
        const char *row = sx_context_rows(q->context, block, g, &there);
        rows[*n_runs * n_global + g] = row + (size_t)first * q->context->engine->info.kv_row;
    }
    there = (uint32_t)there > first ? there - (int32_t)first : 0;
    n_rows[(*n_runs)++] = (uint32_t)there > most ? (int32_t)most : there;
}

static void add_passage(const sx_question *q, const void **rows, int32_t *n_rows, int *n_runs,
                        const sx_passage *passage)
{
    *n_runs = 0;
    if (passage->path_tokens > 0)
        add_run(q, rows, n_rows, n_runs, passage->path, passage->path_first, passage->path_tokens);
    if (passage->around >= 0)
        add_run(q, rows, n_rows, n_runs, (uint32_t)passage->around, 0, INT32_MAX);
    for (uint32_t i = 0; i < passage->n; i++)
        add_run(q, rows, n_rows, n_runs, passage->blocks[i], 0, INT32_MAX);
}

/* The first SX_READ_MOST passages of n candidates -> how many. */
static int number_passages(const sx_passage **passages, candidate *c, size_t n)
{
    int n_passages = 0;

    for (size_t i = 0; i < n; i++) {
        int number = 0;

        while (number < n_passages && !same_passage(passages[number], c[i].passage))
            number++;
        if (number == n_passages && number < SX_READ_MOST)
            passages[n_passages++] = c[i].passage;
        c[i].number = number < n_passages ? number : -1;
    }
    return n_passages;
}

/* score[i] += what the best SX_READ_MOST passages of n blocks, by score and prior, say read alone,
 * and the least of it for the rest. */
static int read_alone(sx_question *q, float *score, const uint32_t *blocks, size_t n,
                      sx_event_fn event, void *user, char *err, size_t errlen)
{
    float best_sum = -INFINITY;
    size_t runs = SX_READING_RUNS, n_global = q->t->config.n_global;
    size_t tried = n < MOST_TRIED ? n : MOST_TRIED;
    candidate *order = malloc(sizeof *order * (n + 1));
    uint32_t *best = malloc(sizeof *best * (tried + 1));
    sx_passage *of = malloc(sizeof *of * (tried + 1));
    const void **rows = calloc(SX_READ_MOST * runs * n_global + 1, sizeof *rows);
    int32_t *n_rows = calloc(SX_READ_MOST * runs + 1, sizeof *n_rows);
    const sx_passage *passages[SX_READ_MOST];
    float said[SX_READ_MOST], least = INFINITY;
    int n_passages, n_runs[SX_READ_MOST], rc;

    if (!order || !best || !of || !rows || !n_rows) {
        rc = sx_question_no_memory(err, errlen);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = (candidate){.both = score[i], .at = (uint32_t)i, .number = -1};
    qsort(order, n, sizeof *order, by_both);
    for (size_t i = 0; i < tried; i++)
        best[i] = blocks[order[i].at];
    if ((rc = find_passages(q, of, best, tried, user, err, errlen)) < 0)
        goto out;
    for (size_t i = 0; i < tried; i++) {
        order[i].passage = &of[i];
        order[i].both += of[i].prior;
    }
    qsort(order, tried, sizeof *order, by_both);
    n_passages = number_passages(passages, order, tried);
    for (int i = 0; i < n_passages; i++)
        add_passage(q, rows + (size_t)i * runs * n_global, n_rows + (size_t)i * runs, &n_runs[i],
                    passages[i]);
    rc = sx_reading_score(q->reading, said, rows, n_rows, n_runs, n_passages,
                          q->context->engine->kv_format, q->context->engine->threads, ask_event,
                          &(asked){event, user});
    if (rc < 0) {
        rc = rc == -ECANCELED ? sx_question_cancelled(err, errlen)
                              : sx_question_no_memory(err, errlen);
        goto out;
    }
    for (int i = 0; i < n_passages; i++)
        least = fminf(least, said[i]);
    for (size_t i = 0; i < n; i++) {
        float mine = order[i].number >= 0 ? said[order[i].number] : least;

        score[order[i].at] += mine;
        if (score[order[i].at] > best_sum) {
            best_sum = score[order[i].at];
            q->read_first = mine;
        }
    }
out:
    free(order);
    free(best);
    free(of);
    free(rows);
    free(n_rows);
    return rc;
}

int sx_question_score(sx_question *q, float *score, const uint32_t *blocks, size_t n,
                      sx_event_fn event, void *user, char *err, size_t errlen)
{
    int last = (int)q->t->config.n_global - 1, rc;
    int32_t n_rows;

    q->read_first = NAN;
    for (size_t i = 0; i < n; i++)
        score[i] = landmark_score(q, blocks[i]);
    if (n == 0 || (!q->late && !q->reading))
        return 0;
    if ((rc = sx_context_need(q->context, (const int32_t *)blocks, n, event, user, err, errlen)) <
        0)
        return rc;
    for (size_t i = 0; i < n && q->late; i++) {
        const void *rows = sx_context_rows(q->context, blocks[i], last, &n_rows);
        score[i] += sx_late_interaction_score(q->late, rows, q->context->engine->kv_format, n_rows);
    }
    return q->reading && sx_reading_can(q->reading)
               ? read_alone(q, score, blocks, n, event, user, err, errlen)
               : 0;
}

/* The k best of what is added: a heap with the worst on top. */
static void keep_best(sx_scored_block *heap, size_t *n, size_t k, sx_scored_block added)
{
    size_t at = *n;

    if (*n < k) {
        for (heap[(*n)++] = added;
             at > 0 && sx_scored_block_compare(&heap[at], &heap[(at - 1) / 2]) > 0;
             at = (at - 1) / 2) {
            sx_scored_block up = heap[(at - 1) / 2];
            heap[(at - 1) / 2] = heap[at];
            heap[at] = up;
        }
        return;
    }
    if (k == 0 || sx_scored_block_compare(&added, &heap[0]) > 0)
        return;
    for (at = 0;;) {
        size_t worst = 2 * at + 1;

        if (worst + 1 < k && sx_scored_block_compare(&heap[worst + 1], &heap[worst]) > 0)
            worst++;
        if (worst >= k || sx_scored_block_compare(&heap[worst], &added) <= 0)
            break;
        heap[at] = heap[worst];
        at = worst;
    }
    heap[at] = added;
}

/* The SX_CANDIDATES best by what landmark_score() says, of the segments whose k and v are at hand:
 * making those of two hundred segments again would take minutes. best: room for them -> how many */
static size_t best_by_landmarks(sx_question *q, sx_scored_block *best)
{
    const sx_transformer *t = q->t;
    size_t n = 0, dim = (size_t)t->landmark_dim;
    float *layer = q->part_score, *sum = q->part_score + q->context->engine->longest;

    for (size_t p = 0; p < q->context->n_parts; p++) {
        const sx_context_part *part = &q->context->parts[p];

        if (!part->kept && !part->recomputed)
            continue;
        memset(sum, 0, sizeof *sum * part->n_blocks);
        for (uint32_t g = 0; g < t->config.n_global; g++) {
            float weight = layer_weight(t, g);

            t->kn.landmark_score(NULL, layer, q->last_iq + g * dim,
                                 part->landmarks + (size_t)g * part->n_blocks * dim, 1,
                                 (int)part->n_blocks, t->landmark_dim);
            for (uint32_t b = 0; b < part->n_blocks; b++)
                sum[b] += weight * layer[b];
        }
        for (uint32_t b = 0; b < part->n_blocks; b++)
            keep_best(best, &n, SX_CANDIDATES, (sx_scored_block){part->first_block + b, sum[b]});
    }
    return n;
}

/* What <a> chose and what it might have chosen, scored, best first. */
static int order_candidates(sx_question *q, sx_event_fn event, void *user, char *err, size_t errlen)
{
    uint32_t n_global = q->t->config.n_global;
    size_t most = (size_t)q->width * n_global + SX_CANDIDATES, n = 0, n_best = 0;
    int32_t *blocks = malloc(sizeof *blocks * (most + 1));
    float *score = malloc(sizeof *score * (most + 1));
    sx_scored_block best[SX_CANDIDATES];
    int rc;

    free(q->order);
    q->n_order = 0;
    q->order = malloc(sizeof *q->order * (most + 1));
    if (!blocks || !score || !q->order) {
        rc = sx_question_no_memory(err, errlen);
        goto out;
    }
    if (!q->joins) { /* everything, or nothing */
        for (; n < (size_t)q->k; n++)
            blocks[n] = (int32_t)n;
    } else {
        for (uint32_t g = 0; g < n_global; g++)
            for (int i = 0; i < q->selection[g].n; i++)
                if (!sx_question_contains(blocks, (int)n, q->selection[g].block[i]))
                    blocks[n++] = q->selection[g].block[i];
        n_best = best_by_landmarks(q, best);
        for (size_t i = 0; i < n_best; i++)
            if (!sx_question_contains(blocks, (int)n, (int32_t)best[i].block))
                blocks[n++] = (int32_t)best[i].block;
    }
    if ((rc = sx_question_score(q, score, (const uint32_t *)blocks, n, event, user, err, errlen)) <
        0)
        goto out;
    for (size_t i = 0; i < n; i++)
        q->order[i] = (sx_scored_block){(uint32_t)blocks[i], score[i]};
    q->n_order = n;
    qsort(q->order, n, sizeof *q->order, sx_scored_block_compare);
out:
    free(blocks);
    free(score);
    return rc;
}

int sx_question_look_again(sx_question *q, uint32_t token, sx_event_fn event, void *user, char *err,
                           size_t errlen)
{
    int before = q->n_joined;
    int rc = order_candidates(q, event, user, err, errlen);

    if (rc < 0 || q->n < 1 || !q->joins)
        return rc;
    for (size_t i = 0; i < q->n_order && i < SX_JOINED_MOST; i++)
        if (!sx_question_contains(q->joined, q->n_joined, (int32_t)q->order[i].block))
            q->joined[q->n_joined++] = (int32_t)q->order[i].block;
    q->most_joined += q->n_joined - before;
    q->n--;
    return sx_question_push(q, &token, 1, event, user, err, errlen);
}

const sx_scored_block *sx_question_order(const sx_question *q, size_t *n)
{
    *n = q->n_order;
    return q->order;
}

float sx_question_margin(const sx_question *q)
{
    const sx_transformer *t = q->t;
    float sum = 0.0f;

    for (uint32_t g = 0; g < t->config.n_global; g++) {
        const sx_selection *s = &q->selection[g];
        if (!t->config.has_null_scores || s->n < 1)
            return INFINITY;
        sum += layer_weight(t, g) * (s->score[0] - t->config.null_score[g]);
    }
    return sum;
}

float sx_question_read_margin(const sx_question *q)
{
    const sx_config *c = &q->t->config;

    return isnan(q->read_first) ? 0.0f : c->read_null_weight * (q->read_first - c->read_null_score);
}
