/* landmark_score_avx2.c: landmark scores in vectors of 8. */
#define SX_LANES       8
#define LANDMARK_SCORE sx_landmark_score_avx2
#include "kernels/cpu/landmark_score_simd.h"
