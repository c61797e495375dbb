/* block_mean.c: the mean of each block's rows. */
#include "kernels/kernels.h"

SX_DECL_BLOCK_MEAN(sx_block_mean_c)
{
    (void)stream;
    for (int64_t b = first; b < first + n; b++)
        for (int j = 0; j < width; j++) {
            float sum = 0.0f;
            for (int t = 0; t < SX_BLOCK; t++)
                sum += ((const float *)x)[(size_t)(b * SX_BLOCK + t) * stride + j];
            ((float *)mean)[(size_t)b * width + j] = sum / SX_BLOCK;
        }
}
