/* softcap.c: logits squeezed into (-cap, cap), and the largest of them. */
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_SOFTCAP(sx_softcap_c)
{
    (void)stream;
    for (int i = 0; i < n; i++)
        x[i] = cap * tanhf(x[i] / cap);
}

SX_DECL_SOFTCAP_ARGMAX(sx_softcap_argmax_c)
{
    (void)stream;
    for (int i = 0; i < n; i++) {
        const float *row = x + (size_t)i * d;
        int32_t at = -1;
        for (int j = 0; j < d; j++)
            if (at < 0 ? !isnan(row[j]) : row[j] > row[at])
                at = j;
        best[i] = at;
        value[i] = at < 0 ? NAN : cap * tanhf(row[at] / cap);
    }
}
