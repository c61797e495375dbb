/* landmark_score.c: query vectors against landmarks, every score. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>

static void check_shape(backend *on, int n, int blocks, int d, int skew)
{
    size_t size = (size_t)n * (size_t)blocks;
    begin_case(on, "n %d blocks %d d %d skew %d", n, blocks, d, skew);
    on->skew = skew;
    buffer *q = buffer_random(on, (size_t)n * (size_t)d, on->kn.type, 1.0f);
    buffer *l = buffer_random(on, (size_t)blocks * (size_t)d, on->kn.type, 1.0f);
    buffer *score = buffer_new(on, size, SX_F32);
    double *want = numbers(on, size), *slack = numbers(on, size);

    for (size_t i = 0; i < size; i++) {
        double weight = 0;
        for (int j = 0; j < d; j++) {
            double term = (double)q->x[i / (size_t)blocks * (size_t)d + (size_t)j] *
                          l->x[i % (size_t)blocks * (size_t)d + (size_t)j];
            want[i] += term;
            weight += fabs(term);
        }
        slack[i] = sum_error(d, weight);
    }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(score);
        on->kn.landmark_score(on->stream, score->p, q->p, l->p, n, blocks, d);
        buffer_result(score, run);
    }
    check_within(score, want, slack);
    end_case(on);
}

void check_landmark_score(backend *on)
{
    static const int counts[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 17};
    static const int blocks[] = {0, 1, 2, 3, 4, 5, 15, 16, 17, 33, 1000};
    static const int widths[] = {1, 8, 32, 48, 64, 88, 128, 256};
    for (size_t a = 0; a < sizeof counts / sizeof *counts; a++)
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++)
            for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                if (!on->quick || ((a + b + w) % 3 == 0 && blocks[b] < 100))
                    check_shape(on, counts[a], blocks[b], widths[w], 0);
    check_shape(on, 3, 40, 64, 1);
    if (!on->quick)
        check_shape(on, 2, 40000, 64, 0);
}

typedef struct scoring {
    char *q, *landmark;
    float *score;
    int n, blocks, d, copies;
    size_t bytes;
} scoring;

static void run(backend *on, void *user, int turn)
{
    scoring *s = user;
    on->kn.landmark_score(on->stream, s->score, s->q,
                          s->landmark + (size_t)(turn % s->copies) * s->bytes, s->n, s->blocks,
                          s->d);
}

void bench_landmark_score(backend *on)
{
    static const int queries[] = {1, 8, 64};
    size_t number = on->kn.type == SX_F32 ? 4 : 2;
    for (int i = 0; i < 3; i++) {
        scoring s = {.n = queries[i], .blocks = on->gpu ? 1 << 20 : 1 << 14, .d = 128};
        char what[64];
        s.bytes = (size_t)s.blocks * (size_t)s.d * number;
        s.copies = bench_copies(on, s.bytes);
        s.q = bench_values(on, (size_t)s.n * (size_t)s.d, on->kn.type);
        s.landmark = bench_values(on, s.bytes / number * (size_t)s.copies, on->kn.type);
        s.score = bench_memory(on, (size_t)s.n * (size_t)s.blocks * sizeof(float));
        snprintf(what, sizeof what, "landmark_score n %d blocks %d d %d", s.n, s.blocks, s.d);
        measure(on, what, (double)s.bytes + 4.0 * s.n * s.blocks, 2.0 * s.n * s.blocks * s.d, run,
                &s);
        end_case(on);
    }
}
