/* landmark_score_simd.h: landmark scores for any vector width; four queries share a landmark's
 * load. SX_LANES, LANDMARK_SCORE are set by the file that includes it. */
#include "kernels/cpu/simd.h"
#include "kernels/kernels.h"

SX_DECL_LANDMARK_SCORE(LANDMARK_SCORE)
{
    if (d % SX_LANES) {
        sx_landmark_score_c(stream, score, q, landmark, n, n_blocks, d);
        return;
    }
    for (int i = 0; i < n; i += 4) {
        int rows = n - i < 4 ? n - i : 4;
        const float *x[4];
        for (int r = 0; r < 4; r++) /* fewer than four: the last again */
            x[r] = (const float *)q + (size_t)(i + (r < rows ? r : rows - 1)) * d;
        for (int b = 0; b < n_blocks; b++) {
            const float *y = (const float *)landmark + (size_t)b * d;
            vf acc[4] = {{0}, {0}, {0}, {0}};
            if (rows == 1)
                for (int j = 0; j < d; j += SX_LANES)
                    acc[0] += v_load(x[0] + j) * v_load(y + j);
            else
                for (int j = 0; j < d; j += SX_LANES) {
                    vf l = v_load(y + j);
                    for (int r = 0; r < 4; r++)
                        acc[r] += v_load(x[r] + j) * l;
                }
            for (int r = 0; r < rows; r++)
                score[(size_t)(i + r) * n_blocks + b] = v_sum(acc[r]);
        }
    }
}
