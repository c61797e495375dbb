/* landmark_topk.c: query vectors against landmarks, and the best of them. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <math.h>

size_t sx_landmark_topk_work(int n, int n_blocks, int k, int d)
{
    return 0;
}

static float score(const float *q, const void *landmark, sx_type type, const float *scale, int b,
                   int d)
{
    size_t at = (size_t)b * d;
    float sum = 0.0f;
    if (type == SX_F32)
        return sx_dot(q, (const float *)landmark + at, d);
    for (int j = 0; j < d; j++)
        sum += q[j] * (float)((const int8_t *)landmark)[at + j];
    return sum * scale[b];
}

SX_DECL_LANDMARK_TOPK(sx_landmark_topk_c)
{
    for (int i = 0; i < n; i++)
        for (int b = 0; b < n_blocks; b++) {
            float s = score((const float *)q + (size_t)i * d, landmark, type, landmark_scale, b, d);
            sx_topk_merge_c(stream, best_score + (size_t)i * k, best_block + (size_t)i * k, k, &s,
                            1, base + b);
        }
}
