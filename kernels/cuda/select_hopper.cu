/* select_hopper.cu: ranks the candidate blocks of 16 query blocks of one kv head at once, for
 * sm_90a.
 *
 * Scores are warpgroup products of 128 queries (16 query blocks, 8 places for their heads) with 128
 * rows of keys: block means, or for ANTIDIAGONAL groups of 16 keys over 16 rounds. The queries are
 * the rows of the product, so all scores of a query block lie in one warp: it takes the largest
 * over the heads by exchanges in which each carries half of what is left, and keeps the best blocks
 * in a list of its own. Warps never wait for each other, only for the copies that one warp starts.
 */
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/select.h"

namespace
{

enum {
    ROWS = 128,
    QUERIES = 128,
    PLACES = 8, /* for the heads of a kv head */
    BLOCKS = QUERIES / PLACES,
    STAGES = 3,
    PANEL = 64,
    PANEL_BYTES = ROWS * 128,
    THREADS = 3 * 128,
    CONSUMER_WARPS = 8
};
static_assert((int)ROWS <= (int)LIST_NEW, "a tile must fit behind the kept ones");

template <int D> struct shared {
    struct {
        alignas(1024) unsigned char rows[D / PANEL][PANEL_BYTES];
        alignas(
            1024) unsigned char queries[D / PANEL][PANEL_BYTES]; /* one round: of stage 0 only */
    } stage[STAGES];
    uint64_t list[BLOCKS][LIST];
    uint64_t full[STAGES], empty[STAGES];
};

struct tensors {
    CUtensorMap rows;    /* columns, round, row */
    CUtensorMap queries; /* columns, head, round backwards, query block */
};

#ifdef SX_SM90A

template <int D>
__device__ __forceinline__ void produce(shared<D> &s, const selecting &a, const tensors &maps,
                                        int kv_head, int first, int n_tiles)
{
    int stage = 0, phase = 0;
    for (int tile = 0; tile < n_tiles; tile++)
        for (int t = 0; t < a.rounds; t++) {
            bool queries = a.rounds > 1 || tile == 0;
            mbarrier_wait(&s.empty[stage], phase ^ 1);
            mbarrier_arrive_expect(&s.full[stage], (queries ? ROWS + QUERIES : ROWS) * D * 2);
#pragma unroll
            for (int p = 0; p < D / PANEL; p++) {
                tensor_load(s.stage[stage].rows[p], &maps.rows, kv_head * D + p * PANEL, t,
                            tile * ROWS, &s.full[stage]);
                if (queries)
                    tensor_load(s.stage[stage].queries[p], &maps.queries, p * PANEL,
                                kv_head * a.group, a.rounds - 1 - t, first, &s.full[stage]);
            }
            if (++stage == STAGES) {
                stage = 0;
                phase ^= 1;
            }
        }
}

/* One warp: query blocks 2 warp and 2 warp + 1 of the thread block's. */
template <int D>
__device__ __forceinline__ void consume(shared<D> &s, const selecting &a, int kv_head, int first,
                                        int n_tiles)
{
    int warp = __shfl_sync(~0u, (int)threadIdx.x / 32, 0) - 4, lane = threadIdx.x % 32;
    int stage = 0, phase = 0, blocks_a_tile = ROWS / a.rows_a_block, candidate[2], n[2] = {0, 0};
    bool has_head = lane / 4 < a.group;
    uint64_t least[2] = {0, 0};
    float least_score[2] = {-INFINITY, -INFINITY}, score[64];

#pragma unroll
    for (int r = 0; r < 2; r++)
        candidate[r] = first + 2 * warp + r < a.n ? candidates(a, a.first + first + 2 * warp + r)
                                                  : 0;
    for (int tile = 0; tile < n_tiles; tile++) {
        for (int t = 0; t < a.rounds; t++) {
            mbarrier_wait(&s.full[stage], phase);
            uint64_t x = wgmma_operand(
                s.stage[a.rounds > 1 ? stage : 0].queries[0] + warp / 4 * 64 * 128, 16, 1024);
            uint64_t y = wgmma_operand(s.stage[stage].rows[0], 16, 1024);
            registers_fence(score);
            wgmma_fence();
#pragma unroll
            for (int c = 0; c < D; c += 16) {
                int at = (c / PANEL * PANEL_BYTES + c % PANEL * 2) >> 4;
                wgmma_ss(score, x + at, y + at, t > 0 || c > 0);
            }
            wgmma_commit();
            wgmma_wait<0>();
            registers_fence(score);
            if (lane == 0)
                mbarrier_arrive(&s.empty[stage]);
            if (++stage == STAGES) {
                stage = 0;
                phase ^= 1;
            }
        }
        /* A head is the same row of 8 in every warp: lanes 4 apart. Halve what is left: columns
         * 8 i .. with i < 8 to the lower lanes, and so on. */
        float most[8][4]; /* 2 r + e */
        bool high = lane & 16;
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                float x = has_head ? score[4 * i + e] : -INFINITY;
                float y = has_head ? score[4 * (i + 8) + e] : -INFINITY;
                most[i][e] = fmaxf(high ? y : x, __shfl_xor_sync(~0u, high ? x : y, 16));
            }
        high = lane & 8;
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                most[i][e] = fmaxf(high ? most[i + 4][e] : most[i][e],
                                   __shfl_xor_sync(~0u, high ? most[i][e] : most[i + 4][e], 8));
        high = lane & 4;
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                most[i][e] = fmaxf(high ? most[i + 2][e] : most[i][e],
                                   __shfl_xor_sync(~0u, high ? most[i][e] : most[i + 2][e], 4));
        /* here: columns column + 8 i + e for i, e < 2 */
        int column = (lane & 16 ? 64 : 0) + (lane & 8 ? 32 : 0) + (lane & 4 ? 16 : 0) +
                     lane % 4 * 2;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            uint64_t *list = s.list[2 * warp + r];
            int block0 = tile * blocks_a_tile;
            float best[4];
            if (block0 >= candidate[r])
                continue;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                best[i] = most[i / 2][2 * r + i % 2] * a.scale;
                if (a.rows_a_block > 1) { /* four columns are a block: even lanes have it all */
                    float pair = fmaxf(best[i], most[i / 2][2 * r + (i % 2 ^ 1)] * a.scale);
                    pair = fmaxf(pair, __shfl_xor_sync(~0u, pair, 1));
                    best[i] = i % 2 || lane % 2 ? -INFINITY : pair;
                }
            }
            float top = fmaxf(fmaxf(best[0], best[1]), fmaxf(best[2], best[3]));
            if (!__any_sync(~0u, top >= least_score[r]) && !(a.sink && tile == 0))
                continue;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int block = block0 + (column + i / 2 * 8 + i % 2) / a.rows_a_block;
                bool whole = a.rows_a_block == 1 || (i % 2 == 0 && lane % 2 == 0);
                uint64_t key = a.sink && block == 0 ? ~(uint64_t)0 : ranked(best[i], block);
                bool better = whole && block < candidate[r] && key > least[r] && best[i] == best[i];
                uint32_t all = __ballot_sync(~0u, better);
                if (better)
                    list[n[r] + __popc(all & ((1u << lane) - 1))] = key;
                n[r] += __popc(all);
            }
            if (n[r] > LIST - LIST_NEW) {
                n[r] = keep_best(list, n[r], a.k, lane);
                if (n[r] == a.k) {
                    uint32_t bits = (uint32_t)((least[r] = list[a.k - 1]) >> 32);
                    least_score[r] = __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu
                                                                        : ~bits);
                }
                __syncwarp();
            }
        }
    }
#pragma unroll
    for (int r = 0; r < 2; r++)
        if (first + 2 * warp + r < a.n)
            write_selection(a, kv_head, first + 2 * warp + r, s.list[2 * warp + r], n[r], lane);
}

#endif

template <int D>
__global__ void __launch_bounds__(THREADS, 1)
    select_kernel(const __grid_constant__ selecting a, const __grid_constant__ tensors maps)
{
#ifdef SX_SM90A
    extern __shared__ unsigned char memory[];
    shared<D> &s = *(shared<D> *)(((uintptr_t)memory + 1023) & ~(uintptr_t)1023);
    int first = (int)(gridDim.x - 1 - blockIdx.x) * BLOCKS; /* the longest lists first */
    int last = first + BLOCKS < a.n ? first + BLOCKS - 1 : a.n - 1;
    int n_tiles = (candidates(a, a.first + last) * a.rows_a_block + ROWS - 1) / ROWS;

    if (threadIdx.x == 0) {
        tensor_prefetch(&maps.rows);
        tensor_prefetch(&maps.queries);
        for (int i = 0; i < STAGES; i++) {
            mbarrier_init(&s.full[i], 1);
            mbarrier_init(&s.empty[i], CONSUMER_WARPS);
        }
        mbarrier_init_done();
    }
    __syncthreads();
    if (threadIdx.x >= 128)
        consume<D>(s, a, blockIdx.y, first, n_tiles);
    else if (threadIdx.x == 0)
        produce<D>(s, a, maps, blockIdx.y, first, n_tiles);
#endif
}

template <int D> void launch(sx_stream *stream, const selecting &a, const tensors &maps)
{
    int bytes = (int)sizeof(shared<D>) + 1024;
    if (sx_cuda_failed(stream, "sparse_select",
                       cudaFuncSetAttribute(select_kernel<D>,
                                            cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)))
        return;
    select_kernel<D><<<dim3((unsigned)((a.n + BLOCKS - 1) / BLOCKS), (unsigned)a.kv_heads), THREADS,
                       bytes, stream->cuda>>>(a, maps);
    SX_LAUNCHED(stream, "sparse_select");
}

} // namespace

void sx_select_hopper(sx_stream *stream, const selecting *a)
{
    tensors maps;
    selecting rest = *a;
    uint32_t row_box[] = {PANEL, 1, ROWS}, query_box[] = {PANEL, PLACES, 1, BLOCKS};

    if (a->n_rows < 1) { /* no block is whole yet: nobody has a candidate */
        sx_select_plain(stream, a);
        return;
    }
    int64_t row_size[] = {(int64_t)a->kv_heads * a->d, a->rounds, a->n_rows};
    int64_t row_pitch[] = {a->t_pitch, a->pitch};
    int64_t query_size[] = {a->d, a->heads, a->rounds, a->n};
    int64_t query_pitch[] = {a->d, a->q_stride, (int64_t)TILE_ROWS * a->q_stride};
    const sx_bf16 *q = a->q +
                       ((int64_t)a->first * TILE_ROWS - a->start - (a->rounds - 1)) * a->q_stride;
    if (a->first == 0 && a->rounds > 1) {
        /* Query block 0 has no candidates, and no rows before it: left to the other kernel. */
        selecting head = *a;
        head.n = 1;
        sx_select_plain(stream, &head);
        if (--rest.n == 0)
            return;
        rest.first = 1;
        query_size[3]--;
        q += (int64_t)TILE_ROWS * a->q_stride;
    }
    if (!tensor_map(&maps.rows, a->rows, 3, row_size, row_pitch, row_box) ||
        !tensor_map(&maps.queries, q, 4, query_size, query_pitch, query_box)) {
        sx_cuda_failed(stream, "sparse_select", cudaErrorInvalidValue);
        return;
    }
    if (a->d == 128)
        launch<128>(stream, rest, maps);
    else
        launch<64>(stream, rest, maps);
}
