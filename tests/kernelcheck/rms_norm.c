/* rms_norm.c: RMSNorm of rows. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>

static void check_shape(backend *on, int n, int d, bool weighted, bool in_place, int skew)
{
    begin_case(on, "n %d d %d%s%s skew %d", n, d, weighted ? " weighted" : "",
               in_place ? " in place" : "", skew);
    on->skew = skew;
    size_t size = (size_t)n * (size_t)d;
    buffer *x = buffer_random(on, size, on->kn.type, 3.0f);
    buffer *y = in_place ? x : buffer_new(on, size, on->kn.type);
    buffer *weight = buffer_random(on, (size_t)d, SX_F32, 2.0f);
    double *want = numbers(on, size), *slack = numbers(on, size);

    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < d; j++)
            sum += (double)x->x[i * d + j] * x->x[i * d + j];
        for (int j = 0; j < d; j++) {
            double r = 1.0 / sqrt(sum / d + 1e-6);
            want[i * d + j] = x->x[i * d + j] * r * (weighted ? weight->x[j] : 1.0);
            /* the sum's error goes halved through the root; three roundings more */
            slack[i * d + j] = sum_error(d / 2.0 + 4, fabs(want[i * d + j]));
        }
    }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(y);
        on->kn.rms_norm(on->stream, y->p, x->p, weighted ? weight->p : NULL, n, d, 1e-6f);
        buffer_result(y, run);
    }
    check_within(y, want, slack);
    end_case(on);
}

void check_rms_norm(backend *on)
{
    static const int widths[] = {1,   7,   8,    53,   64,   255,  256,  257,  264,  384,   512,
                                 520, 768, 1024, 1032, 2048, 2056, 4104, 8192, 8200, 16384, 16392};
    int rows[7], n_rows = tile_sizes(rows, 8, on->quick ? 20 : 300);

    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int r = 0; r < n_rows; r++) {
            if (on->quick && widths[w] > 2056)
                continue;
            if (widths[w] > 1024 && rows[r] > 20)
                continue;
            check_shape(on, rows[r], widths[w], r % 2 || widths[w] == 384, r == 4, 0);
        }
    check_shape(on, 9, 256, true, false, 1);
    check_shape(on, 9, 384, false, true, 1);
    check_shape(on, on->quick ? 70 : 40000, 64, true, false, 0); /* more rows than one launch has */
}

typedef struct rows {
    char *x, *y;
    float *weight;
    int n, d, copies;
    size_t bytes;
} rows;

static void run(backend *on, void *user, int turn)
{
    rows *r = user;
    size_t at = (size_t)(turn % r->copies) * r->bytes;
    on->kn.rms_norm(on->stream, r->y + at, r->x + at, r->weight, r->n, r->d, 1e-6f);
}

void bench_rms_norm(backend *on)
{
    static const int shapes[][2] = {{65536, 384}, {16384, 1024}, {8192, 4096}};
    size_t number = on->kn.type == SX_F32 ? 4 : 2;
    for (int s = 0; s < 3; s++) {
        rows r = {.n = on->gpu ? shapes[s][0] : shapes[s][0] / 16, .d = shapes[s][1]};
        char what[64];
        r.bytes = (size_t)r.n * (size_t)r.d * number;
        r.copies = bench_copies(on, 2 * r.bytes);
        r.x = bench_values(on, r.bytes / number * (size_t)r.copies, on->kn.type);
        r.y = bench_memory(on, r.bytes * (size_t)r.copies);
        r.weight = bench_values(on, (size_t)r.d, SX_F32);
        snprintf(what, sizeof what, "rms_norm n %d d %d", r.n, r.d);
        measure(on, what, 2.0 * (double)r.bytes, 0, run, &r);
        end_case(on);
    }
}
