/* lse_merge.cu: partial attention results -> the result under one softmax. A warp has a row. */
#include "kernels/cuda/cuda.h"

namespace
{

enum { WARPS = 8 };

/* four: four numbers at a time, which rows must allow. */
template <bool four>
__global__ void __launch_bounds__(32 * WARPS) merge(sx_bf16 *o, float *total_lse, const float *part,
                                                    const float *lse, int parts, int64_t n, int d)
{
    constexpr int numbers = four ? 4 : 1;
    const int lane = threadIdx.x % 32;
    for (int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32; i < n;
         i += (int64_t)gridDim.x * WARPS) {
        float top = -INFINITY, sum = 0.0f;
        for (int p = lane; p < parts; p += 32)
            top = fmaxf(top, lse[p * n + i]);
        top = sx_team_max(top);
        for (int p = lane; p < parts && top > -INFINITY; p += 32)
            sum += expf(lse[p * n + i] - top);
        sum = sx_team_sum(sum);
        for (int j = lane * numbers; j < d; j += 32 * numbers) {
            float x[4] = {};
            for (int p = 0; p < parts && top > -INFINITY; p++) {
                const float weight = expf(lse[p * n + i] - top) / sum;
                const float *from = part + (p * n + i) * d + j;
                if (weight == 0.0f) /* an empty part may hold anything */
                    continue;
                if (four) {
                    const float4 y = *(const float4 *)from;
                    x[0] += weight * y.x, x[1] += weight * y.y;
                    x[2] += weight * y.z, x[3] += weight * y.w;
                } else {
                    x[0] += weight * *from;
                }
            }
            if (four)
                *(uint2 *)(o + i * d + j) = make_uint2(sx_pair(x[0], x[1]), sx_pair(x[2], x[3]));
            else
                o[i * d + j] = __float2bfloat16(x[0]);
        }
        if (total_lse && lane == 0)
            total_lse[i] = top > -INFINITY ? top + logf(sum) : -INFINITY;
    }
}

} // namespace

extern "C" SX_DECL_LSE_MERGE(sx_lse_merge_cuda)
{
    if (!sx_cuda_begin(stream) || n < 1)
        return;
    const bool four = sx_aligned16(part, d, 4) && (uintptr_t)o % 8 == 0;
    (four ? merge<true>
          : merge<false>)<<<sx_cuda_grid(stream, n, WARPS, 16), 32 * WARPS, 0, stream->cuda>>>(
        (sx_bf16 *)o, total_lse, part, lse, parts, n, d);
    SX_LAUNCHED(stream, "lse_merge");
}
