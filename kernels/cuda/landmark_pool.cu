/* landmark_pool.cu: the tokens of a block -> the one compressed key that stands for it. */
#include "kernels/cuda/cuda.h"

namespace
{
constexpr int THREADS = 256;

__device__ __forceinline__ float token_weight(sx_bf16 gate, float bias)
{
    return expf(fminf(fmaxf(sx_float(gate) + bias, -8.0f), 8.0f));
}

/* A warp a block, `lanes` of it a token: d = 8 * lanes, keys aligned to 16. Four tokens in flight
 * for each team of lanes. */
template <int lanes>
__global__ void __launch_bounds__(THREADS)
    landmark_pool_blocks(sx_bf16 *landmark, const sx_bf16 *key, const sx_bf16 *gate, int stride,
                         float bias, const int32_t *block_start, int n_blocks)
{
    constexpr int teams = 32 / lanes, d = 8 * lanes;
    const int at = 8 * (threadIdx.x % lanes), team = threadIdx.x % 32 / lanes;

    for (int64_t b = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32; b < n_blocks;
         b += (int64_t)gridDim.x * (THREADS / 32)) {
        const int64_t end = block_start[b + 1];
        float sum[8] = {0}, norm = 0.0f;

        for (int64_t first = block_start[b]; first < end; first += 4 * teams) {
            uint4 v[4];
            sx_bf16 g[4];
#pragma unroll
            for (int u = 0; u < 4; u++) {
                int64_t t = first + u * teams + team;
                v[u] = make_uint4(0, 0, 0, 0);
                g[u] = sx_bf16(0.0f);
                if (t < end) {
                    v[u] = sx_load16_once(key + t * stride + at);
                    g[u] = gate[t * stride];
                }
            }
#pragma unroll
            for (int u = 0; u < 4; u++) {
                float x[8], w = token_weight(g[u], bias); /* beyond the end x is 0 */
                sx_unpack8(x, v[u]);
#pragma unroll
                for (int e = 0; e < 8; e++)
                    sum[e] += w * x[e];
            }
        }
        /* over the teams, then the norm over the lanes */
#pragma unroll
        for (int e = 0; e < 8; e++) {
#pragma unroll
            for (int step = 16; step >= lanes; step /= 2)
                sum[e] += __shfl_xor_sync(0xffffffffu, sum[e], step);
            norm += sum[e] * sum[e];
        }
        norm = fmaxf(sqrtf(sx_team_sum<lanes>(norm)), 1e-12f);
#pragma unroll
        for (int e = 0; e < 8; e++)
            sum[e] /= norm;
        if (team == 0)
            sx_store8(landmark + b * d + at, sum);
    }
}

/* Any d, any alignment: a thread block a block of tokens, a column a thread. The sums are made
 * twice, for the norm and for the result, so that no width is too large. */
__global__ void __launch_bounds__(THREADS)
    landmark_pool_any(sx_bf16 *landmark, const sx_bf16 *key, const sx_bf16 *gate, int stride,
                      float bias, const int32_t *block_start, int n_blocks, int d)
{
    for (int64_t b = blockIdx.x; b < n_blocks; b += gridDim.x) {
        const int64_t begin = block_start[b], end = block_start[b + 1];
        float norm = 0.0f;
        auto sum = [&](int j) {
            float s = 0.0f;
            for (int64_t t = begin; t < end; t++)
                s += token_weight(gate[t * stride], bias) * sx_float(key[t * stride + j]);
            return s;
        };
        for (int j = threadIdx.x; j < d; j += THREADS) {
            float s = sum(j);
            norm += s * s;
        }
        norm = fmaxf(sqrtf(sx_block_sum<THREADS>(norm)), 1e-12f);
        for (int j = threadIdx.x; j < d; j += THREADS)
            landmark[b * d + j] = __float2bfloat16_rn(sum(j) / norm);
    }
}
} // namespace

extern "C" SX_DECL_LANDMARK_POOL(sx_landmark_pool_cuda)
{
    if (!sx_cuda_begin(stream) || n_blocks <= 0 || d <= 0)
        return;
    sx_bf16 *out = (sx_bf16 *)landmark;
    const sx_bf16 *keys = (const sx_bf16 *)key, *gates = (const sx_bf16 *)gate;
    bool vectors = sx_aligned16(keys, stride, 2) && sx_aligned16(out, d, 2);

#define BLOCKS(lanes)                                                                              \
    landmark_pool_blocks<lanes>                                                                    \
        <<<sx_cuda_grid(stream, n_blocks, THREADS / 32, 16), THREADS, 0, stream->cuda>>>(          \
            out, keys, gates, stride, bias, block_start, n_blocks)
    if (vectors && d == 32)
        BLOCKS(4);
    else if (vectors && d == 64)
        BLOCKS(8);
    else if (vectors && d == 128)
        BLOCKS(16);
    else if (vectors && d == 256)
        BLOCKS(32);
    else
        landmark_pool_any<<<sx_cuda_grid(stream, n_blocks, 1, 16), THREADS, 0, stream->cuda>>>(
            out, keys, gates, stride, bias, block_start, n_blocks, d);
#undef BLOCKS
    SX_LAUNCHED(stream, "landmark_pool");
}
