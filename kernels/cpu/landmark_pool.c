/* landmark_pool.c: the tokens of a block -> the one compressed key that stands for it. */
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_LANDMARK_POOL(sx_landmark_pool_c)
{
    (void)stream;
    const float *keys = key, *gates = gate;
    for (int b = 0; b < n_blocks; b++) {
        float *out = (float *)landmark + (size_t)b * d;
        float norm = 0.0f;
        for (int j = 0; j < d; j++)
            out[j] = 0.0f;
        for (int t = block_start[b]; t < block_start[b + 1]; t++) {
            float w = expf(fminf(fmaxf(gates[(size_t)t * stride] + bias, -8.0f), 8.0f));
            for (int j = 0; j < d; j++)
                out[j] += w * keys[(size_t)t * stride + j];
        }
        for (int j = 0; j < d; j++)
            norm += out[j] * out[j];
        norm = sqrtf(norm);
        for (int j = 0; j < d; j++)
            out[j] /= fmaxf(norm, 1e-12f);
    }
}
