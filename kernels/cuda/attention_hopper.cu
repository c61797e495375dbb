/* attention_hopper.cu: attention of 128 query rows to a list of half tiles of keys, for sm_90a.
 *
 * One block a multiprocessor stays and takes tile after tile. Its first warp runs ahead: it makes
 * the list of keys and starts the bulk tensor copies of q, k and v into shared memory, two stages
 * deep, also over the border of a tile. Two warpgroups of 64 rows each compute: S = q k^T and O +=
 * P v are warpgroup matrix products that run at once, the softmax of one warpgroup under the
 * products of the other, in turns. (The structure is that of Shah et al. 2024, FlashAttention-3.)
 * Every level's keys go through the same loop, so there is one softmax and nothing to merge. */
#include "kernels/cuda/attention.h"
#include "kernels/cuda/hopper.cuh"

namespace
{

enum {
    TILE_KEYS = 2 * HALF_KEYS,
    STAGES = 2,                    /* consume() counts on two */
    PANEL = 64,                    /* columns of a panel */
    PANEL_BYTES = TILE_ROWS * 128, /* of 128 rows */
    HALF_BYTES = HALF_KEYS * 128,  /* of 64 rows */
    THREADS = 3 * 128,
    CONSUMERS = 2 * 128,
    CONSUMER_WARPS = 8
};

/* What the computing warps know of a tile of keys. */
struct tile_keys {
    int key[2], step[2], kind[2];
    uint32_t drop[4];
    float bias[2];
    int flags; /* for warpgroup w: bit 4 w + h: half h is masked; bit 4 w + 2 + h: it is hidden */
};

/* Which rows are in q, and for which head. */
struct query_tile {
    tile_place place;
    int head, n_tiles; /* of keys; 0: there are no more rows */
};

template <int D> struct shared {
    alignas(1024) unsigned char q[2][D / PANEL][PANEL_BYTES];
    alignas(1024) unsigned char k[STAGES][D / PANEL][PANEL_BYTES];
    alignas(1024) unsigned char v[STAGES][D / PANEL][PANEL_BYTES];
    alignas(1024) uint32_t ones[8 * 128 / 4]; /* bf16: 8 columns of them, whatever the swizzle */
    alignas(16) sx_bf16 o[CONSUMER_WARPS][16][PANEL + 8]; /* + 8: rows start in other banks */
    tile_keys keys[STAGES];
    query_tile turn[2];
    uint64_t q_full[2], q_empty[2], k_full[STAGES], k_empty[STAGES], v_full[STAGES],
        v_empty[STAGES];
};

struct tensors {
    CUtensorMap q, k, v, far_k, far_v;
};

#ifdef SX_SM90A

__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* One half tile: D / 64 panels of 64 rows into half `half` of a stage. */
template <int D>
__device__ __forceinline__ void load_half(unsigned char (*stage)[PANEL_BYTES], int half,
                                          const CUtensorMap *map, int head, int row,
                                          uint64_t *barrier)
{
#pragma unroll
    for (int p = 0; p < D / PANEL; p++)
        tensor_load(stage[p] + half * HALF_BYTES, map, head * D + p * PANEL, row, barrier);
}

template <int D>
__device__ __forceinline__ void produce(shared<D> &s, const attention &a, const tensors &maps)
{
    int lane = threadIdx.x % 32, stage = 0, phase = 0, slot = 0, q_phase = 0;
    int group = a.heads / a.kv_heads;

    for (int item = blockIdx.x; item < a.n_tiles * a.heads; item += gridDim.x) {
        tile_place place;
        key_list list;
        int head = item % a.heads, kv_head = head / group;
        if (!tile_at(place, a, item / a.heads))
            continue;
        key_list_make(list, a.levels, place.tile,
                      a.levels.k ? selection_of(a, place, kv_head) : nullptr, lane);
        if (lane == 0) {
            mbarrier_wait(&s.q_empty[slot], q_phase ^ 1);
            s.turn[slot] = {place, head, (list.n + 1) / 2};
            mbarrier_arrive_expect(&s.q_full[slot], TILE_ROWS * D * 2);
            for (int h = 0; h < 2; h++)
                load_half<D>(s.q[slot], h, &maps.q, head, place.row0 + place.tile + h * HALF_KEYS,
                             &s.q_full[slot]);
        }
        for (int i = 0; i < list.n; i += 2) {
            int row[2], source[2], flags = 0;
            if (lane == 0)
                mbarrier_wait(&s.k_empty[stage], phase ^ 1);
#pragma unroll
            for (int h = 0; h < 2; h++) {
                key_half half;
                key_list_at(half, list, a.levels, i + h);
                source[h] = half.source;
                row[h] = half.row + (half.source ? 0 : place.key0);
                if (lane == 0) {
                    tile_keys &keys = s.keys[stage];
                    keys.key[h] = half.key;
                    keys.step[h] = half.step;
                    keys.kind[h] = half.kind;
                    keys.drop[2 * h] = half.drop[0];
                    keys.drop[2 * h + 1] = half.drop[1];
                    keys.bias[h] = half.bias;
#pragma unroll
                    for (int w = 0; w < 2; w++)
                        flags |= (half.masked >> w & 1) << (4 * w + h) | (half.hidden >> w & 1)
                                                                             << (4 * w + 2 + h);
                }
            }
            if (lane == 0) {
                s.keys[stage].flags = flags;
                mbarrier_arrive_expect(&s.k_full[stage], TILE_KEYS * D * 2);
#pragma unroll
                for (int h = 0; h < 2; h++)
                    load_half<D>(s.k[stage], h, source[h] ? &maps.far_k : &maps.k, kv_head, row[h],
                                 &s.k_full[stage]);
                mbarrier_wait(&s.v_empty[stage], phase ^ 1);
                mbarrier_arrive_expect(&s.v_full[stage], TILE_KEYS * D * 2);
#pragma unroll
                for (int h = 0; h < 2; h++)
                    load_half<D>(s.v[stage], h, source[h] ? &maps.far_v : &maps.v, kv_head, row[h],
                                 &s.v_full[stage]);
            }
            __syncwarp();
            if (++stage == STAGES) {
                stage = 0;
                phase ^= 1;
            }
        }
        q_phase ^= slot;
        slot ^= 1;
    }
    if (lane == 0) {
        mbarrier_wait(&s.q_empty[slot], q_phase ^ 1);
        s.turn[slot].n_tiles = 0;
        mbarrier_arrive(&s.q_full[slot]);
    }
}

/* S [64, 128] = q k^T of one warpgroup; started, not waited for. */
template <int D>
__device__ __forceinline__ void start_scores(float (&score)[64], const shared<D> &s, int warpgroup,
                                             int slot, int stage)
{
    uint64_t q = wgmma_operand(s.q[slot][0] + warpgroup * HALF_BYTES, 16, 1024);
    uint64_t k = wgmma_operand(s.k[stage][0], 16, 1024);
    wgmma_fence();
#pragma unroll
    for (int c = 0; c < D; c += 16) {
        int at = (c / PANEL * PANEL_BYTES + c % PANEL * 2) >> 4;
        wgmma_ss(score, q + at, k + at, c > 0);
    }
    wgmma_commit();
}

/* O [64, D] += P v, and sum [64, 8] += P times ones; started, not waited for. p[4 j ..]: P's
 * columns 16 j .. as the products want them, which is how the scores lie in the registers. hidden:
 * the halves of the keys that none of these rows sees are left out. */
template <int D>
__device__ __forceinline__ void start_values(float (&o)[D / 2], float (&sum)[4],
                                             const uint32_t (&p)[32], const shared<D> &s, int stage,
                                             int hidden)
{
    uint64_t v = wgmma_operand(s.v[stage][0], PANEL_BYTES, 1024);
    uint64_t ones = wgmma_operand(s.ones, 16, 1024);
#pragma unroll
    for (int h = 0; h < 2; h++)
        if (!(hidden >> h & 1)) {
            wgmma_fence();
#pragma unroll
            for (int j = 4 * h; j < 4 * h + 4; j++) {
                wgmma_rs(o, p[4 * j], p[4 * j + 1], p[4 * j + 2], p[4 * j + 3],
                         v + (j * 16 * 128 >> 4), true);
                wgmma_rs(sum, p[4 * j], p[4 * j + 1], p[4 * j + 2], p[4 * j + 3], ones, true);
            }
        }
    wgmma_commit();
}

/* Running maximum (of scale * score + bias, base 2) of a thread's two rows. */
struct softmax_rows {
    float top[2];
};

/* flags: of this warpgroup. */
__device__ __forceinline__ void hide(float (&score)[64], const tile_keys &keys, int flags, int tile,
                                     int warpgroup, const key_levels &levels)
{
    int column = threadIdx.x % 4 * 2;
    int row0 = tile + warpgroup * 64 + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        if (!(flags >> h & 1))
            continue;
        int first[2], last[2];
        uint32_t drop[2] = {keys.drop[2 * h] >> column, keys.drop[2 * h + 1] >> column};
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = row0 + 8 * r;
            columns_seen(first[r], last[r], keys.key[h], keys.step[h], keys.kind[h], row,
                         first_seen(levels, row, tile));
            first[r] -= column;
            last[r] = flags >> (2 + h) & 1 ? INT32_MIN : last[r] - column;
        }
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int e = 0; e < 2; e++)
#pragma unroll
                for (int r = 0; r < 2; r++)
                    if (8 * i + e < first[r] || 8 * i + e > last[r])
                        score[32 * h + 4 * i + 2 * r + e] = -INFINITY;
        if (drop[0] | drop[1])
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    if (drop[i / 4] & 1u << (8 * i + e) % 32)
                        score[32 * h + 4 * i + e] = score[32 * h + 4 * i + 2 + e] = -INFINITY;
    }
}

/* Scores -> weights against the new maximum, in place; shrink[r]: what the old ones are worth. */
__device__ __forceinline__ void softmax_step(softmax_rows &m, float (&shrink)[2],
                                             float (&score)[64], float scale,
                                             const float (&bias)[2])
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float half[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float most = score[32 * h + 2 * r];
#pragma unroll
            for (int i = 8 * h; i < 8 * h + 8; i++)
                most = fmaxf(most, fmaxf(score[4 * i + 2 * r], score[4 * i + 2 * r + 1]));
            half[h] = fmaf(most, scale, bias[h]);
        }
        float top = fmaxf(half[0], half[1]);
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
        top = fmaxf(top, m.top[r]);
        shrink[r] = exp2_fast(m.top[r] - top);
        m.top[r] = top;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float shift = bias[h] - top;
#pragma unroll
            for (int i = 8 * h; i < 8 * h + 8; i++)
#pragma unroll
                for (int e = 4 * i + 2 * r; e < 4 * i + 2 * r + 2; e++)
                    score[e] = exp2_fast(fmaf(score[e], scale, shift));
        }
    }
}

__device__ __forceinline__ void take_weights(uint32_t (&p)[32], const float (&score)[64])
{
#pragma unroll
    for (int i = 0; i < 32; i++)
        p[i] = sx_pair(score[2 * i], score[2 * i + 1]);
}

/* O / sum -> o, through shared memory so that whole rows are written. The sum is that of the
 * rounded weights, which are the ones that v was multiplied by: their errors cancel in the
 * quotient. */
template <int D>
__device__ __forceinline__ void finish(shared<D> &s, const attention &a, const query_tile &turn,
                                       int warpgroup, const float (&o)[D / 2],
                                       const float (&sum)[4], const softmax_rows &m)
{
    int warp = warpgroup * 4 + threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    int first = turn.place.tile + warp * 16;
    sx_bf16(*out)[PANEL + 8] = s.o[warp];
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int row = first + lane / 4 + 8 * r;
        inverse[r] = 1.0f / sum[2 * r];
        if (a.lse && lane % 4 == 0 && row >= turn.place.begin && row < turn.place.end)
            a.lse[(int64_t)turn.head * a.n + turn.place.row0 + row] = m.top[r] *
                                                                          0.6931471805599453f +
                                                                      __logf(sum[2 * r]);
    }
#pragma unroll
    for (int p = 0; p < D / PANEL; p++) {
#pragma unroll
        for (int r = 0; r < 2; r++)
#pragma unroll
            for (int i = 0; i < PANEL / 8; i++)
                *(uint32_t *)&out[lane / 4 + 8 * r][8 * i + lane % 4 * 2] = sx_pair(
                    o[32 * p + 4 * i + 2 * r] * inverse[r],
                    o[32 * p + 4 * i + 2 * r + 1] * inverse[r]);
        __syncwarp();
#pragma unroll
        for (int i = 0; i < 4; i++) { /* 4 rows of 8 vectors a time */
            int r = 4 * i + lane / 8, c = lane % 8 * 8;
            if (first + r >= turn.place.begin && first + r < turn.place.end)
                *(int4 *)(a.o + ((int64_t)(turn.place.row0 + first + r) * a.heads + turn.head) * D +
                          p * PANEL + c) = *(const int4 *)&out[r][c];
        }
        __syncwarp();
    }
}

/* The scores of a tile, which are there -> weights; the tile's k is given back. */
template <int D>
__device__ __forceinline__ void weigh(shared<D> &s, const attention &a, int warpgroup, int slot,
                                      int stage, int flags, softmax_rows &m, float (&shrink)[2],
                                      float (&score)[64], float scale)
{
    const tile_keys &keys = s.keys[stage];
    float bias[2] = {keys.bias[0], keys.bias[1]};
    if (flags & 3)
        hide(score, keys, flags, s.turn[slot].place.tile, warpgroup, a.levels);
    mbarrier_arrive(&s.k_empty[stage]);
    softmax_step(m, shrink, score, scale, bias);
}

/* What the producer says of the keys in a stage for one warpgroup: tile_keys.flags. */
template <int D>
__device__ __forceinline__ int flags_of(const shared<D> &s, int stage, int warpgroup)
{
    return __shfl_sync(~0u, s.keys[stage].flags, 0) >> (4 * warpgroup) & 15;
}

template <int D>
__device__ __forceinline__ void consume(shared<D> &s, const attention &a, int warpgroup)
{
    enum { TURN = 1 }; /* named barriers 1 and 2: whose turn it is to start products */
    int lane = threadIdx.x % 32, stage = 0, phase = 0, slot = 0, q_phase = 0;
    float scale = a.scale * 1.4426950408889634f;
    float o[D / 2], sum[4], score[64], shrink[2];
    uint32_t p[32];

    mbarrier_wait(&s.q_full[0], 0);
    int n_tiles = __shfl_sync(~0u, s.turn[0].n_tiles, 0);
    if (n_tiles == 0)
        return;
    if (warpgroup == 1)
        named_arrive(TURN, CONSUMERS); /* the first turn is warpgroup 0's */
    mbarrier_wait(&s.k_full[0], 0);
    int flags = flags_of<D>(s, 0, warpgroup);
    start_scores<D>(score, s, warpgroup, 0, 0);
    wgmma_wait<0>();
    registers_fence(score);
    while (n_tiles > 0) { /* the scores of the first tile of these rows are there */
        softmax_rows m = {{-INFINITY, -INFINITY}};
        weigh<D>(s, a, warpgroup, slot, stage, flags, m, shrink, score, scale);
        take_weights(p, score);
#pragma unroll
        for (int i = 0; i < D / 2; i++)
            o[i] = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum[i] = 0.0f;
        for (int t = 1; t < n_tiles; t++) {
            int v_stage = stage, v_phase = phase, hidden = flags >> 2;
            stage ^= 1;
            phase ^= stage == 0;
            mbarrier_wait(&s.k_full[stage], phase);
            flags = flags_of<D>(s, stage, warpgroup);
            named_sync(TURN + warpgroup, CONSUMERS);
            registers_fence(score);
            registers_fence(o);
            registers_fence(sum);
            registers_fence(p);
            start_scores<D>(score, s, warpgroup, slot, stage);
            mbarrier_wait(&s.v_full[v_stage], v_phase);
            start_values<D>(o, sum, p, s, v_stage, hidden);
            named_arrive(TURN + (warpgroup ^ 1), CONSUMERS);
            wgmma_wait<1>();
            registers_fence(score);
            weigh<D>(s, a, warpgroup, slot, stage, flags, m, shrink, score, scale);
            wgmma_wait<0>();
            registers_fence(o);
            registers_fence(sum);
            registers_fence(p);
            __syncwarp();
            if (lane == 0)
                mbarrier_arrive(&s.v_empty[v_stage]);
            if (__any_sync(~0u, shrink[0] != 1.0f || shrink[1] != 1.0f)) {
#pragma unroll
                for (int i = 0; i < D / 2; i++)
                    o[i] *= shrink[i / 2 % 2];
#pragma unroll
                for (int i = 0; i < 4; i++)
                    sum[i] *= shrink[i / 2];
            }
            take_weights(p, score);
        }
        /* The first scores of the next rows run with the last values of these. Behind the last rows
         * they are scores of what lies there, and nobody's. */
        int v_stage = stage, v_phase = phase, done = slot, hidden = flags >> 2;
        stage ^= 1;
        phase ^= stage == 0;
        q_phase ^= slot;
        slot ^= 1;
        mbarrier_wait(&s.v_full[v_stage], v_phase);
        registers_fence(o);
        registers_fence(sum);
        registers_fence(p);
        start_values<D>(o, sum, p, s, v_stage, hidden);
        mbarrier_wait(&s.q_full[slot], q_phase);
        n_tiles = __shfl_sync(~0u, s.turn[slot].n_tiles, 0);
        if (n_tiles > 0) {
            mbarrier_wait(&s.k_full[stage], phase);
            flags = flags_of<D>(s, stage, warpgroup);
        }
        registers_fence(score);
        start_scores<D>(score, s, warpgroup, slot, stage);
        wgmma_wait<1>();
        registers_fence(o);
        registers_fence(sum);
        __syncwarp();
        if (lane == 0)
            mbarrier_arrive(&s.v_empty[v_stage]);
        finish<D>(s, a, s.turn[done], warpgroup, o, sum, m);
        mbarrier_arrive(&s.q_empty[done]);
        wgmma_wait<0>();
        registers_fence(score);
    }
    if (warpgroup == 0)
        named_sync(TURN, CONSUMERS); /* the last turn that was given */
}

#endif

template <int D>
__global__ void __launch_bounds__(THREADS, 1)
    attention_kernel(const __grid_constant__ attention a, const __grid_constant__ tensors maps)
{
#ifdef SX_SM90A
    extern __shared__ unsigned char memory[];
    shared<D> &s = *(shared<D> *)(((uintptr_t)memory + 1023) & ~(uintptr_t)1023);

    for (int i = threadIdx.x; i < (int)(sizeof s.ones / sizeof *s.ones); i += THREADS)
        s.ones[i] = 0x3f803f80u;
    copies_see_stores();
    if (threadIdx.x == 0) {
        tensor_prefetch(&maps.q);
        tensor_prefetch(&maps.k);
        tensor_prefetch(&maps.v);
        /* Of what is read beside the products, every reader says so for itself. */
        for (int i = 0; i < 2; i++) {
            mbarrier_init(&s.q_full[i], 1);
            mbarrier_init(&s.q_empty[i], CONSUMERS);
        }
        for (int i = 0; i < STAGES; i++) {
            mbarrier_init(&s.k_full[i], 1);
            mbarrier_init(&s.v_full[i], 1);
            mbarrier_init(&s.k_empty[i], CONSUMERS);
            mbarrier_init(&s.v_empty[i], CONSUMER_WARPS);
        }
        mbarrier_init_done();
    }
    __syncthreads();
    if (threadIdx.x < 128) {
        registers_fewer<56>();
        if (threadIdx.x < 32)
            produce<D>(s, a, maps);
    } else {
        registers_more<224>();
        consume<D>(s, a, __shfl_sync(~0u, (int)threadIdx.x / 128, 0) - 1);
    }
#endif
}

/* Boxes of 64 columns and 64 rows of x [rows, stride], `columns` used. */
bool rows_map(CUtensorMap *map, const void *x, int columns, int64_t rows, int64_t stride)
{
    int64_t size[] = {columns, rows};
    uint32_t box[] = {PANEL, HALF_KEYS};
    return tensor_map(map, x, 2, size, &stride, box);
}

template <int D> cudaError_t launch(sx_stream *stream, const attention *a, const tensors &maps)
{
    int bytes = (int)sizeof(shared<D>) + 1024;
    int64_t items = (int64_t)a->n_tiles * a->heads;
    int blocks = items < stream->multiprocessors ? (int)items : stream->multiprocessors;
    cudaError_t rc = cudaFuncSetAttribute(attention_kernel<D>,
                                          cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (rc == cudaSuccess) {
        attention_kernel<D><<<blocks, THREADS, bytes, stream->cuda>>>(*a, maps);
        rc = cudaGetLastError();
    }
    return rc;
}

} // namespace

void sx_attention_hopper(sx_stream *stream, const char *operation, const attention *a)
{
    tensors maps;
    int width = a->kv_heads * a->d;
    const sx_bf16 *far_k = a->far_k ? a->far_k : a->k, *far_v = a->far_v ? a->far_v : a->v;
    int64_t far_rows = a->far_k ? a->n_far_keys : a->n_keys;
    int64_t far_stride = a->far_k ? a->far_stride : a->kv_stride;

    if (!rows_map(&maps.q, a->q, a->heads * a->d, a->n, a->q_stride) ||
        !rows_map(&maps.k, a->k, width, a->n_keys, a->kv_stride) ||
        !rows_map(&maps.v, a->v, width, a->n_keys, a->kv_stride) ||
        !rows_map(&maps.far_k, far_k, width, far_rows, far_stride) ||
        !rows_map(&maps.far_v, far_v, width, far_rows, far_stride)) {
        sx_cuda_failed(stream, operation, cudaErrorInvalidValue);
        return;
    }
    cudaError_t rc = a->d == 128 ? launch<128>(stream, a, maps) : launch<64>(stream, a, maps);
    if (rc != cudaSuccess)
        sx_cuda_failed(stream, operation, rc);
}
