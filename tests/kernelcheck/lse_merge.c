/* lse_merge.c: parts of a softmax, some of them empty, against the sum of all in double. */
#include "tests/kernelcheck/harness.h"

#include <math.h>

static void check_shape(backend *on, int parts, int n, int d, bool want_total)
{
    size_t rows = (size_t)n, cells = rows * d;

    begin_case(on, "parts %d n %d d %d%s", parts, n, d, want_total ? "" : ", no total");
    buffer *part = buffer_random(on, parts * cells, SX_F32, 1.0f);
    buffer *lse = buffer_random(on, parts * rows, SX_F32, 20.0f);
    double *want = numbers(on, cells), *slack = numbers(on, cells), *total = numbers(on, rows);
    double *total_slack = numbers(on, rows);
    for (int i = 0; i < n; i++)
        for (int p = 0; p < parts; p++)
            if (i % 4 == 3 ||
                between(0, 3) == 0) { /* rows without any; an empty part is not read */
                lse->x[(size_t)p * n + i] = -INFINITY;
                part->x[((size_t)p * n + i) * d] = NAN;
            }
    buffer_upload(part);
    buffer_upload(lse);
    for (int i = 0; i < n; i++) {
        double top = -INFINITY, sum = 0.0;
        for (int p = 0; p < parts; p++)
            top = fmax(top, lse->x[(size_t)p * n + i]);
        for (int p = 0; p < parts && top > -INFINITY; p++)
            sum += exp(lse->x[(size_t)p * n + i] - top);
        total[i] = top > -INFINITY ? top + log(sum) : -INFINITY;
        total_slack[i] = top > -INFINITY ? sum_error(parts + 8, 1.0 + fabs(top)) : 0.0;
        for (int j = 0; j < d && top > -INFINITY; j++) {
            double magnitude = 0.0;
            for (int p = 0; p < parts; p++) {
                double w = lse->x[(size_t)p * n + i];
                if (w == -INFINITY)
                    continue;
                w = exp(w - total[i]) * part->x[((size_t)p * n + i) * d + j];
                want[(size_t)i * d + j] += w;
                magnitude += fabs(w);
            }
            /* differences of logarithms up to 40 are exact to half a unit of that */
            slack[(size_t)i * d + j] = sum_error(parts + 64, magnitude);
        }
    }
    buffer *o = buffer_new(on, cells, on->kn.type);
    buffer *total_lse = buffer_new(on, want_total ? rows : 0, SX_F32);
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(o);
        buffer_reset(total_lse);
        on->kn.lse_merge(on->stream, o->p, want_total ? total_lse->p : NULL, part->p, lse->p, parts,
                         n, d);
        buffer_result(o, run);
        buffer_result(total_lse, run);
    }
    check_within(o, want, slack);
    for (int i = 0; want_total && i < n; i++)
        if (total[i] == -INFINITY)
            expect(total_lse->x[i] == -INFINITY, "row %d of nothing has %g", i,
                   (double)total_lse->x[i]);
        else
            check_range(total_lse, (size_t)i, 1, total + i, total_slack + i);
    end_case(on);
}

void check_lse_merge(backend *on)
{
    static const int parts[] = {1, 2, 7, 33, 264}, dims[] = {1, 24, 64, 128, 130};
    int sizes[7], n_sizes = tile_sizes(sizes, 8, 40);
    for (int p = 0; p < 5; p++)
        for (int d = 0; d < 5; d++)
            for (int i = 0; i < n_sizes; i++)
                check_shape(on, parts[p], sizes[i], dims[d], (p + d + i) % 2);
}

typedef struct merging {
    void *o, *part, *lse;
    float *total;
    int parts, n, d;
} merging;

static void run_merge(backend *on, void *user, int turn)
{
    merging *m = user;
    on->kn.lse_merge(on->stream, m->o, m->total, m->part, m->lse, m->parts, m->n, m->d);
}

void bench_lse_merge(backend *on)
{
    merging m = {.parts = 8, .n = on->quick ? 64 : 1 << 16, .d = 128};
    size_t rows = (size_t)m.n, cells = rows * m.d, number = on->kn.type == SX_F32 ? 4 : 2;
    m.part = bench_values(on, m.parts * cells, SX_F32);
    m.lse = bench_values(on, m.parts * rows, SX_F32);
    m.o = bench_memory(on, cells * number);
    m.total = bench_memory(on, rows * sizeof(float));
    measure(on, "8 parts of 65536 rows of 128",
            (double)(m.parts * (cells + rows) * 4 + cells * number + rows * 4), 0, run_merge, &m);
}
