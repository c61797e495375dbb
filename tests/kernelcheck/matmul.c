/* matmul.c: dense products, plain, accumulated and to float32. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check_shape(backend *on, int n, int rows, int cols)
{
    int room = sx_matmul_rows(n);
    size_t size = (size_t)n * (size_t)rows;
    begin_case(on, "n %d rows %d cols %d", n, rows, cols);
    float *w = host_memory(on, sizeof *w * (size_t)rows * (size_t)cols);
    double *want = numbers(on, size), *slack = numbers(on, size), *once = numbers(on, size);
    buffer *x = buffer_random(on, (size_t)room * (size_t)cols, on->kn.type, 1.0f);
    buffer *y = buffer_new(on, (size_t)room * (size_t)rows, on->kn.type);
    buffer *y32 = buffer_new(on, (size_t)room * (size_t)rows, SX_F32);
    /* rounded as the table's matrix rounds it */
    buffer *rounded = buffer_random(on, (size_t)rows * (size_t)cols, on->kn.type, 1.0f);
    for (size_t i = 0; i < rounded->n; i++)
        w[i] = rounded->x[i];
    sx_matrix *m = on->kn.matrix_new(w, rows, cols);

    expect(room >= n, "sx_matmul_rows(%d) is %d", n, room);
    if (!expect(m != NULL, "matrix_new gave NULL")) {
        end_case(on);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        double weight = 0;
        for (int c = 0; c < cols; c++) {
            double term = (double)w[i % (size_t)rows * (size_t)cols + (size_t)c] *
                          x->x[i / (size_t)rows * (size_t)cols + (size_t)c];
            want[i] += term;
            weight += fabs(term);
        }
        slack[i] = sum_error(cols, weight);
        once[i] = want[i];
    }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(y);
        expect(on->kn.matmul(on->stream, y->p, x->p, m, n, false), "matmul is false");
        buffer_result(y, run);
    }
    check_range(y, 0, size, want, slack);
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(y32);
        expect(on->kn.matmul_f32(on->stream, (float *)y32->p, x->p, m, n), "matmul_f32 is false");
        buffer_result(y32, run);
    }
    check_range(y32, 0, size, want, slack);
    for (int run = 0; run < on->repeat; run++) { /* accumulates: the product twice */
        buffer_reset(y);
        expect(on->kn.matmul(on->stream, y->p, x->p, m, n, false), "matmul is false");
        expect(on->kn.matmul(on->stream, y->p, x->p, m, n, true), "matmul is false");
        buffer_result(y, run);
    }
    for (size_t i = 0; i < size; i++) {
        want[i] *= 2;
        slack[i] = 2 * slack[i] + rounding(on->kn.type, once[i]); /* the first was rounded, too */
    }
    check_range(y, 0, size, want, slack);
    on->kn.matmul_threads(1);
    on->kn.matrix_free(m);
    end_case(on);
}

void check_matmul(backend *on)
{
    static const int rows_of_x[] = {0, 1, 2, 3, 15, 16, 33, 128, 255, 256, 257, 300};
    static const int shapes[][2] = {{1, 8}, {129, 384}, {64, 24}, {640, 48}, {384, 1024}};
    on->kn.matrix_free(NULL);
    for (size_t a = 0; a < sizeof rows_of_x / sizeof *rows_of_x; a++)
        for (size_t b = 0; b < sizeof shapes / sizeof *shapes; b++)
            if ((!on->quick || rows_of_x[a] < 40) && (b < 4 || rows_of_x[a] < 130))
                check_shape(on, rows_of_x[a], shapes[b][0], shapes[b][1]);
}

typedef struct product {
    char *x, *y;
    sx_matrix *w[64];
    int n, copies;
} product;

static void run(backend *on, void *user, int turn)
{
    product *p = user;
    on->kn.matmul(on->stream, p->y, p->x, p->w[turn % p->copies], p->n, false);
}

void bench_matmul(backend *on)
{
    static const int shapes[][3] = {
        {1, 3072, 384}, {4096, 3072, 384}, {1, 8192, 8192}, {4096, 4096, 4096}}; /* n, rows, cols */
    size_t number = on->kn.type == SX_F32 ? 4 : 2;
    for (int s = 0; s < (on->gpu ? 4 : 2); s++) {
        int n = on->gpu ? shapes[s][0] : (shapes[s][0] + 15) / 16, rows = shapes[s][1],
            cols = shapes[s][2];
        size_t size = (size_t)rows * (size_t)cols, room = (size_t)sx_matmul_rows(n);
        product p = {.n = n, .copies = bench_copies(on, size * number)};
        float *w = host_memory(on, sizeof *w * size);
        char what[64];
        bool made = true;
        for (size_t i = 0; i < size; i++)
            w[i] = uniform();
        p.copies = n == 1 ? p.copies : 1; /* one row: the weights are what is read */
        for (int i = 0; i < p.copies; i++)
            made = (p.w[i] = on->kn.matrix_new(w, rows, cols)) && made;
        p.x = bench_values(on, room * (size_t)cols, on->kn.type);
        p.y = bench_memory(on, room * (size_t)rows * number);
        snprintf(what, sizeof what, "matmul n %d rows %d cols %d", n, rows, cols);
        if (made)
            measure(on, what, (double)number * ((double)size + (double)n * cols + (double)n * rows),
                    2.0 * n * (double)size, run, &p);
        for (int i = 0; i < p.copies; i++)
            on->kn.matrix_free(p.w[i]);
        end_case(on);
    }
}
