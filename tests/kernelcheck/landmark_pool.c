/* landmark_pool.c: gated sums over blocks of any length, unit norm. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>

static void check_blocks(backend *on, const int *lengths, int n_blocks, int d, int extra,
                         bool zeros)
{
    int32_t start[64] = {0};
    for (int b = 0; b < n_blocks; b++)
        start[b + 1] = start[b] + lengths[b];
    int tokens = start[n_blocks], stride = d + extra;
    size_t size = (size_t)n_blocks * (size_t)d;

    begin_case(on, "%d blocks of %d tokens, d %d stride %d%s", n_blocks, tokens, d, stride,
               zeros ? " zeros" : "");
    /* the gate is a column behind the key, as the engine's one product leaves it */
    buffer *key = buffer_random(on, (size_t)tokens * (size_t)stride + 1, on->kn.type, 1.0f);
    buffer *at = buffer_bytes(on, start, sizeof *start * (size_t)(n_blocks + 1));
    buffer *landmark = buffer_new(on, size, on->kn.type);
    double *want = numbers(on, size), *slack = numbers(on, size), *weight = numbers(on, size);

    for (int t = 0; t < tokens; t++) {
        key->x[t * stride + d] *= 20.0f; /* gates beyond the clamp */
        for (int j = 0; j < d && zeros; j++)
            key->x[t * stride + j] = 0.0f;
    }
    buffer_upload(key);
    for (int b = 0; b < n_blocks; b++) {
        double norm = 0, off = 0;
        for (int t = start[b]; t < start[b + 1]; t++) {
            double g = key->x[t * stride + d] + 0.25;
            g = exp(g > 8 ? 8 : g < -8 ? -8 : g);
            for (int j = 0; j < d; j++) {
                want[b * d + j] += g * key->x[t * stride + j];
                weight[b * d + j] += fabs(g * key->x[t * stride + j]);
            }
        }
        for (int j = 0; j < d; j++)
            norm += want[b * d + j] * want[b * d + j];
        norm = fmax(sqrt(norm), 1e-12);
        /* the error of the sums, of exp at up to 8, and how they move the norm */
        for (int j = 0; j < d; j++) {
            slack[b * d + j] = sum_error(lengths[b] + 12, weight[b * d + j]) / norm;
            off += slack[b * d + j] * slack[b * d + j];
        }
        for (int j = 0; j < d; j++) {
            want[b * d + j] /= norm;
            slack[b * d + j] += (sqrt(off) + sum_error(d, 1.0)) * fabs(want[b * d + j]);
        }
    }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(landmark);
        on->kn.landmark_pool(on->stream, landmark->p, key->p, buffer_at(key, (size_t)d), stride,
                             0.25f, at->p, n_blocks, d);
        buffer_result(landmark, run);
    }
    check_within(landmark, want, slack);
    end_case(on);
}

void check_landmark_pool(backend *on)
{
    static const int lengths[] = {1, 5, 64, 0, 2, 3, 4, 7, 8, 9, 15, 16, 17, 63, 65, 200, 1, 33};
    static const int widths[] = {1, 8, 24, 32, 64, 100, 128, 256, 264};
    const int all = sizeof lengths / sizeof *lengths;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int extra = 1; extra <= 16; extra += 7) /* 8: rows are aligned */
            for (int n = 0; n <= all; n += n < 3 ? 1 : all - 3)
                if (!on->quick || n < 4)
                    check_blocks(on, lengths, n, widths[w], extra, n == 2);
}

typedef struct pooling {
    char *key, *landmark;
    int32_t *start;
    int blocks, d, stride, copies;
    size_t bytes, number;
} pooling;

static void run(backend *on, void *user, int turn)
{
    pooling *p = user;
    char *key = p->key + (size_t)(turn % p->copies) * p->bytes;
    on->kn.landmark_pool(on->stream, p->landmark, key, key + (size_t)p->d * p->number, p->stride,
                         0.25f, p->start, p->blocks, p->d);
}

void bench_landmark_pool(backend *on)
{
    static const int dims[] = {64, 128};
    for (int s = 0; s < 2; s++) {
        pooling p = {.blocks = on->gpu ? 1 << 14 : 1 << 9, .d = dims[s], .stride = dims[s] + 8};
        int32_t *start = host_memory(on, sizeof *start * (size_t)(p.blocks + 1));
        char what[64];
        for (int b = 0; b < p.blocks; b++)
            start[b + 1] = start[b] + between(40, 64);
        p.number = on->kn.type == SX_F32 ? 4 : 2;
        p.bytes = (size_t)start[p.blocks] * (size_t)p.stride * p.number;
        p.copies = bench_copies(on, p.bytes);
        p.key = bench_values(on, p.bytes / p.number * (size_t)p.copies, on->kn.type);
        p.landmark = bench_memory(on, (size_t)p.blocks * (size_t)p.d * p.number);
        p.start = bench_upload(on, start, sizeof *start * (size_t)(p.blocks + 1));
        snprintf(what, sizeof what, "landmark_pool %d tokens, %d blocks, d %d", start[p.blocks],
                 p.blocks, p.d);
        measure(on, what, (double)p.bytes + (double)p.blocks * p.d * (double)p.number, 0, run, &p);
        end_case(on);
    }
}
