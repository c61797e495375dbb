/* sparse_select.c: which blocks of a long sequence each query block attends to. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <math.h>

size_t sx_sparse_select_work(const sx_sparse *shape)
{
    return SX_BLOCKS_MAX * (sizeof(float) + sizeof(int32_t));
}

/* The blocks that hold a key before lo() of the query block's last row: 0 .. this. */
static int candidates(const sx_sparse *shape, int64_t query_block)
{
    int64_t first = query_block * SX_QUERY_BLOCK;
    int64_t lo = first + SX_QUERY_BLOCK - shape->window;
    if (lo > first)
        lo = first;
    if (first < shape->dense)
        return 0;
    return lo > 0 ? (int)((lo + SX_BLOCK - 1) / SX_BLOCK) : 0;
}

/* row: of the call, may be negative. */
static float score_mean(const sx_sparse *shape, const float *q, int q_stride, int64_t row, int h,
                        const float *mean)
{
    return shape->scale * sx_dot(q + row * q_stride + (size_t)h * shape->d, mean, shape->d);
}

static float score_antidiagonal(const sx_sparse *shape, const float *q, int q_stride, int64_t row,
                                int h, const float *k, int kv_stride)
{
    float best = -INFINITY;
    for (int g = 0; g < SX_BLOCK; g += SX_ANTIDIAGONAL) {
        float sum = 0.0f;
        for (int t = 0; t < SX_ANTIDIAGONAL && shape->start + row - t >= 0; t++)
            sum += sx_dot(q + (row - t) * q_stride + (size_t)h * shape->d,
                          k + (size_t)(g + t) * kv_stride, shape->d);
        best = fmaxf(best, shape->scale / SX_ANTIDIAGONAL * sum);
    }
    return best;
}

/* The k best so far, best first; an equal score stays behind the earlier block, NaN never enters.
 */
static void keep(float *best_score, int32_t *best, int k, float score, int block)
{
    int place = k - 1;
    if (k < 1 || !(score > best_score[place]))
        return;
    for (; place > 0 && score > best_score[place - 1]; place--) {
        best_score[place] = best_score[place - 1];
        best[place] = best[place - 1];
    }
    best_score[place] = score;
    best[place] = block;
}

SX_DECL_SPARSE_SELECT(sx_sparse_select_c)
{
    (void)stream;
    const float *queries = q, *keys = k, *means = mean_k;
    int group = shape->heads / shape->kv_heads, d = shape->d;
    float *best_score = work;
    int32_t *best = (int32_t *)(best_score + SX_BLOCKS_MAX);

    for (int kv = 0; kv < shape->kv_heads; kv++)
        for (int64_t b = (shape->start + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK;
             b * SX_QUERY_BLOCK < shape->start + shape->n; b++) {
            int64_t row = b * SX_QUERY_BLOCK - shape->start;
            int32_t *out = selection + ((size_t)kv * selection_stride + (size_t)b) * shape->k;
            int n = candidates(shape, b), found = 0;

            for (int i = 0; i < shape->k; i++) {
                best_score[i] = -INFINITY;
                best[i] = -1;
            }
            for (int c = 0; c < n; c++) {
                float s = -INFINITY;
                for (int h = kv * group; h < (kv + 1) * group; h++)
                    s = fmaxf(s, shape->score == SX_SCORE_MEAN
                                     ? score_mean(shape, queries, q_stride, row, h,
                                                  means + ((size_t)c * shape->kv_heads + kv) * d)
                                     : score_antidiagonal(shape, queries, q_stride, row, h,
                                                          keys + (size_t)c * SX_BLOCK * kv_stride +
                                                              (size_t)kv * d,
                                                          kv_stride));
                if (!c && shape->sink)
                    s = INFINITY;
                keep(best_score, best, shape->k, s, c);
            }
            while (found < shape->k && best[found] >= 0)
                found++;
            for (int i = 0; i < shape->k; i++) { /* ascending */
                int at = i;
                for (; i < found && at > 0 && out[at - 1] > best[i]; at--)
                    out[at] = out[at - 1];
                out[at] = best[i];
            }
        }
}
