/* rms_norm.c: root-mean-square normalisation of rows. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_RMS_NORM(sx_rms_norm_c)
{
    (void)stream;
    for (int i = 0; i < n; i++) {
        const float *in = (const float *)x + (size_t)i * d;
        float *out = (float *)y + (size_t)i * d;
        float r = 1.0f / sqrtf(sx_dot(in, in, d) / (float)d + eps);
        for (int j = 0; j < d; j++)
            out[j] = in[j] * r * (weight ? weight[j] : 1.0f);
    }
}
