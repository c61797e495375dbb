/* swiglu.c: silu(a) * b. */
#include "tests/kernelcheck/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static void check_shape(backend *on, int n, int f, int skew)
{
    size_t size = (size_t)n * (size_t)f;
    begin_case(on, "n %d f %d skew %d", n, f, skew);
    on->skew = skew;
    buffer *ab = buffer_random(on, 2 * size, on->kn.type, 1.0f);
    buffer *y = buffer_new(on, size, on->kn.type);
    double *want = numbers(on, size), *slack = numbers(on, size);

    for (size_t i = 0; i < 2 * size; i++)
        ab->x[i] *= i % 5 ? 20.0f : 200.0f; /* both tails of the sigmoid */
    buffer_upload(ab);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < f; j++) {
            double a = ab->x[(size_t)2 * i * f + j], b = ab->x[(size_t)(2 * i + 1) * f + j];
            size_t at = (size_t)i * f + j;
            want[at] = a / (1.0 + exp(-a)) * b;
            /* exp(-a) is as far off as its argument's rounding makes it, |a| units; a term that
             * float32 cannot hold may become 0 */
            slack[at] = (8 + 2 * fabs(a)) * FLT_EPSILON * fabs(want[at]) + 1e-30 * (1 + fabs(b));
        }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(y);
        on->kn.swiglu(on->stream, y->p, ab->p, n, f);
        buffer_result(y, run);
    }
    check_within(y, want, slack);
    end_case(on);
}

void check_swiglu(backend *on)
{
    int sizes[7], n_sizes = tile_sizes(sizes, 8, on->quick ? 20 : 100);
    for (int f = 1; f < 70; f += f < 20 ? 1 : 13)
        check_shape(on, 3, f, 0);
    for (int s = 0; s < n_sizes; s++) {
        check_shape(on, sizes[s], 64, 0);
        check_shape(on, sizes[s], 1024, 0);
        check_shape(on, sizes[s], 200, s == 3);
    }
    check_shape(on, on->quick ? 9 : 700, 1536, 0);
    check_shape(on, 1, on->quick ? 4096 : 100008, 0);
}

typedef struct gating {
    char *ab, *y;
    int n, f, copies;
    size_t bytes;
} gating;

static void run(backend *on, void *user, int turn)
{
    gating *g = user;
    size_t at = (size_t)(turn % g->copies) * g->bytes;
    on->kn.swiglu(on->stream, g->y + at, g->ab + 2 * at, g->n, g->f);
}

void bench_swiglu(backend *on)
{
    static const int shapes[][2] = {{65536, 1024}, {8192, 11008}};
    size_t number = on->kn.type == SX_F32 ? 4 : 2;
    for (int s = 0; s < 2; s++) {
        gating g = {.n = on->gpu ? shapes[s][0] : shapes[s][0] / 32, .f = shapes[s][1]};
        char what[64];
        g.bytes = (size_t)g.n * (size_t)g.f * number;
        g.copies = bench_copies(on, 3 * g.bytes);
        g.ab = bench_values(on, 2 * g.bytes / number * (size_t)g.copies, on->kn.type);
        g.y = bench_memory(on, g.bytes * (size_t)g.copies);
        snprintf(what, sizeof what, "swiglu n %d f %d", g.n, g.f);
        measure(on, what, 3.0 * (double)g.bytes, 0, run, &g);
        end_case(on);
    }
}
