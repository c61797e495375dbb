/* landmark_topk_avx512.c: landmark top-k with scores in vectors of 16. */
#define LANDMARK_TOPK  sx_landmark_topk_avx512
#define LANDMARK_SCORE sx_landmark_score_avx512
#include "kernels/cpu/landmark_topk_tile.h"
