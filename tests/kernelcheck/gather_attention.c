/* gather_attention.c: a question token over its own tokens and the rows of its selected blocks. */
#include "tests/kernelcheck/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void check_format(backend *on, sx_type format, int d)
{
    enum { HEADS = 6, KV = 2, OWN = 5, ROWS = 77 };
    const int width = KV * d;
    size_t row = sx_kv_row_bytes(format, KV, d);
    int32_t run_rows[4] = {1, 0, 64, 12}, first_run[2] = {0, 4};
    const void *run[4];
    double *want = numbers(on, HEADS * d), *want_mass = numbers(on, 4);
    double *slack = numbers(on, HEADS * d), p[OWN + ROWS];

    begin_case(on, "format %d d %d", (int)format, d);
    buffer *q = buffer_random(on, HEADS * d, on->kn.type, 1.0f);
    buffer *own_k = buffer_random(on, OWN * width, on->kn.type, 1.0f);
    buffer *own_v = buffer_random(on, OWN * width, on->kn.type, 1.0f);
    buffer *k = buffer_random(on, ROWS * width, on->kn.type, 1.0f);
    buffer *v = buffer_random(on, ROWS * width, on->kn.type, 1.0f);
    buffer *rows = buffer_bytes(on, NULL, ROWS * row);
    buffer *o = buffer_new(on, HEADS * d, on->kn.type), *mass = buffer_new(on, 4, SX_F32);
    buffer *work = buffer_work(on, sx_gather_attention_work(1, 4, OWN + ROWS, HEADS, KV, d));
    for (int again = 0; again < on->repeat; again++) {
        buffer_reset(rows);
        on->kn.kv_pack(on->stream, rows->p, format, k->p, v->p, ROWS, width, KV, d);
        buffer_result(rows, again);
    }
    for (int i = 0, at = 0; i < 4; at += run_rows[i++])
        run[i] = (char *)rows->p + (size_t)at * row;
    buffer *runs = buffer_bytes(on, run, sizeof run);
    buffer *lengths = buffer_bytes(on, run_rows, sizeof run_rows);
    buffer *first = buffer_bytes(on, first_run, sizeof first_run);

    for (int h = 0; h < HEADS; h++) {
        double sum = 0;
        int kv = h / (HEADS / KV);
        for (int j = 0; j < OWN + ROWS; j++) {
            const float *key = j < OWN ? own_k->x + j * width : k->x + (j - OWN) * width;
            double dot = 0;
            for (int e = 0; e < d; e++)
                dot += (double)q->x[h * d + e] * key[kv * d + e];
            sum += p[j] = exp(dot * 0.2);
        }
        for (int e = 0; e < d; e++)
            for (int j = 0; j < OWN + ROWS; j++)
                want[h * d + e] += p[j] / sum *
                                   (j < OWN ? own_v->x[j * width + kv * d + e]
                                            : v->x[(j - OWN) * width + kv * d + e]);
        for (int i = 0, at = OWN; i < 4; at += run_rows[i++])
            for (int j = 0; j < run_rows[i]; j++)
                want_mass[i] += p[at + j] / sum / HEADS;
    }
    for (int again = 0; again < on->repeat; again++) {
        buffer_reset(o);
        buffer_reset(mass);
        on->kn.gather_attention(on->stream, o->p, mass->p, q->p, HEADS * d, 1, own_k->p, own_v->p,
                                OWN - 1, width, runs->p, lengths->p, first->p, 4, format, HEADS, KV,
                                d, 0.2f, work->p);
        buffer_result(o, again);
        buffer_result(mass, again);
    }
    /* int8: half a step of 1/127 of the largest value, in k through the softmax and in v; e4m3:
     * half a step of 1/8 of any value; bfloat16: shares may be rounded before they multiply v */
    double tolerance = format == SX_I8 ? 1.0 / 127 : format == SX_F8 ? 1.0 / 16 : 64 * FLT_EPSILON;
    if (on->kn.type == SX_BF16)
        tolerance += 0x1p-8;
    for (int i = 0; i < HEADS * d; i++)
        slack[i] = tolerance * (1 + fabs(want[i]));
    check_within(o, want, slack);
    check_near(mass, want_mass, tolerance);
    expect(mass->x[1] == 0.0f, "an empty run has mass %g", (double)mass->x[1]);
    end_case(on);
}

void check_gather_attention(backend *on)
{
    if (!on->kn.kv_pack)
        return;
    for (int d = on->gpu ? 64 : 24; d <= 128; d += d < 64 ? 40 : 64) {
        check_format(on, on->kn.type, d);
        check_format(on, SX_I8, d);
        if (on->gpu)
            check_format(on, SX_F8, d);
    }
}

typedef struct gathering {
    void *q, *own, *o, *work;
    float *mass;
    const void **run;
    int32_t *run_rows, *first_run;
    int n, blocks;
    sx_type format;
} gathering;

enum { HEADS = 6, KV_HEADS = 6, D = 64, BLOCK = 64 };

static void run(backend *on, void *user, int turn)
{
    gathering *g = user;
    on->kn.gather_attention(on->stream, g->o, g->mass, g->q, HEADS * D, g->n, g->own, g->own, 0,
                            KV_HEADS * D, g->run, g->run_rows, g->first_run, g->n * g->blocks,
                            g->format, HEADS, KV_HEADS, D, 0.125f, g->work);
}

void bench_gather_attention(backend *on)
{
    gathering g = {.n = on->gpu ? 64 : 4, .blocks = 16, .format = SX_I8};
    const int tokens = on->gpu ? 1 << 22 : 1 << 16;
    size_t row = sx_kv_row_bytes(g.format, KV_HEADS, D), number = on->kn.type == SX_F32 ? 4 : 2;
    int n_runs = g.n * g.blocks;
    const void **run_of = host_memory(on, sizeof *run_of * (size_t)n_runs);
    int32_t *lengths = host_memory(on, sizeof *lengths * (size_t)n_runs);
    int32_t *first = host_memory(on, sizeof *first * (size_t)(g.n + 1));
    char *rows = bench_values(on, (size_t)tokens * row, SX_I8), what[64];
    double pairs = (double)n_runs * BLOCK + g.n * (g.n + 1) / 2.0;

    on->kn.kv_pack(on->stream, rows, g.format, bench_values(on, 1 << 22, on->kn.type),
                   bench_values(on, 1 << 22, on->kn.type), 4096, KV_HEADS * D, KV_HEADS, D);
    for (int i = 0; i < n_runs; i++) {
        run_of[i] = rows + (size_t)between(0, tokens / BLOCK - 1) * BLOCK * row;
        lengths[i] = BLOCK;
        first[i / g.blocks + 1] = i + 1;
    }
    g.run = bench_upload(on, run_of, sizeof *run_of * (size_t)n_runs);
    g.run_rows = bench_upload(on, lengths, sizeof *lengths * (size_t)n_runs);
    g.first_run = bench_upload(on, first, sizeof *first * (size_t)(g.n + 1));
    g.q = bench_values(on, (size_t)g.n * HEADS * D, on->kn.type);
    g.own = bench_values(on, (size_t)g.n * KV_HEADS * D, on->kn.type);
    g.o = bench_memory(on, (size_t)g.n * HEADS * D * number);
    g.mass = bench_memory(on, sizeof(float) * (size_t)n_runs);
    g.work = bench_memory(
        on, sx_gather_attention_work(g.n, n_runs, g.blocks * BLOCK + g.n, HEADS, KV_HEADS, D));
    snprintf(what, sizeof what, "gather_attention %d tokens, %d blocks each, int8", g.n, g.blocks);
    measure(on, what, (double)n_runs * BLOCK * (double)row, 4.0 * pairs * HEADS * D, run, &g);
}
