/* softcap.c: logits squeezed into (-cap, cap). */
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_SOFTCAP(sx_softcap_c)
{
    (void)stream;
    for (int i = 0; i < n; i++)
        x[i] = cap * tanhf(x[i] / cap);
}
