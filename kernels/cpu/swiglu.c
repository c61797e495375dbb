/* swiglu.c: the gated activation between the two matrices of a feed-forward layer. */
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_SWIGLU(sx_swiglu_c)
{
    (void)stream;
    for (int i = 0; i < n; i++) {
        const float *a = (const float *)ab + (size_t)i * 2 * f, *b = a + f;
        float *out = (float *)y + (size_t)i * f;
        for (int j = 0; j < f; j++)
            out[j] = a[j] / (1.0f + expf(-a[j])) * b[j];
    }
}
