/* select_plain.cu: ranks the candidate blocks of a few query blocks of one kv head at once: scores
 * [128 rows of keys, 64 queries] as warp matrix products, the rows being block means, or for
 * ANTIDIAGONAL groups of 16 keys over 16 rounds. Scores go no further than shared memory, where a
 * warp a query block keeps the best. */
#include "kernels/cuda/ampere.cuh"
#include "kernels/cuda/select.h"

namespace
{

enum { WARPS = 8, THREADS = 32 * WARPS, ROWS = 16 * WARPS, QUERIES = 64 };
static_assert((int)ROWS <= (int)LIST_NEW && WARPS * 8 >= QUERIES,
              "a warp a query block, its list never full");

template <int D> struct select_shared {
    uint64_t list[WARPS][LIST];
    float score[QUERIES / 8][ROWS];
    sx_bf16 rows[2][ROWS][D + 8];
    sx_bf16 queries[1][QUERIES][D + 8]; /* [2] where there are several rounds */
};

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
                if (n > LIST - LIST_NEW) {
                    n = keep_best(s.list[warp], n, a.k, lane);
                    least = n == a.k ? s.list[warp][a.k - 1] : 0;
                }
            }
        }
        __syncthreads();
    }

    if (warp >= blocks || first + warp >= a.n)
        return;
    write_selection(a, kv_head, first + warp, s.list[warp], n, lane);
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

void sx_select_plain(sx_stream *stream, const selecting *a)
{
    if (a->d == 128)
        launch<128>(stream, *a);
    else
        launch<64>(stream, *a);
}
