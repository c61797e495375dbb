/* large.c: with --large, rows beyond 2^31 numbers of an operand: the last rows of a call that has
 * so many must be bitwise those of a call that has only them. What lies before them is left as it
 * is. */
#include "tests/kernelcheck/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAST = 5 }; /* rows that are compared */

/* An operand of `rows` rows of `bytes`: random, or poison, at its end; *tail, the same LAST rows
 * alone. */
static char *operand(backend *on, size_t rows, size_t bytes, sx_type type, char **tail)
{
    size_t number = type == SX_F32 ? 4 : 2;
    char *all = bench_memory(on, rows * bytes);
    *tail = bench_values(on, LAST * bytes / number, type);
    on->kn.upload(on->stream, all + (rows - LAST) * bytes, *tail, LAST * bytes);
    return all;
}

/* The last LAST rows of `all` against `alone`. */
static void compare(backend *on, const char *what, const char *all, size_t rows, size_t bytes,
                    const char *alone)
{
    char *got = host_memory(on, LAST * bytes), *want = host_memory(on, LAST * bytes), err[512] = "";
    on->kn.download(on->stream, got, all + (rows - LAST) * bytes, LAST * bytes);
    on->kn.download(on->stream, want, alone, LAST * bytes);
    if (expect(!on->kn.sync(on->stream, err, sizeof err), "%s: %s", what, err))
        expect(!memcmp(got, want, LAST * bytes), "%s: other bits in the last rows", what);
    end_case(on);
}

static void rows_of_layers(backend *on)
{
    const sx_kernels *kn = &on->kn;
    const size_t number = kn->type == SX_F32 ? 4 : 2;
    char *x, *x_last, *y, *y_last;
    {
        const int d = 1024, n = (1 << 21) + LAST;
        begin_case(on, "rms_norm n %d d %d", n, d);
        x = operand(on, (size_t)n, d * number, kn->type, &x_last);
        y = operand(on, (size_t)n, d * number, kn->type, &y_last);
        kn->rms_norm(on->stream, y, x, NULL, n, d, 1e-6f);
        kn->rms_norm(on->stream, y_last, x_last, NULL, LAST, d, 1e-6f);
        compare(on, "rms_norm", y, (size_t)n, d * number, y_last);
    }
    {
        const int d = 1024, rows = (1 << 21) + LAST;
        int32_t high[LAST], low[LAST];
        begin_case(on, "embedding of %d rows d %d", rows, d);
        x = operand(on, (size_t)rows, d * number, kn->type, &x_last);
        y = bench_memory(on, LAST * d * number);
        y_last = bench_memory(on, LAST * d * number);
        for (int i = 0; i < LAST; i++)
            high[i] = rows - LAST + (low[i] = i);
        kn->embedding(on->stream, y, x, bench_upload(on, high, sizeof high), LAST, d, 1e-6f);
        kn->embedding(on->stream, y_last, x_last, bench_upload(on, low, sizeof low), LAST, d,
                      1e-6f);
        compare(on, "embedding", y, LAST, d * number, y_last);
    }
    {
        const int d = 64, heads = 32, stride = heads * d, n = (1 << 20) + LAST;
        char *rope, *rope_last;
        float *weight = bench_values(on, d, SX_F32);
        begin_case(on, "head_norm_rope n %d stride %d", n, stride);
        x = operand(on, (size_t)n, stride * number, kn->type, &x_last);
        rope = operand(on, (size_t)n, d * sizeof(float), SX_F32, &rope_last);
        kn->head_norm_rope(on->stream, x, n, stride, heads, d, weight, (float *)(void *)rope,
                           1e-6f);
        kn->head_norm_rope(on->stream, x_last, LAST, stride, heads, d, weight,
                           (float *)(void *)rope_last, 1e-6f);
        compare(on, "head_norm_rope", x, (size_t)n, stride * number, x_last);
    }
    {
        const int f = 1024, n = (1 << 21) + LAST;
        begin_case(on, "swiglu n %d f %d", n, f);
        x = operand(on, (size_t)n, 2 * f * number, kn->type, &x_last);
        y = operand(on, (size_t)n, f * number, kn->type, &y_last);
        kn->swiglu(on->stream, y, x, n, f);
        kn->swiglu(on->stream, y_last, x_last, LAST, f);
        compare(on, "swiglu", y, (size_t)n, f * number, y_last);
    }
    {
        const int d = 32768, n = (1 << 16) + LAST;
        int32_t *best = bench_memory(on, sizeof *best * (size_t)n);
        int32_t *best_last = bench_memory(on, sizeof *best * LAST);
        float *value = bench_memory(on, sizeof *value * (size_t)n);
        begin_case(on, "softcap_argmax n %d d %d", n, d);
        x = operand(on, (size_t)n, d * sizeof(float), SX_F32, &x_last);
        kn->softcap_argmax(on->stream, best, value, (float *)(void *)x, n, d, 30.0f);
        kn->softcap_argmax(on->stream, best_last, value, (float *)(void *)x_last, LAST, d, 30.0f);
        compare(on, "softcap_argmax", (char *)best, (size_t)n, sizeof *best, (char *)best_last);
    }
}

static void landmarks(backend *on)
{
    const sx_kernels *kn = &on->kn;
    const size_t number = kn->type == SX_F32 ? 4 : 2;
    char *x, *x_last, *y, *y_last;
    {
        const int d = 128, stride = 136, tokens = (1 << 24) + LAST;
        int32_t late[LAST + 1], early[LAST + 1]; /* a block a token */
        begin_case(on, "landmark_pool of token %d, stride %d", tokens, stride);
        for (int i = 0; i <= LAST; i++)
            late[i] = tokens - LAST + (early[i] = i);
        x = operand(on, (size_t)tokens, stride * number, kn->type, &x_last);
        y = bench_memory(on, LAST * d * number);
        y_last = bench_memory(on, LAST * d * number);
        kn->landmark_pool(on->stream, y, x, x + d * number, stride, 0.0f,
                          bench_upload(on, late, sizeof late), LAST, d);
        kn->landmark_pool(on->stream, y_last, x_last, x_last + d * number, stride, 0.0f,
                          bench_upload(on, early, sizeof early), LAST, d);
        compare(on, "landmark_pool", y, LAST, d * number, y_last);
    }
    {
        const int d = 128, blocks = (1 << 24) + LAST, n = 129; /* scores beyond 2^31, too */
        char *q = bench_values(on, (size_t)(n * d), kn->type);
        begin_case(on, "landmark_score n %d blocks %d d %d", n, blocks, d);
        x = operand(on, (size_t)blocks, d * number, kn->type, &x_last);
        y = bench_memory(on, (size_t)n * (size_t)blocks * sizeof(float));
        y_last = bench_memory(on, n * LAST * sizeof(float));
        kn->landmark_score(on->stream, (float *)(void *)y, q, x, n, blocks, d);
        kn->landmark_score(on->stream, (float *)(void *)y_last, q, x_last, n, LAST, d);
        compare(on, "landmark_score", y, (size_t)n * (size_t)blocks, sizeof(float),
                y_last + (size_t)(n - 1) * LAST * sizeof(float));
    }
}

void check_large(backend *on)
{
    if (!on->large)
        return;
    rows_of_layers(on);
    landmarks(on);
}

void bench_large(backend *on)
{
    (void)on; /* the other files have the figures */
}
