/* landmark_topk.c: query vectors against landmarks, and the best of them. */
#define LANDMARK_TOPK  sx_landmark_topk_c
#define LANDMARK_SCORE sx_landmark_score_c
#include "kernels/cpu/landmark_topk_tile.h"
#include "kernels/landmark_topk.h"

size_t sx_landmark_topk_work(int n, int n_blocks, int k, int d)
{
    size_t cpu = ((size_t)TOPK_TILE * d + (size_t)n * TOPK_TILE) * sizeof(float);
    size_t gpu = sx_topk_bytes(n, n_blocks, k);
    return cpu > gpu ? cpu : gpu;
}
