/* lse_merge.c: partial attention results -> the result under one softmax. */
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_LSE_MERGE(sx_lse_merge_c)
{
    (void)stream;
    float *out = o;
    for (int i = 0; i < n; i++) {
        float top = -INFINITY, sum = 0.0f;
        for (int p = 0; p < parts; p++)
            top = fmaxf(top, lse[(size_t)p * n + i]);
        for (int p = 0; p < parts && top > -INFINITY; p++)
            sum += expf(lse[(size_t)p * n + i] - top);
        for (int j = 0; j < d; j++) {
            float x = 0.0f;
            for (int p = 0; p < parts && top > -INFINITY; p++) {
                float weight = expf(lse[(size_t)p * n + i] - top) / sum;
                if (weight > 0.0f) /* an empty part may hold anything */
                    x += weight * part[((size_t)p * n + i) * d + j];
            }
            out[(size_t)i * d + j] = x;
        }
        if (total_lse)
            total_lse[i] = top > -INFINITY ? top + logf(sum) : -INFINITY;
    }
}
