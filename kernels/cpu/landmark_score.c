/* landmark_score.c: query vectors against landmarks. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

SX_DECL_LANDMARK_SCORE(sx_landmark_score_c)
{
    (void)stream;
    for (int i = 0; i < n; i++)
        for (int b = 0; b < n_blocks; b++)
            score[(size_t)i * n_blocks + b] = sx_dot((const float *)q + (size_t)i * d,
                                                     (const float *)landmark + (size_t)b * d, d);
}
