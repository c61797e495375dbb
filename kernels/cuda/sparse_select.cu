/* sparse_select.cu: which blocks of a long sequence each query block attends to.
 *
 * A thread block ranks all candidate blocks for a few query blocks of one kv head at once: scores
 * [128 rows of keys, 64 queries] as warp matrix products, the rows being block means, or for
 * ANTIDIAGONAL groups of 16 keys over 16 rounds. Scores go no further than shared memory, where a
 * warp a query block keeps the best: a list that takes what beats its k-th best and is sorted when
 * it is full. A score and its block are one ordered number, so ties go to the lower block. */
#include "kernels/cuda/ampere.cuh"
#include "kernels/cuda/attention.h"

namespace
{

enum { WARPS = 8, THREADS = 32 * WARPS, ROWS = 16 * WARPS, QUERIES = 64, LIST = 256 };

struct selecting {
    const sx_bf16 *q, *rows;          /* rows: of the kv head 0 */
    int64_t q_stride, pitch, t_pitch; /* elements from row to row, from round to round */
    int rounds, rows_a_block;
    int heads, kv_heads, group, lanes; /* query heads of a kv head; places for them in a tile */
    int64_t start;
    int first, n; /* query blocks */
    int window, k;
    bool sink;
    float scale;
    int32_t *selection;
    int selection_stride;
};

template <int D> struct select_shared {
    uint64_t list[WARPS][LIST];
    float score[QUERIES / 8][ROWS];
    sx_bf16 rows[2][ROWS][D + 8];
    sx_bf16 queries[1][QUERIES][D + 8]; /* [2] where there are several rounds */
};

__device__ __forceinline__ uint64_t ranked(float score, int block)
{
    uint32_t bits = __float_as_uint(score);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | ~(uint32_t)block;
}

/* By one warp, largest first. (Batcher 1968, bitonic sort.) */
__device__ void sort_list(uint64_t *list, int lane)
{
    for (int size = 2; size <= LIST; size *= 2)
        for (int step = size / 2; step > 0; step /= 2) {
            __syncwarp();
            for (int pair = lane; pair < LIST / 2; pair += 32) {
                int i = 2 * pair - (pair & (step - 1)), j = i + step;
                uint64_t a = list[i], b = list[j];
                if ((a < b) == ((i & size) == 0)) {
                    list[i] = b;
                    list[j] = a;
                }
            }
        }
    __syncwarp();
}

/* Keeps the k best of n; returns how many there are. */
__device__ int keep_best(uint64_t *list, int n, int k, int lane)
{
    __syncwarp();
    for (int i = n + lane; i < LIST; i += 32)
        list[i] = 0;
    sort_list(list, lane);
    return n < k ? n : k;
}

__device__ __forceinline__ int candidates(const selecting &a, int query_block)
{
    int64_t first = (int64_t)query_block * TILE_ROWS, lo = first + TILE_ROWS - a.window;
    lo = lo > first ? first : lo;
    return lo > 0 ? (int)((lo + HALF_KEYS - 1) / HALF_KEYS) : 0;
}

template <int D>
__global__ void __launch_bounds__(THREADS) select_kernel(const __grid_constant__ selecting a)
{
    extern __shared__ __align__(16) unsigned char memory[];
    select_shared<D> &s = *(select_shared<D> *)memory;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int kv_head = blockIdx.y, blocks = QUERIES / a.lanes;   /* query blocks of this thread block */
    int first = (int)(gridDim.x - 1 - blockIdx.x) * blocks; /* the longest lists first */
    int last = first + blocks < a.n ? first + blocks - 1 : a.n - 1;
    int n_rows = candidates(a, a.first + last) * a.rows_a_block;
    int steps = (n_rows + ROWS - 1) / ROWS * a.rounds;
    int mine = warp < blocks && first + warp < a.n ? candidates(a, a.first + first + warp) : 0;
    int n = 0; /* in this warp's list */
    uint64_t least = 0;
    const sx_bf16 *rows = a.rows + (int64_t)kv_head * D;

    auto copy = [&](int step) {
        int tile = step / a.rounds * ROWS, t = step % a.rounds;
        for (int i = threadIdx.x; i < ROWS * D / 8; i += THREADS) {
            int r = i / (D / 8), c = i % (D / 8) * 8;
            bool there = tile + r < n_rows;
            copy16(&s.rows[step & 1][r][c],
                   rows + (there ? (tile + r) * a.pitch + t * a.t_pitch + c : 0), there);
        }
        if (a.rounds > 1 || step == 0)
            for (int i = threadIdx.x; i < QUERIES * D / 8; i += THREADS) {
                int column = i / (D / 8), c = i % (D / 8) * 8, h = column % a.lanes;
                int64_t p = (int64_t)(a.first + first + column / a.lanes) * TILE_ROWS - t;
                bool there = first + column / a.lanes < a.n && p >= 0;
                /* places without a head repeat one: the largest stays the largest */
                h = kv_head * a.group + (h < a.group ? h : 0);
                copy16(&s.queries[a.rounds > 1 ? step & 1 : 0][column][c],
                       a.q + (there ? (p - a.start) * a.q_stride + (int64_t)h * D + c : 0), there);
            }
        copy_commit();
    };

    float acc[QUERIES / 8][4];
    if (steps > 0)
        copy(0);
    for (int step = 0; step < steps; step++) {
        const sx_bf16(*tile)[D + 8] = s.rows[step & 1];
        const sx_bf16(*queries)[D + 8] = s.queries[a.rounds > 1 ? step & 1 : 0];
        if (step + 1 < steps) {
            copy(step + 1);
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        if (step % a.rounds == 0)
#pragma unroll
            for (int j = 0; j < QUERIES / 8; j++)
                acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.0f;
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
            uint32_t x[4];
            load_matrices(x, &tile[warp * 16 + lane % 16][16 * c + lane / 16 * 8]);
#pragma unroll
            for (int j = 0; j < QUERIES / 16; j++) {
                uint32_t y[4];
                load_matrices(
                    y, &queries[16 * j + lane / 16 * 8 + lane % 8][16 * c + lane / 8 % 2 * 8]);
                mma(acc[2 * j], x, y[0], y[1]);
                mma(acc[2 * j + 1], x, y[2], y[3]);
            }
        }
        if (step % a.rounds == a.rounds - 1) {
#pragma unroll
            for (int j = 0; j < QUERIES / 8; j++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float most = sx_team_max<4>(fmaxf(acc[j][2 * r], acc[j][2 * r + 1]));
                    if (lane % 4 == 0)
                        s.score[j][warp * 16 + lane / 4 + 8 * r] = most;
                }
            __syncthreads();
            int blocks_a_tile = ROWS / a.rows_a_block;
            int block0 = step / a.rounds * blocks_a_tile;
            if (block0 < mine) { /* a whole warp's condition */
                for (int i = lane; i < blocks_a_tile; i += 32) {
                    float score = -INFINITY;
                    for (int j = warp * a.lanes / 8; j < (warp + 1) * a.lanes / 8; j++)
                        for (int r = 0; r < a.rows_a_block; r++)
                            score = fmaxf(score, s.score[j][i * a.rows_a_block + r]);
                    uint64_t key = ranked(score * a.scale, block0 + i);
                    if (a.sink && block0 + i == 0)
                        key = ~(uint64_t)0;
                    bool better = block0 + i < mine && key > least && score == score;
                    uint32_t all = __ballot_sync(~0u, better);
                    if (better)
                        s.list[warp][n + __popc(all & ((1u << lane) - 1))] = key;
                    n += __popc(all);
                }
                if (n > LIST - ROWS) {
                    n = keep_best(s.list[warp], n, a.k, lane);
                    least = n == a.k ? s.list[warp][a.k - 1] : 0;
                }
            }
        }
        __syncthreads();
    }

    if (warp >= blocks || first + warp >= a.n)
        return;
    uint64_t *list = s.list[warp];
    int32_t *out = a.selection +
                   ((int64_t)kv_head * a.selection_stride + a.first + first + warp) * a.k;
    n = keep_best(list, n, a.k, lane);
    for (int i = lane; i < LIST; i += 32) /* by block now */
        list[i] = i < n ? (uint32_t)list[i] : 0;
    sort_list(list, lane);
    for (int i = lane; i < a.k; i += 32)
        out[i] = i < n ? (int32_t) ~(uint32_t)list[i] : -1;
}

template <int D> void launch(sx_stream *stream, const selecting &a)
{
    int bytes = (int)sizeof(select_shared<D>) +
                (a.rounds > 1 ? (int)(QUERIES * (D + 8) * sizeof(sx_bf16)) : 0);
    int blocks = QUERIES / a.lanes;
    if (sx_cuda_failed(stream, "sparse_select",
                       cudaFuncSetAttribute(select_kernel<D>,
                                            cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)))
        return;
    select_kernel<D><<<dim3((unsigned)((a.n + blocks - 1) / blocks), (unsigned)a.kv_heads), THREADS,
                       bytes, stream->cuda>>>(a);
    SX_LAUNCHED(stream, "sparse_select");
}

} // namespace

extern "C" SX_DECL_SPARSE_SELECT(sx_sparse_select_cuda)
{
    selecting a = {};
    bool mean = shape->score == SX_SCORE_MEAN;

    if (!sx_cuda_begin(stream) || shape->n < 1 || shape->k < 1)
        return;
    a.q = (const sx_bf16 *)q;
    a.rows = (const sx_bf16 *)(mean ? mean_k : k);
    a.q_stride = q_stride;
    a.pitch = mean ? (int64_t)shape->kv_heads * shape->d : (int64_t)SX_ANTIDIAGONAL * kv_stride;
    a.t_pitch = kv_stride;
    a.rounds = mean ? 1 : SX_ANTIDIAGONAL;
    a.rows_a_block = mean ? 1 : SX_BLOCK / SX_ANTIDIAGONAL;
    a.heads = shape->heads;
    a.kv_heads = shape->kv_heads;
    a.group = shape->heads / shape->kv_heads;
    for (a.lanes = 8; a.lanes < a.group;)
        a.lanes *= 2;
    a.start = shape->start;
    a.first = (int)((shape->start + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK);
    a.n = (int)((shape->start + shape->n + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK) - a.first;
    a.window = shape->window;
    a.k = shape->k;
    a.sink = shape->sink;
    a.scale = mean ? shape->scale : shape->scale / SX_ANTIDIAGONAL;
    a.selection = selection;
    a.selection_stride = selection_stride;
    if (a.n < 1)
        return;
    if (shape->k > SX_BLOCKS_MAX || shape->start + shape->n > INT32_MAX - 4 * TILE_ROWS ||
        (shape->d != 64 && shape->d != 128) || a.group > QUERIES || shape->window < 1 ||
        !sx_aligned16(q, q_stride, 2) || !sx_aligned16(a.rows, mean ? 0 : kv_stride, 2)) {
        sx_cuda_failed(stream, "sparse_select", cudaErrorInvalidValue);
        return;
    }
    if (shape->d == 128)
        launch<128>(stream, a);
    else
        launch<64>(stream, a);
}
