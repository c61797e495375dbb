/* swiglu.c: the gated activation between the two matrices of a feed-forward layer. */
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_SWIGLU(sx_swiglu_c)
{
    (void)stream;
    for (int i = 0; i < n; i++) {
        const float *a = ab + (size_t)i * 2 * f, *b = a + f;
        for (int j = 0; j < f; j++)
            y[(size_t)i * f + j] = a[j] / (1.0f + expf(-a[j])) * b[j];
    }
}
