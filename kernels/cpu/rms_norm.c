/* rms_norm.c: root-mean-square normalisation of rows. */
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_RMS_NORM(sx_rms_norm_c)
{
    (void)stream;
    for (int i = 0; i < n; i++) {
        const float *in = x + (size_t)i * d;
        float *out = y + (size_t)i * d;
        float part[16] = {0}, sum = 0.0f; /* 16 independent sums: the compiler may use vectors */
        int j = 0;
        for (; j + 16 <= d; j += 16)
            for (int l = 0; l < 16; l++)
                part[l] += in[j + l] * in[j + l];
        for (; j < d; j++)
            sum += in[j] * in[j];
        for (int l = 0; l < 16; l++)
            sum += part[l];
        float r = 1.0f / sqrtf(sum / (float)d + eps);
        if (weight)
            for (j = 0; j < d; j++)
                out[j] = in[j] * r * weight[j];
        else
            for (j = 0; j < d; j++)
                out[j] = in[j] * r;
    }
}
