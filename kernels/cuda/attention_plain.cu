/* attention_plain.cu: attention of 64 query rows to a list of half tiles of keys, for sm_80 and
 * whatever has no kernel of its own. Four warps of 16 rows; the next 64 keys and values are copied
 * while these are multiplied. (The structure is that of Dao 2023, FlashAttention-2.) */
#include "kernels/cuda/ampere.cuh"
#include "kernels/cuda/attention.h"

namespace
{

enum { WARPS = 4, ROWS = 16 * WARPS };

template <int D> struct plain_shared {
    sx_bf16 q[ROWS][D + 8]; /* + 8: rows start in other banks */
    sx_bf16 k[2][HALF_KEYS][D + 8], v[2][HALF_KEYS][D + 8];
};

/* 64 rows of D from x; rows outside 0 .. n are zeros. */
template <int D>
__device__ __forceinline__ void copy_rows(sx_bf16 (*to)[D + 8], const sx_bf16 *x, int64_t stride,
                                          int row, int n)
{
    for (int i = threadIdx.x; i < HALF_KEYS * D / 8; i += 32 * WARPS) {
        int r = i / (D / 8), c = i % (D / 8) * 8;
        bool there = row + r >= 0 && row + r < n;
        copy16(&to[r][c], x + (there ? (row + r) * stride + c : 0), there);
    }
}

template <int D>
__device__ __forceinline__ void copy_half(plain_shared<D> &s, int stage, const attention &a,
                                          const tile_place &place, const key_half &half,
                                          int kv_head)
{
    int row = half.row + (half.source ? 0 : place.key0);
    int n = half.source ? a.n_far_keys : a.n_keys;
    int64_t stride = half.source ? a.far_stride : a.kv_stride;
    copy_rows<D>(s.k[stage], (half.source ? a.far_k : a.k) + (int64_t)kv_head * D, stride, row, n);
    copy_rows<D>(s.v[stage], (half.source ? a.far_v : a.v) + (int64_t)kv_head * D, stride, row, n);
    copy_commit();
}

template <int D>
__global__ void __launch_bounds__(32 * WARPS) plain_kernel(const __grid_constant__ attention a)
{
    extern __shared__ __align__(16) unsigned char memory[];
    plain_shared<D> &s = *(plain_shared<D> *)memory;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int head = blockIdx.x % a.heads, part = blockIdx.x / a.heads % 2;
    int kv_head = head / (a.heads / a.kv_heads);
    float scale = a.scale * 1.4426950408889634f;
    tile_place place;
    key_list list;
    key_half half[2];

    if (!tile_at(place, a, blockIdx.x / a.heads / 2))
        return;
    key_list_make(list, a.levels, place.tile,
                  a.levels.k ? selection_of(a, place, kv_head) : nullptr, lane);
    int first = place.tile + part * ROWS;
    if (first >= place.end || first + ROWS <= place.begin)
        return;

    copy_rows<D>(s.q, a.q + (int64_t)head * D, a.q_stride, place.row0 + first, a.n);
    key_list_at(half[0], list, a.levels, 0);
    copy_half<D>(s, 0, a, place, half[0], kv_head);

    int row[2], lo[2];
    float o[D / 8][4], top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
    uint32_t q[D / 16][4];
    for (int r = 0; r < 2; r++) {
        row[r] = first + warp * 16 + lane / 4 + 8 * r;
        lo[r] = first_seen(a.levels, row[r], place.tile);
    }
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        o[i][0] = o[i][1] = o[i][2] = o[i][3] = 0.0f;

    for (int i = 0; i < list.n; i++) {
        int stage = i & 1;
        if (i + 1 < list.n) {
            key_list_at(half[1], list, a.levels, i + 1);
            copy_half<D>(s, stage ^ 1, a, place, half[1], kv_head);
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        if (i == 0)
#pragma unroll
            for (int c = 0; c < D / 16; c++)
                load_matrices(q[c], &s.q[warp * 16 + lane % 16][16 * c + lane / 16 * 8]);

        if (half[0].hidden >> part & 1) {
            half[0] = half[1];
            __syncthreads();
            continue;
        }
        float score[HALF_KEYS / 8][4];
        uint32_t weight[HALF_KEYS / 8][2];
#pragma unroll
        for (int j = 0; j < HALF_KEYS / 8; j++)
            score[j][0] = score[j][1] = score[j][2] = score[j][3] = 0.0f;
#pragma unroll
        for (int c = 0; c < D / 16; c++)
#pragma unroll
            for (int j = 0; j < HALF_KEYS / 16; j++) {
                uint32_t k[4]; /* keys 16 j ..: two products of 8 */
                load_matrices(
                    k, &s.k[stage][16 * j + lane / 16 * 8 + lane % 8][16 * c + lane / 8 % 2 * 8]);
                mma(score[2 * j], q[c], k[0], k[1]);
                mma(score[2 * j + 1], q[c], k[2], k[3]);
            }

        if (half[0].masked >> part & 1) {
            int from[2], to[2];
            for (int r = 0; r < 2; r++)
                columns_seen(from[r], to[r], half[0].key, half[0].step, half[0].kind, row[r],
                             lo[r]);
#pragma unroll
            for (int j = 0; j < HALF_KEYS / 8; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    int c = 8 * j + lane % 4 * 2 + e % 2;
                    if ((half[0].drop[j / 4] >> c % 32 & 1) || c < from[e / 2] || c > to[e / 2])
                        score[j][e] = -INFINITY;
                }
        }
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float most = -INFINITY;
#pragma unroll
            for (int j = 0; j < HALF_KEYS / 8; j++)
                most = fmaxf(most, fmaxf(score[j][2 * r], score[j][2 * r + 1]));
            most = fmaf(sx_team_max<4>(most), scale, half[0].bias);
            most = fmaxf(most, top[r]);
            float base = most == -INFINITY ? 0.0f : most; /* a row that has seen no key yet */
            float shrink = exp2f(top[r] - base);
            top[r] = most;
            sum[r] *= shrink;
#pragma unroll
            for (int j = 0; j < D / 8; j++) {
                o[j][2 * r] *= shrink;
                o[j][2 * r + 1] *= shrink;
            }
#pragma unroll
            for (int j = 0; j < HALF_KEYS / 8; j++) {
                float shift = half[0].bias - base;
                weight[j][r] = sx_pair(exp2f(fmaf(score[j][2 * r], scale, shift)),
                                       exp2f(fmaf(score[j][2 * r + 1], scale, shift)));
                /* of the rounded weights: their errors cancel in the quotient */
                sum[r] += sx_low(weight[j][r]) + sx_high(weight[j][r]);
            }
        }
#pragma unroll
        for (int j = 0; j < HALF_KEYS / 16; j++) {
            uint32_t p[4] = {weight[2 * j][0], weight[2 * j][1], weight[2 * j + 1][0],
                             weight[2 * j + 1][1]};
#pragma unroll
            for (int c = 0; c < D / 16; c++) {
                uint32_t v[4]; /* columns 16 c ..: two products of 8 */
                load_matrices_transposed(v,
                                         &s.v[stage][16 * j + lane % 16][16 * c + lane / 16 * 8]);
                mma(o[2 * c], p, v[0], v[1]);
                mma(o[2 * c + 1], p, v[2], v[3]);
            }
        }
        half[0] = half[1];
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float total = sx_team_sum<4>(sum[r]);
        int64_t at = place.row0 + row[r];
        if (row[r] < place.begin || row[r] >= place.end)
            continue;
#pragma unroll
        for (int j = 0; j < D / 8; j++)
            *(unsigned *)(a.o + (at * a.heads + head) * D + 8 * j +
                          lane % 4 * 2) = sx_pair(o[j][2 * r] / total, o[j][2 * r + 1] / total);
        if (a.lse && lane % 4 == 0)
            a.lse[(int64_t)head * a.n + at] = top[r] * 0.6931471805599453f + logf(total);
    }
}

template <int D> void launch(sx_stream *stream, const char *operation, const attention *a)
{
    int bytes = (int)sizeof(plain_shared<D>);
    int64_t blocks = (int64_t)a->n_tiles * 2 * a->heads;
    if (blocks > INT32_MAX) {
        sx_cuda_failed(stream, operation, cudaErrorInvalidValue);
        return;
    }
    if (sx_cuda_failed(stream, operation,
                       cudaFuncSetAttribute(plain_kernel<D>,
                                            cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)))
        return;
    plain_kernel<D><<<(unsigned)blocks, 32 * WARPS, bytes, stream->cuda>>>(*a);
    SX_LAUNCHED(stream, operation);
}

} // namespace

void sx_attention_plain(sx_stream *stream, const char *operation, const attention *a)
{
    if (a->d == 128)
        launch<128>(stream, operation, a);
    else
        launch<64>(stream, operation, a);
}
