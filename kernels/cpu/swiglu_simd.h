/* swiglu_simd.h: SwiGLU for any vector width; SX_LANES and SWIGLU are set by the file that includes
 * it. */
#include "kernels/cpu/simd.h"
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_SWIGLU(SWIGLU)
{
    (void)stream;
    for (int i = 0; i < n; i++) {
        const float *a = (const float *)ab + (size_t)i * 2 * f, *b = a + f;
        float *out = (float *)y + (size_t)i * f;
        int j = 0;
        for (; j + SX_LANES <= f; j += SX_LANES) {
            vf x = v_load(a + j);
            vf e = v_exp(v_max(v_set(-87.0f), -v_max(x, v_set(-87.0f))));
            v_store(out + j, x / (v_set(1.0f) + e) * v_load(b + j));
        }
        for (; j < f; j++)
            out[j] = a[j] / (1.0f + expf(-a[j])) * b[j];
    }
}
