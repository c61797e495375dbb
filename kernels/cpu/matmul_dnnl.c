/* matmul_dnnl.c: dense products by oneDNN, with the weights packed once into the layout its kernels
 * like.
 *
 * Rows go through in tiles of 256, the rest in one tile rounded up to a power of two: few shapes,
 * so few kernels to generate, and a row's result depends on n alone. Primitives are made on first
 * use and kept with the matrix; the weights are packed for the widest tile and used in that layout
 * by all. */
#include "kernels/kernels.h"

#include <oneapi/dnnl/dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>

#define TILE_ROWS 256
#define N_TILES   9 /* 1, 2, 4, ..., 256 */

typedef struct product { /* one shape of one matrix; immutable once made */
    dnnl_primitive_t run;
    size_t scratch; /* bytes */
    dnnl_memory_desc_t x, y, scratch_desc;
} product;

struct sx_matrix {
    int rows, cols;
    dnnl_memory_t packed;
    dnnl_memory_desc_t packed_desc;
    pthread_mutex_t lock; /* guards the making of products */
    product *products[2][N_TILES];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t cpu;

static void make_engine(void)
{
    if (dnnl_engine_create(&cpu, dnnl_cpu, 0) != dnnl_success)
        cpu = NULL;
}

static void product_free(product *p)
{
    if (!p)
        return;
    if (p->run)
        dnnl_primitive_destroy(p->run);
    free(p);
}

/* weights: the layout to use, or NULL to let oneDNN choose; then *chosen is set. */
static product *product_new(int rows, int cols, int tile, bool accumulate,
                            const dnnl_memory_desc_t *weights, dnnl_memory_desc_t *chosen)
{
    product *p = calloc(1, sizeof *p);
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_matmul_desc_t op;
    dnnl_memory_desc_t w;
    const dnnl_memory_desc_t *scratch;
    dnnl_dims_t x_dims = {tile, cols}, w_dims = {cols, rows}, y_dims = {tile, rows};
    bool ok = false;

    if (!p)
        return NULL;
    if (weights)
        w = *weights;
    else if (dnnl_memory_desc_init_by_tag(&w, 2, w_dims, dnnl_f32, dnnl_format_tag_any))
        goto out;
    if (dnnl_memory_desc_init_by_tag(&p->x, 2, x_dims, dnnl_f32, dnnl_ab) ||
        dnnl_memory_desc_init_by_tag(&p->y, 2, y_dims, dnnl_f32, dnnl_ab) ||
        dnnl_primitive_attr_create(&attr) ||
        dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user))
        goto out;
    if (accumulate && (dnnl_post_ops_create(&post) || dnnl_post_ops_append_sum(post, 1.0f) ||
                       dnnl_primitive_attr_set_post_ops(attr, post)))
        goto out;
    if (dnnl_matmul_desc_init(&op, &p->x, &w, NULL, &p->y) ||
        dnnl_primitive_desc_create(&desc, &op, attr, cpu, NULL) ||
        dnnl_primitive_create(&p->run, desc))
        goto out;
    if (chosen)
        *chosen = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    if (scratch) {
        p->scratch_desc = *scratch;
        p->scratch = dnnl_memory_desc_get_size(scratch);
    }
    ok = true;
out:
    if (post)
        dnnl_post_ops_destroy(post);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    if (!ok) {
        product_free(p);
        p = NULL;
    }
    return p;
}

/* w [rows, cols] -> matrix->packed. */
static bool pack(sx_matrix *m, const float *w)
{
    dnnl_dims_t dims = {m->cols, m->rows}; /* as oneDNN sees it: columns of y */
    dnnl_memory_desc_t plain;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_stream_t stream = NULL;
    bool ok = false;

    if (dnnl_memory_desc_init_by_tag(&plain, 2, dims, dnnl_f32, dnnl_ba) ||
        dnnl_memory_create(&from, &plain, cpu, (void *)(uintptr_t)w) ||
        dnnl_memory_create(&m->packed, &m->packed_desc, cpu, DNNL_MEMORY_ALLOCATE) ||
        dnnl_reorder_primitive_desc_create(&desc, &plain, cpu, &m->packed_desc, cpu, NULL) ||
        dnnl_primitive_create(&reorder, desc) ||
        dnnl_stream_create(&stream, cpu, dnnl_stream_default_flags))
        goto out;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, m->packed}};
    ok = !dnnl_primitive_execute(reorder, stream, 2, args) && !dnnl_stream_wait(stream);
out:
    if (stream)
        dnnl_stream_destroy(stream);
    if (reorder)
        dnnl_primitive_destroy(reorder);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    if (from)
        dnnl_memory_destroy(from);
    return ok;
}

SX_DECL_MATRIX_NEW(sx_matrix_new_dnnl)
{
    sx_matrix *m = NULL;

    pthread_once(&once, make_engine);
    if (!cpu || !(m = calloc(1, sizeof *m)))
        return NULL;
    m->rows = rows;
    m->cols = cols;
    pthread_mutex_init(&m->lock, NULL);
    m->products[0][N_TILES - 1] = product_new(rows, cols, TILE_ROWS, false, NULL, &m->packed_desc);
    if (!m->products[0][N_TILES - 1] || !pack(m, w)) {
        sx_matrix_free_dnnl(m);
        return NULL;
    }
    return m;
}

SX_DECL_MATRIX_FREE(sx_matrix_free_dnnl)
{
    if (!matrix)
        return;
    for (int a = 0; a < 2; a++)
        for (int t = 0; t < N_TILES; t++)
            product_free(matrix->products[a][t]);
    if (matrix->packed)
        dnnl_memory_destroy(matrix->packed);
    pthread_mutex_destroy(&matrix->lock);
    free(matrix);
}

static const product *product_for(const sx_matrix *matrix, int tile, bool accumulate)
{
    sx_matrix *m = (sx_matrix *)(uintptr_t)
        matrix; /* the cache behind the lock is all that changes */
    int t = __builtin_ctz((unsigned)tile);

    pthread_mutex_lock(&m->lock);
    product *p = m->products[accumulate][t];
    if (!p)
        p = m->products[accumulate][t] = product_new(m->rows, m->cols, tile, accumulate,
                                                     &m->packed_desc, NULL);
    pthread_mutex_unlock(&m->lock);
    return p;
}

/* What a thread needs to run products; freed when it ends. */
typedef struct runner {
    dnnl_stream_t stream;
    void *scratch;
    size_t scratch_size;
} runner;
static pthread_key_t runner_key;
static pthread_once_t runner_once = PTHREAD_ONCE_INIT;

static void runner_free(void *p)
{
    runner *r = p;
    if (r->stream)
        dnnl_stream_destroy(r->stream);
    free(r->scratch);
    free(r);
}

static void runner_key_make(void)
{
    pthread_key_create(&runner_key, runner_free);
}

static runner *runner_get(size_t scratch)
{
    pthread_once(&runner_once, runner_key_make);
    runner *r = pthread_getspecific(runner_key);
    if (!r) {
        if (!(r = calloc(1, sizeof *r)))
            return NULL;
        if (dnnl_stream_create(&r->stream, cpu, dnnl_stream_default_flags) ||
            pthread_setspecific(runner_key, r)) {
            runner_free(r);
            return NULL;
        }
    }
    if (r->scratch_size < scratch) {
        free(r->scratch);
        r->scratch = aligned_alloc(64, (scratch + 63) / 64 * 64);
        r->scratch_size = r->scratch ? scratch : 0;
    }
    return r->scratch_size >= scratch ? r : NULL;
}

static bool run_tile(const sx_matrix *w, int tile, bool accumulate, float *y, const float *x)
{
    const product *p = product_for(w, tile, accumulate);
    runner *r = p ? runner_get(p->scratch) : NULL;
    dnnl_memory_t mx = NULL, my = NULL, ms = NULL;
    bool ok = false;

    if (!r || dnnl_memory_create(&mx, &p->x, cpu, (void *)(uintptr_t)x) ||
        dnnl_memory_create(&my, &p->y, cpu, y))
        goto out;
    if (p->scratch && dnnl_memory_create(&ms, &p->scratch_desc, cpu, r->scratch))
        goto out;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, mx},
                              {DNNL_ARG_WEIGHTS, w->packed},
                              {DNNL_ARG_DST, my},
                              {DNNL_ARG_SCRATCHPAD, ms}};
    ok = !dnnl_primitive_execute(p->run, r->stream, p->scratch ? 4 : 3, args) &&
         !dnnl_stream_wait(r->stream);
out:
    if (ms)
        dnnl_memory_destroy(ms);
    if (my)
        dnnl_memory_destroy(my);
    if (mx)
        dnnl_memory_destroy(mx);
    return ok;
}

SX_DECL_MATMUL(sx_matmul_dnnl)
{
    (void)stream;
    for (int i = 0; i < n; i += TILE_ROWS) {
        int tile = sx_matmul_rows(n - i < TILE_ROWS ? n - i : TILE_ROWS);
        if (!run_tile(w, tile, accumulate, (float *)y + (size_t)i * w->rows,
                      (const float *)x + (size_t)i * w->cols))
            return false;
    }
    return true;
}

SX_DECL_MATMUL_F32(sx_matmul_f32_dnnl)
{
    return sx_matmul_dnnl(stream, y, x, w, n, false);
}

SX_DECL_MATMUL_THREADS(sx_matmul_threads_dnnl)
{
    omp_set_num_threads(threads > 0 ? threads : 1);
}
