/* block_mean.c: the mean of each block's rows. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Blocks first .. first + n; the means of others stay as they are. */
static void check_shape(backend *on, int first, int n, int width, int extra)
{
    int blocks = first + n + 1, stride = width + extra;
    size_t size = (size_t)blocks * (size_t)width;
    begin_case(on, "first %d n %d width %d stride %d", first, n, width, stride);
    buffer *x = buffer_random(on, (size_t)(first + n) * SX_BLOCK * (size_t)stride, on->kn.type,
                              2.0f);
    buffer *mean = buffer_random(on, size, on->kn.type, 1.0f);
    double *want = numbers(on, size), *slack = numbers(on, size);

    for (size_t i = 0; i < size; i++)
        want[i] = mean->x[i];
    for (int b = first; b < first + n; b++)
        for (int j = 0; j < width; j++) {
            double sum = 0, weight = 0;
            for (int t = 0; t < SX_BLOCK; t++) {
                double v = x->x[(size_t)(b * SX_BLOCK + t) * (size_t)stride + (size_t)j];
                sum += v;
                weight += fabs(v);
            }
            want[b * width + j] = sum / SX_BLOCK;
            slack[b * width + j] = sum_error(SX_BLOCK, weight / SX_BLOCK);
        }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(mean);
        on->kn.block_mean(on->stream, mean->p, x->p, first, n, stride, width);
        buffer_result(mean, run);
    }
    check_within(mean, want, slack);
    bool kept = true;
    for (size_t i = 0; i < size; i++)
        if (i / (size_t)width < (size_t)first || i / (size_t)width >= (size_t)(first + n))
            kept = kept && mean->x[i] == (float)want[i];
    expect(kept, "the mean of another block changed");
    end_case(on);
}

void check_block_mean(backend *on)
{
    static const int widths[] = {8, 64, 128, 512};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int n = 0; n < 4; n++)
            for (int first = 0; first < 4; first += 3)
                if (!on->quick || widths[w] < 200)
                    check_shape(on, first, n, widths[w], 8 * n);
    if (!on->gpu)
        check_shape(on, 1, 2, 5, 1);
}

typedef struct means {
    char *x, *mean;
    int n, width, copies;
    size_t bytes;
} means;

static void run(backend *on, void *user, int turn)
{
    means *m = user;
    on->kn.block_mean(on->stream, m->mean, m->x + (size_t)(turn % m->copies) * m->bytes, 0, m->n,
                      m->width, m->width);
}

void bench_block_mean(backend *on)
{
    size_t number = on->kn.type == SX_F32 ? 4 : 2;
    means m = {.n = on->gpu ? 2048 : 64, .width = 512};
    char what[64];
    m.bytes = (size_t)m.n * SX_BLOCK * (size_t)m.width * number;
    m.copies = bench_copies(on, m.bytes);
    m.x = bench_values(on, m.bytes / number * (size_t)m.copies, on->kn.type);
    m.mean = bench_memory(on, (size_t)m.n * (size_t)m.width * number);
    snprintf(what, sizeof what, "block_mean %d blocks, width %d", m.n, m.width);
    measure(on, what, (double)m.bytes * (1 + 1.0 / SX_BLOCK), 0, run, &m);
}
