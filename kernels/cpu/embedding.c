/* embedding.c: token ids -> normalised rows of the embedding. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <math.h>

SX_DECL_EMBEDDING(sx_embedding_c)
{
    (void)stream;
    for (int i = 0; i < n; i++) {
        const float *row = (const float *)table + (size_t)ids[i] * d;
        float *out = (float *)y + (size_t)i * d;
        float r = 1.0f / sqrtf(sx_dot(row, row, d) / (float)d + eps);
        for (int j = 0; j < d; j++)
            out[j] = row[j] * r;
    }
}
