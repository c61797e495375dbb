/* attention.h: what the two attention kernels are given: rows of queries in tiles of 128, each with
 * its list of keys (key_tiles.cuh). attention_hopper.cu is the fast one, for sm_90a;
 * attention_plain.cu runs from sm_80 on. */
#ifndef SX_CUDA_ATTENTION_H
#define SX_CUDA_ATTENTION_H

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/key_tiles.cuh"

#include <cuda_bf16.h>

struct attention {
    __nv_bfloat16 *o; /* [n, heads * d] */
    float *lse;       /* [heads, n] or NULL */
    const __nv_bfloat16 *q, *k, *v, *far_k, *far_v;
    int q_stride, kv_stride;
    int64_t far_stride;        /* elements between two rows of far_k, far_v */
    int n, n_keys, n_far_keys; /* rows of q, of k and v, of far_k and far_v */
    int heads, kv_heads, d;
    int start; /* the position of the first row of q; 0 for segments */
    float scale;
    key_levels levels;
    const int32_t *selection; /* [kv_heads, selection_stride, levels.k] */
    int selection_stride;
    const int32_t *segment_start; /* NULL: one sequence */
    const int2 *segment_tiles;    /* segment and tile of it, x < 0: none */
    int n_tiles;
};

/* One tile's place: positions begin .. end are rows; a position's row of q is row0 + position, its
 * row of k is key0 + position. */
struct tile_place {
    int tile, row0, key0, begin, end;
};

/* Tile i, heaviest first; the whole warp asks. False: there is none. */
__device__ __forceinline__ bool tile_at(tile_place &place, const attention &a, int i)
{
    if (a.segment_tiles) {
        int2 at = a.segment_tiles[i];
        at.x = __shfl_sync(~0u, at.x, 0); /* one value a warp, and the compiler knows */
        at.y = __shfl_sync(~0u, at.y, 0);
        if (at.x < 0)
            return false;
        place.row0 = place.key0 = a.segment_start[at.x];
        place.begin = 0;
        place.end = a.segment_start[at.x + 1] - place.row0;
        place.tile = at.y * TILE_ROWS;
        return true;
    }
    place.tile = ((a.start + a.n - 1) / TILE_ROWS - i) * TILE_ROWS;
    place.row0 = -a.start;
    place.key0 = 0;
    place.begin = a.start;
    place.end = a.start + a.n;
    return true;
}

__device__ __forceinline__ const int32_t *selection_of(const attention &a, const tile_place &place,
                                                       int kv_head)
{
    return a.selection +
           ((int64_t)kv_head * a.selection_stride + place.tile / TILE_ROWS) * a.levels.k;
}

/* Queued on the stream; what fails sticks to it as `operation`. */
void sx_attention_hopper(sx_stream *stream, const char *operation, const attention *a);
void sx_attention_plain(sx_stream *stream, const char *operation, const attention *a);
void sx_attention(sx_stream *stream, const char *operation, const attention *a);

#endif
