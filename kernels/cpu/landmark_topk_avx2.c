/* landmark_topk_avx2.c: landmark top-k with scores in vectors of 8. */
#define LANDMARK_TOPK  sx_landmark_topk_avx2
#define LANDMARK_SCORE sx_landmark_score_avx2
#include "kernels/cpu/landmark_topk_tile.h"
