/* sparse_attention.c: local, far and selected keys of a long sequence under one softmax.
 *
 * The reference walks the keys in order and keeps the running maximum, sum and output of a row
 * (Milakov and Gimelshein 2018, online softmax), so it needs no memory that grows. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <math.h>

typedef struct softmax_row {
    float top, sum;
    float *o;
    int d;
} softmax_row;

static void add_key(softmax_row *r, float score, const float *value)
{
    if (score > r->top) {
        float shrink = expf(r->top - score);
        for (int j = 0; j < r->d; j++)
            r->o[j] *= shrink;
        r->sum *= shrink;
        r->top = score;
    }
    float p = expf(score - r->top);
    r->sum += p;
    for (int j = 0; j < r->d; j++)
        r->o[j] += p * value[j];
}

int sx_sparse_dense_below(const sx_sparse *shape)
{
    int64_t keys = (int64_t)shape->window + (int64_t)shape->k * SX_BLOCK;
    keys = keys * 8 / 5 / SX_QUERY_BLOCK * SX_QUERY_BLOCK;
    return keys < INT32_MAX ? (int)keys : INT32_MAX;
}

SX_DECL_SPARSE_ATTENTION(sx_sparse_attention_c)
{
    int group = shape->heads / shape->kv_heads, d = shape->d;
    float local = logf(shape->gate[0]), far = logf(shape->gate[1]), chosen = logf(shape->gate[2]);

    (void)stream;
    for (int i = 0; i < shape->n; i++)
        for (int h = 0; h < shape->heads; h++) {
            int64_t p = shape->start + i, query_block = p / SX_QUERY_BLOCK;
            int64_t lo = p - shape->window + 1, first = query_block * SX_QUERY_BLOCK;
            size_t column = (size_t)(h / group) * d;
            const float *query = (const float *)q + (size_t)i * q_stride + (size_t)h * d;
            const float *keys = (const float *)k + column, *values = (const float *)v + column;
            bool selects = shape->k && first >= shape->dense;
            const int32_t *selected = selects
                                          ? selection + ((size_t)(h / group) * selection_stride +
                                                         (size_t)query_block) *
                                                            shape->k
                                          : NULL;
            softmax_row row = {-INFINITY, 0.0f, (float *)o + ((size_t)i * shape->heads + h) * d, d};
            int at = 0;

            for (int j = 0; j < d; j++)
                row.o[j] = 0.0f;
            lo = lo > first ? first : lo;
            lo = lo < 0 || first < shape->dense ? 0 : lo;
            for (int64_t b = 0; b * SX_BLOCK < lo; b++) { /* before the window, block by block */
                int64_t end = (b + 1) * SX_BLOCK < lo ? (b + 1) * SX_BLOCK : lo;
                bool is_selected = at < shape->k && selected[at] == b;
                at += is_selected;
                for (int64_t j = b * SX_BLOCK; j < end; j++) {
                    bool strided = shape->stride && j % shape->stride == 0;
                    if (strided || is_selected)
                        add_key(&row,
                                shape->scale * sx_dot(query, keys + j * kv_stride, d) +
                                    (strided ? far : chosen),
                                values + j * kv_stride);
                }
                if (shape->landmarks && !is_selected && (b + 1) * SX_BLOCK <= lo) {
                    size_t mean = (size_t)b * shape->kv_heads * d + column;
                    add_key(&row,
                            shape->scale * sx_dot(query, (const float *)mean_k + mean, d) + far,
                            (const float *)mean_v + mean);
                }
            }
            for (int64_t j = lo; j <= p; j++)
                add_key(&row, shape->scale * sx_dot(query, keys + j * kv_stride, d) + local,
                        values + j * kv_stride);
            for (int j = 0; j < d; j++)
                row.o[j] /= row.sum;
            if (lse)
                lse[(size_t)h * shape->n + i] = row.top + logf(row.sum);
        }
}
