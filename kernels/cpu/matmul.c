/* matmul.c: dense products, the reference: a matrix as it came, one dot product an element. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

struct sx_matrix {
    int rows, cols;
    float *w;
};

int sx_matmul_rows(int n)
{
    /* The tiles of the oneDNN version: 256 rows, the rest rounded up to a power of two. */
    int full = n / 256 * 256, rest = n - full, tile = rest ? 1 : 0;
    while (tile < rest)
        tile *= 2;
    return full + tile;
}

SX_DECL_MATRIX_NEW(sx_matrix_new_c)
{
    sx_matrix *m = malloc(sizeof *m);
    if (!m)
        return NULL;
    *m = (sx_matrix){rows, cols, malloc(sizeof(float) * (size_t)rows * (size_t)cols)};
    if (!m->w) {
        free(m);
        return NULL;
    }
    memcpy(m->w, w, sizeof(float) * (size_t)rows * (size_t)cols);
    return m;
}

SX_DECL_MATRIX_FREE(sx_matrix_free_c)
{
    if (!matrix)
        return;
    free(matrix->w);
    free(matrix);
}

SX_DECL_MATMUL(sx_matmul_c)
{
    (void)stream;
    for (int tile = 0; tile < n; tile += 32) /* a few rows of x stay near while w passes once */
        for (int r = 0; r < w->rows; r++)
            for (int i = tile; i < n && i < tile + 32; i++) {
                float *out = (float *)y + (size_t)i * w->rows + r;
                float dot = sx_dot((const float *)x + (size_t)i * w->cols,
                                   w->w + (size_t)r * w->cols, w->cols);
                *out = accumulate ? *out + dot : dot;
            }
    return true;
}

SX_DECL_MATMUL_F32(sx_matmul_f32_c)
{
    return sx_matmul_c(stream, y, x, w, n, false);
}

SX_DECL_MATMUL_THREADS(sx_matmul_threads_c)
{
    (void)threads; /* the reference uses the calling thread */
}
