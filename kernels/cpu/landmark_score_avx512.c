/* landmark_score_avx512.c: landmark scores in vectors of 16. */
#define SX_LANES       16
#define LANDMARK_SCORE sx_landmark_score_avx512
#include "kernels/cpu/landmark_score_simd.h"
