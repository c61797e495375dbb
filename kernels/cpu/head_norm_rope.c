/* head_norm_rope.c: per-head normalisation of q or k and, in window layers, the rotary embedding.
 */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_HEAD_NORM_ROPE(sx_head_norm_rope_c)
{
    (void)stream;
    int half = d / 2;
    for (int i = 0; i < n; i++) {
        const float *cosine = rope ? rope + (size_t)i * d : NULL;
        const float *sine = rope ? cosine + half : NULL;
        for (int h = 0; h < heads; h++) {
            float *v = (float *)x + (size_t)i * stride + (size_t)h * d;
            float r = 1.0f / sqrtf(sx_dot(v, v, d) / (float)d + eps);
            for (int j = 0; j < d; j++)
                v[j] = v[j] * r * weight[j];
            if (!rope)
                continue;
            for (int j = 0; j < half; j++) {
                float a = v[j], b = v[half + j];
                v[j] = a * cosine[j] - b * sine[j];
                v[half + j] = b * cosine[j] + a * sine[j];
            }
        }
    }
}
