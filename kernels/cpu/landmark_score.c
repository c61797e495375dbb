/* landmark_score.c: query vectors against landmarks. */
#include "kernels/kernels.h"

SX_DECL_LANDMARK_SCORE(sx_landmark_score_c)
{
    (void)stream;
    for (int i = 0; i < n; i++)
        for (int b = 0; b < n_blocks; b++) {
            const float *x = q + (size_t)i * d, *y = landmark + (size_t)b * d;
            float dot = 0.0f;
            for (int j = 0; j < d; j++)
                dot += x[j] * y[j];
            score[(size_t)i * n_blocks + b] = dot;
        }
}
