/* sparse_attention.c: local, far and selected keys of a long sequence under one softmax; and what
 * must hold whatever is selected: everything selected is dense attention, a sequence cut into calls
 * gives the same rows, nobody sees what comes later. */
#include "tests/kernelcheck/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 8 }; /* numbers between two rows of q, k and v that belong to nobody */

/* A sequence and its selection, on the device. */
typedef struct sequence {
    sx_sparse shape; /* of one call over all of it */
    int q_stride, kv_stride, width, blocks, query_blocks;
    buffer *q, *k, *v, *mean_k, *mean_v, *selection;
} sequence;

static int first_seen(const sx_sparse *shape, int p)
{
    int lo = p - shape->window + 1, block = p / SX_QUERY_BLOCK * SX_QUERY_BLOCK;
    lo = block < shape->dense ? 0 : lo > block ? block : lo;
    return lo > 0 ? lo : 0;
}

static void means(backend *on, sequence *s)
{
    on->kn.block_mean(on->stream, s->mean_k->p, s->k->p, 0, s->blocks, s->kv_stride, s->width);
    on->kn.block_mean(on->stream, s->mean_v->p, s->v->p, 0, s->blocks, s->kv_stride, s->width);
    buffer_result(s->mean_k, 0);
    buffer_result(s->mean_v, 0);
}

/* selected: a random part of the candidates, or all of them. */
static void make(backend *on, sequence *s, const sx_sparse *shape, bool all)
{
    int32_t *list;
    *s = (sequence){.shape = *shape};
    s->width = shape->kv_heads * shape->d;
    s->q_stride = shape->heads * shape->d + KEPT;
    s->kv_stride = s->width + KEPT;
    s->blocks = shape->n / SX_BLOCK;
    s->query_blocks = (shape->n + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK;
    s->q = buffer_random(on, (size_t)shape->n * (size_t)s->q_stride, on->kn.type, 2.0f);
    s->k = buffer_random(on, (size_t)shape->n * (size_t)s->kv_stride, on->kn.type, 2.0f);
    s->v = buffer_random(on, (size_t)shape->n * (size_t)s->kv_stride, on->kn.type, 1.0f);
    s->mean_k = buffer_new(on, (size_t)s->blocks * (size_t)s->width, on->kn.type);
    s->mean_v = buffer_new(on, (size_t)s->blocks * (size_t)s->width, on->kn.type);
    means(on, s);
    size_t entries = (size_t)shape->kv_heads * (size_t)s->query_blocks * (size_t)shape->k;
    list = host_memory(on, (entries + 1) * sizeof *list);
    for (int h = 0; h < shape->kv_heads; h++)
        for (int b = 0; b < s->query_blocks; b++) {
            int32_t *row = list + ((size_t)h * s->query_blocks + b) * shape->k;
            int lo = first_seen(shape, b * SX_QUERY_BLOCK + SX_QUERY_BLOCK - 1);
            int candidates = (lo + SX_BLOCK - 1) / SX_BLOCK, found = 0;
            for (int c = 0; c < candidates && found < shape->k; c++)
                if (all || between(0, candidates - 1) < shape->k)
                    row[found++] = c;
            while (found < shape->k)
                row[found++] = -1;
        }
    s->selection = buffer_bytes(on, list, entries * sizeof *list);
}

/* Rows first .. first + n of the sequence, into o (all of it) and, where given, lse [heads, n]. */
static void attend(backend *on, const sequence *s, buffer *o, buffer *lse, int first, int n)
{
    sx_sparse shape = s->shape;
    shape.start = first;
    shape.n = n;
    on->kn.sparse_attention(
        on->stream, buffer_at(o, (size_t)first * shape.heads * shape.d), lse ? lse->p : NULL,
        &shape, buffer_at(s->q, (size_t)first * s->q_stride), s->q_stride, s->k->p, s->v->p,
        s->kv_stride, s->mean_k->p, s->mean_v->p, s->selection->p, s->query_blocks);
}

/* What one row sees, straight from the definition: want [d], slack [d]; returns lse. */
static double row(const sequence *s, int p, int h, double *want, double *slack, double *score,
                  const float **value, bool bf16)
{
    const sx_sparse *shape = &s->shape;
    int group = shape->heads / shape->kv_heads, kv = h / group, d = shape->d, n = 0;
    int lo = first_seen(shape, p);
    const int32_t *list = (const int32_t *)s->selection->raw +
                          ((size_t)kv * s->query_blocks + p / SX_QUERY_BLOCK) * (size_t)shape->k;
    const float *query = s->q->x + (size_t)p * s->q_stride + h * d;
    double top = -INFINITY, sum = 0;

    for (int j = 0; j <= p; j++) { /* keys */
        bool selected = false, strided = shape->stride && j % shape->stride == 0;
        for (int i = 0; i < shape->k; i++)
            selected = selected || list[i] == j / SX_BLOCK;
        double weight = j >= lo    ? shape->gate[0]
                        : strided  ? shape->gate[1]
                        : selected ? shape->gate[2]
                                   : 0;
        if (weight == 0)
            continue;
        const float *key = s->k->x + (size_t)j * s->kv_stride + kv * d;
        double dot = 0;
        for (int e = 0; e < d; e++)
            dot += (double)query[e] * key[e];
        score[n] = dot * shape->scale + log(weight);
        value[n++] = s->v->x + (size_t)j * s->kv_stride + kv * d;
    }
    for (int b = 0; shape->landmarks && (b + 1) * SX_BLOCK <= lo; b++) {
        bool selected = false;
        for (int i = 0; i < shape->k; i++)
            selected = selected || list[i] == b;
        if (selected)
            continue;
        const float *key = s->mean_k->x + (size_t)b * s->width + kv * d;
        double dot = 0;
        for (int e = 0; e < d; e++)
            dot += (double)query[e] * key[e];
        score[n] = dot * shape->scale + log(shape->gate[1]);
        value[n++] = s->mean_v->x + (size_t)b * s->width + kv * d;
    }
    for (int i = 0; i < n; i++)
        top = fmax(top, score[i]);
    for (int i = 0; i < n; i++)
        sum += score[i] = exp(score[i] - top);
    for (int e = 0; e < d; e++) {
        double x = 0, weight = 0;
        for (int i = 0; i < n; i++) {
            double term = score[i] / sum * value[i][e];
            x += term;
            weight += fabs(term);
        }
        want[e] = x;
        /* float32 scores of d terms move the shares; a GPU rounds each share to bfloat16 */
        slack[e] = 4 * (d + 16) * FLT_EPSILON * (1 + weight) + sum_error(n, weight) +
                   (bf16 ? 0x1p-8 * weight : 0);
    }
    return top + log(sum);
}

static void check_shape(backend *on, const sx_sparse *shape, const char *what)
{
    sequence s;
    begin_case(on, "%s n %d heads %d/%d d %d window %d stride %d landmarks %d k %d", what, shape->n,
               shape->heads, shape->kv_heads, shape->d, shape->window, shape->stride,
               shape->landmarks, shape->k);
    make(on, &s, shape, false);
    int n = shape->n, d = shape->d;
    size_t size = (size_t)n * (size_t)(shape->heads * d);
    buffer *o = buffer_new(on, size, on->kn.type);
    buffer *lse = buffer_new(on, (size_t)shape->heads * (size_t)n, SX_F32);
    double *want = numbers(on, size), *slack = numbers(on, size);
    double *want_lse = numbers(on, (size_t)shape->heads * (size_t)n), *score = numbers(on, 2 * n);
    const float **value = host_memory(on, sizeof *value * 2 * ((size_t)n + 1));
    bool bf16 = on->kn.type == SX_BF16;

    for (int i = 0; i < n; i++)
        for (int h = 0; h < shape->heads; h++) {
            size_t at = ((size_t)i * shape->heads + h) * d;
            want_lse[(size_t)h * n + i] = row(&s, i, h, want + at, slack + at, score, value, bf16);
        }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(o);
        buffer_reset(lse);
        attend(on, &s, o, lse, 0, n);
        buffer_result(o, run);
        buffer_result(lse, run);
    }
    check_within(o, want, slack);
    /* the sum of weights that a GPU has rounded to bfloat16 */
    check_near(lse, want_lse, bf16 ? 0x1p-8 : (4 * d + n) * FLT_EPSILON);

    /* the same rows however the sequence is cut, down to one row a call */
    int cuts[] = {n / 3, n / 3 + 1, n / 2, n - 1};
    buffer_reset(o);
    for (int i = 0, at = 0; i <= 4; i++) {
        int end = i < 4 && cuts[i] < n ? cuts[i] : n;
        if (end > at) {
            attend(on, &s, o, NULL, at, end - at);
            at = end;
        }
    }
    buffer_result(o, 1);
    end_case(on);
}

/* Everything selected gives what dense attention gives. */
static void check_dense(backend *on, int n, int window, int stride, bool landmarks, int d)
{
    sequence s;
    sx_sparse shape = {.heads = 4,
                       .kv_heads = 2,
                       .d = d,
                       .n = n,
                       .window = window,
                       .stride = stride,
                       .landmarks = landmarks,
                       .k = SX_BLOCKS_MAX,
                       .scale = 1.0f / sqrtf((float)d),
                       .gate = {1, 1, 1}};
    begin_case(on, "dense n %d window %d stride %d landmarks %d d %d", n, window, stride, landmarks,
               d);
    make(on, &s, &shape, true);
    size_t size = (size_t)n * (size_t)(shape.heads * d);
    buffer *sparse = buffer_new(on, size, on->kn.type), *dense = buffer_new(on, size, on->kn.type);
    double *want = numbers(on, size), *slack = numbers(on, size);
    attend(on, &s, sparse, NULL, 0, n);
    buffer_result(sparse, 0);
    s.shape.window = n;
    s.shape.k = s.shape.stride = 0;
    s.shape.landmarks = false;
    attend(on, &s, dense, NULL, 0, n);
    buffer_result(dense, 0);
    for (size_t i = 0; i < size; i++) { /* |v| <= 1: what the rounding of the shares may do */
        want[i] = dense->x[i];
        slack[i] = on->kn.type == SX_BF16 ? 0x1p-7 : 64 * FLT_EPSILON;
    }
    check_within(sparse, want, slack);
    end_case(on);
}

/* A changed token changes no earlier row, selections included. */
static void check_causality(backend *on, const sx_sparse *shape)
{
    sequence s;
    int n = shape->n, at = between(1, n - 1), row_bytes = 4;
    begin_case(on, "causality n %d window %d stride %d landmarks %d score %d token %d", n,
               shape->window, shape->stride, shape->landmarks, shape->score, at);
    make(on, &s, shape, false);
    size_t width = (size_t)(shape->heads * shape->d), size = (size_t)n * width;
    size_t entries = (size_t)shape->kv_heads * (size_t)s.query_blocks * (size_t)shape->k;
    buffer *o = buffer_new(on, size, on->kn.type);
    buffer *work = buffer_work(on, sx_sparse_select_work(shape));
    char *rows = host_memory(on, size * 4), *selection = host_memory(on, entries * 4 + 4);
    row_bytes = on->kn.type == SX_F32 ? 4 : 2;

    s.selection = buffer_bytes(on, NULL, entries * sizeof(int32_t));
    for (int changed = 0; changed < 2; changed++) {
        if (changed) {
            for (int j = 0; j < s.q_stride; j++)
                s.q->x[(size_t)at * s.q_stride + j] = 4.0f * uniform();
            for (int j = 0; j < s.kv_stride; j++) {
                s.k->x[(size_t)at * s.kv_stride + j] = 4.0f * uniform();
                s.v->x[(size_t)at * s.kv_stride + j] = 4.0f * uniform();
            }
            buffer_upload(s.q);
            buffer_upload(s.k);
            buffer_upload(s.v);
            buffer_reset(s.mean_k);
            buffer_reset(s.mean_v);
            means(on, &s);
        }
        buffer_reset(o);
        on->kn.sparse_select(on->stream, s.selection->p, s.query_blocks, shape, s.q->p, s.q_stride,
                             s.k->p, s.kv_stride, s.mean_k->p, work->p);
        attend(on, &s, o, NULL, 0, n);
        buffer_result(s.selection, 0);
        buffer_result(o, 0);
        if (!changed) {
            memcpy(rows, o->raw, size * (size_t)row_bytes);
            memcpy(selection, s.selection->raw, entries * sizeof(int32_t));
        }
    }
    expect(!memcmp(rows, o->raw, (size_t)at * width * (size_t)row_bytes),
           "a row before token %d changed", at);
    expect(memcmp(rows, o->raw, size * (size_t)row_bytes), "nothing changed");
    for (int h = 0; h < shape->kv_heads; h++) {
        size_t first = (size_t)h * s.query_blocks * shape->k * sizeof(int32_t);
        size_t bytes = (size_t)((at + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK) * shape->k * 4;
        expect(!memcmp(selection + first, (char *)s.selection->raw + first, bytes),
               "a selection before token %d changed", at);
    }
    end_case(on);
}

void check_sparse_attention(backend *on)
{
    static const struct {
        int n, heads, kv_heads, window, stride;
        bool landmarks;
        int k;
        float gate[3];
    } shapes[] = {
        {0, 2, 1, 64, 0, false, 0, {1, 1, 1}},        {1, 2, 1, 1 << 20, 0, false, 0, {1, 1, 1}},
        {63, 2, 1, 64, 0, false, 0, {1, 1, 1}},       {64, 2, 2, 1, 0, false, 1, {1, 1, 1}},
        {65, 7, 1, 32, 0, false, 2, {1, 1, 1}},       {127, 2, 1, 1 << 20, 0, false, 0, {1, 1, 1}},
        {128, 2, 1, 100, 0, false, 1, {1, 1, 1}},     {129, 2, 1, 128, 16, false, 1, {1, 1, 1}},
        {255, 4, 2, 128, 64, false, 1, {1, 1, 1}},    {257, 4, 2, 129, 256, false, 2, {1, 2, 0.5f}},
        {300, 3, 1, 64, 0, true, 2, {1, 64, 1}},      {385, 2, 1, 1, 0, true, 0, {0.5f, 64, 1}},
        {520, 8, 1, 130, 8, false, 3, {1, 0.25f, 2}}, {700, 5, 1, 192, 0, true, 3, {1, 64, 3}},
        {641, 2, 1, 1 << 20, 0, false, 4, {1, 1, 1}}, {1000, 2, 2, 513, 128, false, 7, {1, 1, 1}},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int d = on->gpu ? 64 : 16; d <= 128; d = d < 64 ? 64 : 2 * d) {
            sx_sparse shape = {.heads = shapes[i].heads,
                               .kv_heads = shapes[i].kv_heads,
                               .d = d,
                               .n = shapes[i].n,
                               .window = shapes[i].window,
                               .stride = shapes[i].stride,
                               .landmarks = shapes[i].landmarks,
                               .k = shapes[i].k,
                               .dense = i % 5 == 2 ? 150 : 0,
                               .scale = 1.0f / sqrtf((float)d)};
            memcpy(shape.gate, shapes[i].gate, sizeof shape.gate);
            if (!on->quick || shape.n < 400)
                check_shape(on, &shape, "attention");
        }
    for (int n = 127; n < (on->quick ? 200 : 460); n += n % 64 == 1 ? 62 : 1)
        check_dense(on, n, 1 + n % 190, n % 3 ? 0 : 32, n % 3 == 1, n % 2 ? 64 : 128);
    for (int i = 0; i < (on->quick ? 2 : 12); i++) {
        sx_sparse shape = {.heads = 4,
                           .kv_heads = 2,
                           .d = 64,
                           .n = between(400, 900),
                           .window = between(1, 300),
                           .stride = i % 3 == 1 ? 64 : 0,
                           .landmarks = i % 3 == 2,
                           .k = between(1, 3),
                           .dense = i % 4 ? 0 : 200,
                           .sink = i % 2,
                           .score = i % 2 ? SX_SCORE_ANTIDIAGONAL : SX_SCORE_MEAN,
                           .scale = 0.125f,
                           .gate = {1, 1, 1}};
        check_causality(on, &shape);
    }
}

/* ---- bench ---- */

typedef struct prefill {
    sx_sparse shape;
    char *q, *k, *v;
    void *mean_k, *mean_v, *o, *work;
    int32_t *selection;
    int query_blocks, copies; /* of q, k and v */
} prefill;

static void run(backend *on, void *user, int turn)
{
    prefill *p = user;
    int width = p->shape.kv_heads * p->shape.d, rows = p->shape.heads * p->shape.d;
    size_t copy = (size_t)(turn % p->copies) * (size_t)p->shape.n * 2; /* bytes of one column */
    char *q = p->q + copy * (size_t)rows;
    char *k = p->k + copy * (size_t)width, *v = p->v + copy * (size_t)width;
    if (p->shape.n <= p->shape.dense) {
        on->kn.sparse_attention(on->stream, p->o, NULL, &p->shape, q, rows, k, v, width, NULL, NULL,
                                NULL, 0);
        return;
    }
    if (p->shape.k)
        on->kn.block_mean(on->stream, p->mean_k, k, 0, p->shape.n / SX_BLOCK, width, width);
    if (p->shape.landmarks)
        on->kn.block_mean(on->stream, p->mean_v, v, 0, p->shape.n / SX_BLOCK, width, width);
    if (p->shape.k)
        on->kn.sparse_select(on->stream, p->selection, p->query_blocks, &p->shape, q, rows, k,
                             width, p->mean_k, p->work);
    on->kn.sparse_attention(on->stream, p->o, NULL, &p->shape, q, rows, k, v, width, p->mean_k,
                            p->mean_v, p->selection, p->query_blocks);
}

/* Means, selection and attention together: the work is what the rows see, nothing else. */
void bench_sparse_attention(backend *on)
{
    static const struct {
        int n, window, stride, k;
        bool landmarks;
        sx_block_score score;
    } shapes[] = {
        {4096, 1 << 30, 0, 0, false, SX_SCORE_MEAN},
        {8192, 1 << 30, 0, 0, false, SX_SCORE_MEAN},
        {16384, 1 << 30, 0, 0, false, SX_SCORE_MEAN},
        {32768, 1 << 30, 0, 0, false, SX_SCORE_MEAN},
        {65536, 1 << 30, 0, 0, false, SX_SCORE_MEAN},
        {131072, 1 << 30, 0, 0, false, SX_SCORE_MEAN},
        {4096, 512, 0, 32, false, SX_SCORE_MEAN},
        {8192, 512, 0, 32, false, SX_SCORE_MEAN},
        {16384, 512, 0, 32, false, SX_SCORE_MEAN},
        {32768, 512, 0, 32, false, SX_SCORE_MEAN},
        {65536, 512, 0, 32, false, SX_SCORE_MEAN},
        {131072, 512, 0, 32, false, SX_SCORE_MEAN},
        {131072, 4096, 256, 8, false, SX_SCORE_MEAN},
        {131072, 512, 0, 32, true, SX_SCORE_MEAN},
        {131072, 512, 0, 32, false, SX_SCORE_ANTIDIAGONAL},
        {524288, 512, 0, 32, false, SX_SCORE_MEAN},
        {1048576, 512, 0, 32, false, SX_SCORE_MEAN},
        {4194304, 512, 0, 32, false, SX_SCORE_MEAN},
    };
    for (size_t i = 0; i < (on->gpu ? sizeof shapes / sizeof *shapes : 0); i++) {
        prefill p = {.shape = {.heads = 28,
                               .kv_heads = 4,
                               .d = 128,
                               .n = shapes[i].n,
                               .window = shapes[i].window,
                               .stride = shapes[i].stride,
                               .landmarks = shapes[i].landmarks,
                               .k = shapes[i].k,
                               .score = shapes[i].score,
                               .scale = 0.08838835f,
                               .gate = {1, 1, 1}}};
        int n = p.shape.n, width = p.shape.kv_heads * p.shape.d;
        double keys = 0;
        char what[96];
        p.shape.dense = p.shape.k ? sx_sparse_dense_below(&p.shape) : 0;

        p.query_blocks = (n + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK;
        size_t rows = (size_t)n * (size_t)(p.shape.heads * p.shape.d);
        p.copies = bench_copies(on, 2 * (rows + 2 * (size_t)n * (size_t)width));
        p.q = bench_values(on, rows * (size_t)p.copies, on->kn.type);
        p.k = bench_values(on, (size_t)n * (size_t)width * (size_t)p.copies, on->kn.type);
        p.v = bench_values(on, (size_t)n * (size_t)width * (size_t)p.copies, on->kn.type);
        p.o = bench_memory(on, (size_t)n * (size_t)(p.shape.heads * p.shape.d) * 2);
        p.mean_k = bench_memory(on, (size_t)n / SX_BLOCK * (size_t)width * 2);
        p.mean_v = bench_memory(on, (size_t)n / SX_BLOCK * (size_t)width * 2);
        p.selection = bench_memory(on, (size_t)p.shape.kv_heads * (size_t)p.query_blocks *
                                               (size_t)p.shape.k * sizeof(int32_t) +
                                           4);
        p.work = bench_memory(on, sx_sparse_select_work(&p.shape));
        for (int at = 0; at < n; at++) {
            double lo = first_seen(&p.shape, at), chosen = fmin(64.0 * p.shape.k, lo);
            keys += at - lo + 1 + chosen;
            if (p.shape.stride)
                keys += (lo - chosen) / p.shape.stride;
            if (p.shape.landmarks)
                keys += (lo - chosen) / SX_BLOCK;
        }
        snprintf(what, sizeof what, "sparse_attention n %d W %d S %d K %d%s%s", n,
                 p.shape.window > n ? n : p.shape.window, p.shape.stride, 64 * p.shape.k,
                 p.shape.landmarks ? " landmarks" : "",
                 p.shape.score == SX_SCORE_MEAN ? "" : " antidiagonal");
        measure(on, what,
                2.0 * n * (2.0 * p.shape.heads * p.shape.d + 2.0 * p.shape.kv_heads * p.shape.d),
                4.0 * keys * p.shape.heads * p.shape.d, run, &p);
        end_case(on);
    }
}
