/* select.h: what the two kernels of sparse_select share: the question, and the list of the best
 * that a warp keeps for a query block. A score and its block are one ordered number, so ties go to
 * the lower block, and the order in which candidates come does not matter. select_hopper.cu is the
 * fast kernel, for sm_90a; select_plain.cu runs from sm_80 on. */
#ifndef SX_CUDA_SELECT_H
#define SX_CUDA_SELECT_H

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/key_tiles.cuh"

struct selecting {
    const sx_bf16 *q, *rows;              /* rows: of the kv head 0 */
    int64_t q_stride, pitch, t_pitch;     /* elements from row to row, from round to round */
    int rounds, rows_a_block, n_rows;     /* n_rows: that there are */
    int d, heads, kv_heads, group, lanes; /* query heads of a kv head; places for them in a tile */
    int64_t start;
    int first, n; /* query blocks */
    int window, dense, k;
    bool sink;
    float scale;
    int32_t *selection;
    int selection_stride;
};

/* Queued on the stream; what fails sticks to it. */
void sx_select_hopper(sx_stream *stream, const selecting *a);
void sx_select_plain(sx_stream *stream, const selecting *a);

enum { LIST = 256, LIST_NEW = 128 }; /* numbers in a list; the most that a tile adds */

__device__ __forceinline__ uint64_t ranked(float score, int block)
{
    uint32_t bits = __float_as_uint(score);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | ~(uint32_t)block;
}

/* By one warp, largest first, in registers: number 32 r + lane is x[r] of that lane.  (Batcher
 * 1968, bitonic sort.) Ends with the warp in step. */
static __device__ __noinline__ void sort_list(uint64_t *list, int lane)
{
    uint64_t x[LIST / 32];
    __syncwarp();
#pragma unroll
    for (int r = 0; r < LIST / 32; r++)
        x[r] = list[32 * r + lane];
#pragma unroll
    for (int size = 2; size <= LIST; size *= 2)
#pragma unroll
        for (int step = size / 2; step > 0; step /= 2)
#pragma unroll
            for (int r = 0; r < LIST / 32; r++) {
                bool falling = ((32 * r + lane) & size) == 0;
                if (step < 32) {
                    uint64_t other = __shfl_xor_sync(~0u, x[r], step);
                    bool larger = ((lane & step) == 0) == falling;
                    x[r] = (x[r] < other) == larger ? other : x[r];
                } else if (!(r & step / 32)) {
                    uint64_t low = x[r], high = x[r | step / 32];
                    bool swap = (low < high) == falling;
                    x[r] = swap ? high : low;
                    x[r | step / 32] = swap ? low : high;
                }
            }
#pragma unroll
    for (int r = 0; r < LIST / 32; r++)
        list[32 * r + lane] = x[r];
    __syncwarp();
}

/* Keeps the k best of n; returns how many there are. */
static __device__ int keep_best(uint64_t *list, int n, int k, int lane)
{
    __syncwarp();
    for (int i = n + lane; i < LIST; i += 32)
        list[i] = 0;
    sort_list(list, lane);
    return n < k ? n : k;
}

/* Blocks before the first key that the last row of the query block has as local. */
__device__ __forceinline__ int candidates(const selecting &a, int query_block)
{
    key_levels levels = {};
    int tile = query_block * TILE_ROWS;
    levels.window = a.window;
    levels.dense = a.dense;
    levels.own_block = true;
    return (first_seen(levels, tile + TILE_ROWS - 1, tile) + HALF_KEYS - 1) / HALF_KEYS;
}

/* The k best of the n in the list, by block, to query block `query_block` of this call. */
static __device__ void write_selection(const selecting &a, int kv_head, int query_block,
                                       uint64_t *list, int n, int lane)
{
    int32_t *out = a.selection +
                   ((int64_t)kv_head * a.selection_stride + a.first + query_block) * a.k;
    n = keep_best(list, n, a.k, lane);
    for (int i = lane; i < a.k; i += 32) {
        uint32_t block = i < n ? ~(uint32_t)list[i] : 0;
        int before = 0;
        for (int j = 0; j < n; j++)
            before += ~(uint32_t)list[j] < block;
        out[i < n ? before : i] = i < n ? (int32_t)block : -1;
    }
}

#endif
