/* embedding.c: rows of a table by ids, normalised. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check_shape(backend *on, int n, int d, int skew)
{
    enum { ROWS = 37 };
    begin_case(on, "n %d d %d skew %d", n, d, skew);
    on->skew = skew;
    size_t size = (size_t)n * (size_t)d;
    buffer *table = buffer_random(on, ROWS * (size_t)d, on->kn.type, 1.0f);
    buffer *y = buffer_new(on, size, on->kn.type);
    int32_t *ids = host_memory(on, sizeof *ids * (size_t)n);
    double *want = numbers(on, size), *slack = numbers(on, size);

    for (int i = 0; i < n; i++) {
        double sum = 0;
        ids[i] = i == 0 ? ROWS - 1 : between(0, ROWS - 1);
        const float *row = table->x + ids[i] * d;
        for (int j = 0; j < d; j++)
            sum += (double)row[j] * row[j];
        for (int j = 0; j < d; j++) {
            want[i * d + j] = row[j] / sqrt(sum / d + 1e-6);
            slack[i * d + j] = sum_error(d / 2.0 + 4, fabs(want[i * d + j]));
        }
    }
    buffer *id = buffer_bytes(on, ids, sizeof *ids * (size_t)n);
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(y);
        on->kn.embedding(on->stream, y->p, table->p, id->p, n, d, 1e-6f);
        buffer_result(y, run);
    }
    check_within(y, want, slack);
    end_case(on);
}

void check_embedding(backend *on)
{
    static const int widths[] = {1, 24, 53, 256, 384, 1024, 2048};
    int sizes[7], n_sizes = tile_sizes(sizes, 8, on->quick ? 20 : 200);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int s = 0; s < n_sizes; s++)
            check_shape(on, sizes[s], widths[w], w == 3 && s == 3);
}

typedef struct lookup {
    char *table, *y;
    int32_t *ids;
    int n, d, copies;
    size_t bytes;
} lookup;

static void run(backend *on, void *user, int turn)
{
    lookup *l = user;
    on->kn.embedding(on->stream, l->y + (size_t)(turn % l->copies) * l->bytes, l->table, l->ids,
                     l->n, l->d, 1e-6f);
}

void bench_embedding(backend *on)
{
    lookup l = {.n = on->gpu ? 65536 : 4096, .d = 384};
    size_t number = on->kn.type == SX_F32 ? 4 : 2;
    const int rows = 32768;
    int32_t *ids = host_memory(on, sizeof *ids * (size_t)l.n);
    char what[64];

    for (int i = 0; i < l.n; i++)
        ids[i] = between(0, rows - 1);
    l.bytes = (size_t)l.n * (size_t)l.d * number;
    l.copies = bench_copies(on, 2 * l.bytes);
    l.table = bench_values(on, (size_t)rows * (size_t)l.d, on->kn.type);
    l.y = bench_memory(on, l.bytes * (size_t)l.copies);
    l.ids = bench_upload(on, ids, sizeof *ids * (size_t)l.n);
    snprintf(what, sizeof what, "embedding n %d d %d of %d rows", l.n, l.d, rows);
    measure(on, what, 2.0 * (double)l.bytes, 0, run, &l);
}
