/* landmark_topk_tile.h: query vectors against landmarks, and the best of them, in tiles whose
 * scores stay in the cache. LANDMARK_TOPK and LANDMARK_SCORE, the same level's, are set by the file
 * that includes it: a score is bit for bit what landmark_score makes. */
#include "kernels/cpu/number.h"
#include "kernels/kernels.h"

#include <string.h>

enum { TOPK_TILE = 64 };

/* Into the k best so far, if it is one: equal scores stay in the order they came. */
static void keep(float *best_score, int32_t *best_block, int k, float score, int32_t block)
{
    int low = 0, high = k - 1; /* the first place whose score is below is in [low, high] */

    if (!(score > best_score[high])) /* NaN, too */
        return;
    while (low < high) {
        int middle = (low + high) / 2;
        if (score > best_score[middle])
            high = middle;
        else
            low = middle + 1;
    }
    memmove(best_score + low + 1, best_score + low, sizeof *best_score * (size_t)(k - 1 - low));
    memmove(best_block + low + 1, best_block + low, sizeof *best_block * (size_t)(k - 1 - low));
    best_score[low] = score;
    best_block[low] = block;
}

SX_DECL_LANDMARK_TOPK(LANDMARK_TOPK)
{
    float *rows = work, *score = rows + (size_t)TOPK_TILE * d; /* [TILE, d], [n, TILE] */

    for (int b = 0; b < n_blocks; b += TOPK_TILE) {
        int tile = n_blocks - b < TOPK_TILE ? n_blocks - b : TOPK_TILE;
        size_t at = (size_t)b * d, size = (size_t)tile * d;
        const float *x = type == SX_F32 ? (const float *)landmark + at : rows;
        if (type == SX_BF16)
            for (size_t j = 0; j < size; j++)
                rows[j] = sx_from_bf16(((const uint16_t *)landmark)[at + j]);
        else if (type == SX_I8)
            for (size_t j = 0; j < size; j++)
                rows[j] = (float)((const int8_t *)landmark)[at + j];
        LANDMARK_SCORE(stream, score, q, x, n, tile, d);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < tile; j++) {
                float s = score[(size_t)i * tile + j];
                keep(best_score + (size_t)i * k, best_block + (size_t)i * k, k,
                     type == SX_I8 ? s * landmark_scale[b + j] : s, base + b + j);
            }
    }
}
