/* sparse_select.c: which blocks of a long sequence each query block attends to. */
#include "tests/kernelcheck/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Score of block b for the query block at `first`, and what its terms weigh. */
static double score_of(const sx_sparse *shape, const buffer *q, int q_stride, const buffer *k,
                       int kv_stride, const buffer *mean, int first, int kv, int b, double *weight)
{
    int group = shape->heads / shape->kv_heads, d = shape->d;
    double best = -INFINITY;
    *weight = 0;
    for (int h = kv * group; h < (kv + 1) * group; h++)
        for (int g = 0; g < (shape->score == SX_SCORE_MEAN ? 1 : SX_BLOCK / SX_ANTIDIAGONAL); g++) {
            double sum = 0, terms = 0;
            for (int t = 0; t < (shape->score == SX_SCORE_MEAN ? 1 : SX_ANTIDIAGONAL); t++) {
                if (first - t < 0)
                    continue;
                const float *x = q->x + (size_t)(first - t) * q_stride + h * d;
                const float *y = shape->score == SX_SCORE_MEAN
                                     ? mean->x + ((size_t)b * shape->kv_heads + kv) * d
                                     : k->x +
                                           (size_t)(b * SX_BLOCK + SX_ANTIDIAGONAL * g + t) *
                                               kv_stride +
                                           kv * d;
                for (int e = 0; e < d; e++) {
                    sum += (double)x[e] * y[e];
                    terms += fabs((double)x[e] * y[e]);
                }
            }
            double scale = shape->score == SX_SCORE_MEAN ? shape->scale
                                                         : shape->scale / SX_ANTIDIAGONAL;
            best = fmax(best, sum * scale);
            *weight = fmax(*weight, terms * scale);
        }
    return best;
}

/* exact: values so coarse that every score is exact, and many are equal. */
static void check_shape(backend *on, const sx_sparse *whole, int first, bool exact)
{
    sx_sparse shape = *whole;
    int total = whole->n, d = shape.d, kv_heads = shape.kv_heads;
    int q_stride = shape.heads * d + 8, kv_stride = kv_heads * d + 8, blocks = total / SX_BLOCK;
    int query_blocks = (total + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK + 1;
    size_t entries = (size_t)kv_heads * (size_t)query_blocks * (size_t)shape.k;

    begin_case(on, "n %d from %d heads %d/%d d %d window %d k %d sink %d score %d exact %d", total,
               first, shape.heads, kv_heads, d, shape.window, shape.k, shape.sink, shape.score,
               exact);
    buffer *q = buffer_new(on, (size_t)total * (size_t)q_stride, on->kn.type);
    buffer *k = buffer_new(on, (size_t)total * (size_t)kv_stride, on->kn.type);
    buffer *mean = buffer_new(on, (size_t)blocks * (size_t)(kv_heads * d), on->kn.type);
    buffer *all[] = {q, k, mean};
    for (int i = 0; i < 3; i++) {
        for (size_t j = 0; j < all[i]->n; j++)
            all[i]->x[j] = exact ? (float)between(-1, 1) : uniform();
        buffer_upload(all[i]);
    }
    buffer *selection = buffer_bytes(on, NULL, entries * sizeof(int32_t));
    buffer *work = buffer_work(on, sx_sparse_select_work(&shape));
    int32_t *before = host_memory(on, entries * sizeof *before + 4);
    buffer_result(selection, 0);
    memcpy(before, selection->raw, entries * sizeof *before);

    shape.start = first;
    shape.n = total - first;
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(selection);
        on->kn.sparse_select(on->stream, selection->p, query_blocks, &shape,
                             buffer_at(q, (size_t)first * q_stride), q_stride, k->p, kv_stride,
                             mean->p, work->p);
        buffer_result(selection, run);
    }
    const int32_t *got = selection->raw;
    double *score = numbers(on, (size_t)blocks + 1);
    for (int kv = 0; kv < kv_heads; kv++)
        for (int b = 0; b < query_blocks; b++) {
            const int32_t *list = got + ((size_t)kv * query_blocks + b) * shape.k;
            int row = b * SX_QUERY_BLOCK, lo = row + SX_QUERY_BLOCK - shape.window, n, found = 0;
            double slack = 0, least = INFINITY;
            if (row < first || row >= total) { /* not this call's */
                expect(!memcmp(list, before + (list - got), sizeof *list * (size_t)shape.k),
                       "query block %d was written", b);
                continue;
            }
            lo = row < shape.dense ? 0 : lo > row ? row : lo;
            n = lo > 0 ? (lo + SX_BLOCK - 1) / SX_BLOCK : 0;
            while (found < shape.k && list[found] >= 0)
                found++;
            bool fine = found == (n < shape.k ? n : shape.k);
            for (int i = 0; i < found; i++)
                fine = fine && list[i] < n && (!i || list[i] > list[i - 1]);
            for (int i = found; i < shape.k; i++)
                fine = fine && list[i] == -1;
            if (!expect(fine, "query block %d: %d blocks, or their order", b, found))
                continue;
            for (int c = 0; c < n; c++) {
                double weight;
                score[c] = score_of(&shape, q, q_stride, k, kv_stride, mean, row, kv, c, &weight);
                slack = fmax(slack, sum_error(d * SX_ANTIDIAGONAL, weight));
                if (!c && shape.sink)
                    score[c] = INFINITY;
            }
            for (int i = 0; i < found; i++)
                least = fmin(least, score[list[i]]);
            for (int c = 0, at = 0; c < n; c++) {
                bool in = at < found && list[at] == c;
                at += in;
                if (!in && !exact)
                    fine = fine && score[c] <= least + 2 * slack;
                if (!in && exact) { /* a tie must have gone to a lower block */
                    fine = fine && score[c] <= least;
                    for (int i = at; i < found; i++)
                        fine = fine && score[list[i]] > score[c];
                }
            }
            expect(fine, "query block %d: a better block was left out", b);
        }
    end_case(on);
}

void check_sparse_select(backend *on)
{
    static const struct {
        int n, first, heads, kv_heads, window, k;
        bool sink;
    } shapes[] = {
        {1, 0, 2, 1, 1, 1, false},        {128, 0, 2, 1, 1, 4, false},
        {129, 0, 4, 2, 1, 1, true},       {300, 129, 7, 1, 64, 2, false},
        {1000, 0, 8, 1, 100, 3, true},    {1500, 640, 9, 1, 192, 5, false},
        {1500, 641, 20, 1, 513, 4, true}, {3000, 2000, 2, 2, 128, 16, false},
        {9000, 8000, 3, 1, 200, 7, true}, {9000, 8700, 2, 1, 200, 128, false},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int score = 0; score < 2; score++)
            for (int exact = 0; exact < 2; exact++) {
                sx_sparse shape = {.heads = shapes[i].heads,
                                   .kv_heads = shapes[i].kv_heads,
                                   .d = i % 2 ? 64 : 128,
                                   .n = shapes[i].n,
                                   .window = shapes[i].window,
                                   .k = shapes[i].k,
                                   .dense = i % 4 == 3 ? 300 : 0,
                                   .sink = shapes[i].sink,
                                   .score = score ? SX_SCORE_ANTIDIAGONAL : SX_SCORE_MEAN,
                                   .scale = exact ? 1.0f : 0.125f,
                                   .gate = {1, 1, 1}};
                if (!on->quick || shape.n < 1600)
                    check_shape(on, &shape, shapes[i].first, exact);
            }
}

typedef struct selecting {
    sx_sparse shape;
    void *q, *k, *mean, *work;
    int32_t *selection;
    int query_blocks;
} selecting;

static void run(backend *on, void *user, int turn)
{
    selecting *s = user;
    (void)turn;
    on->kn.sparse_select(on->stream, s->selection, s->query_blocks, &s->shape, s->q,
                         s->shape.heads * s->shape.d, s->k, s->shape.kv_heads * s->shape.d, s->mean,
                         s->work);
}

void bench_sparse_select(backend *on)
{
    static const struct {
        int n;
        sx_block_score score;
    } shapes[] = {{131072, SX_SCORE_MEAN},
                  {131072, SX_SCORE_ANTIDIAGONAL},
                  {1048576, SX_SCORE_MEAN},
                  {4194304, SX_SCORE_MEAN}};
    for (size_t i = 0; i < (on->gpu ? sizeof shapes / sizeof *shapes : 0); i++) {
        selecting s = {.shape = {.heads = 28,
                                 .kv_heads = 4,
                                 .d = 128,
                                 .n = shapes[i].n,
                                 .window = 512,
                                 .k = 32,
                                 .score = shapes[i].score,
                                 .scale = 0.08838835f,
                                 .gate = {1, 1, 1}}};
        size_t n = (size_t)s.shape.n, width = (size_t)(s.shape.kv_heads * s.shape.d);
        double pairs = 0; /* of a query head and a block */
        char what[80];

        s.query_blocks = s.shape.n / SX_QUERY_BLOCK;
        s.q = bench_values(on, n * (size_t)(s.shape.heads * s.shape.d), on->kn.type);
        s.k = bench_values(on, n * width, on->kn.type);
        s.mean = bench_values(on, n / SX_BLOCK * width, on->kn.type);
        s.selection = bench_memory(on, (size_t)(s.shape.kv_heads * s.query_blocks * s.shape.k) * 4);
        s.work = bench_memory(on, sx_sparse_select_work(&s.shape));
        for (int b = 4; b < s.query_blocks; b++)
            pairs += 2.0 * (b - 3) * s.shape.heads;
        bool mean = s.shape.score == SX_SCORE_MEAN;
        snprintf(what, sizeof what, "sparse_select n %d K 2048%s", s.shape.n,
                 mean ? "" : " antidiagonal");
        measure(on, what, (double)(mean ? n / SX_BLOCK : n) * (double)width * 2,
                pairs * 2.0 * s.shape.d * (mean ? 1 : SX_BLOCK), run, &s);
        end_case(on);
    }
}
