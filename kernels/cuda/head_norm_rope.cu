/* head_norm_rope.cu: per-head normalisation and rotation of q or k, in place, in one pass. */
#include "kernels/cuda/cuda.h"

namespace
{
constexpr int THREADS = 256;

/* `lanes` threads have one head of d = 16 * lanes: thread l holds x[8 l ..] and its partners in the
 * rotation, x[d/2 + 8 l ..]. */
template <int lanes>
__global__ void __launch_bounds__(THREADS)
    head_norm_rope_heads(sx_bf16 *x, int n, int stride, int heads, const float *weight,
                         const float *rope, float eps)
{
    constexpr int half = 8 * lanes, d = 2 * half, teams = THREADS / lanes;
    const int at = 8 * (threadIdx.x % lanes), team = threadIdx.x / lanes;
    float wa[8], wb[8];

    sx_load8(wa, weight + at);
    sx_load8(wb, weight + half + at);
    /* whole warps stay in the loop together: rows beyond n are idle */
    int64_t rounds = ((int64_t)n * heads + (int64_t)gridDim.x * teams - 1) /
                     ((int64_t)gridDim.x * teams);
    sx_walk w((int64_t)blockIdx.x * teams + team, (int64_t)gridDim.x * teams, heads);
    for (int64_t round = 0; round < rounds; round++, w.next()) {
        bool mine = w.row < n;
        sx_bf16 *head = x + (mine ? w.row * stride + (int64_t)w.column * d : 0);
        float a[8] = {0}, b[8] = {0}, sum = 0.0f;

        if (mine) {
            uint4 va = sx_load16(head + at), vb = sx_load16(head + half + at);
            sx_unpack8(a, va);
            sx_unpack8(b, vb);
        }
#pragma unroll
        for (int e = 0; e < 8; e++)
            sum += a[e] * a[e] + b[e] * b[e];
        float r = 1.0f / sqrtf(sx_team_sum<lanes>(sum) / (float)d + eps);
        if (!mine)
            continue;
#pragma unroll
        for (int e = 0; e < 8; e++) {
            a[e] *= r * wa[e];
            b[e] *= r * wb[e];
        }
        if (rope) {
            float c[8], s[8];
            sx_load8(c, rope + w.row * d + at);
            sx_load8(s, rope + w.row * d + half + at);
#pragma unroll
            for (int e = 0; e < 8; e++) {
                float turned = a[e] * c[e] - b[e] * s[e];
                b[e] = b[e] * c[e] + a[e] * s[e];
                a[e] = turned;
            }
        }
        sx_store8(head + at, a);
        sx_store8(head + half + at, b);
    }
}

/* Any d, any alignment: a warp a head. A lane normalises and turns the pairs it alone reads. */
__global__ void __launch_bounds__(THREADS)
    head_norm_rope_any(sx_bf16 *x, int n, int stride, int heads, int d, const float *weight,
                       const float *rope, float eps)
{
    const int lane = threadIdx.x % 32, warps = THREADS / 32, half = d / 2;

    for (sx_walk w((int64_t)blockIdx.x * warps + threadIdx.x / 32, (int64_t)gridDim.x * warps,
                   heads);
         w.row < n; w.next()) {
        sx_bf16 *head = x + w.row * stride + (int64_t)w.column * d;
        float sum = 0.0f;
        for (int j = lane; j < d; j += 32)
            sum += sx_float(head[j]) * sx_float(head[j]);
        float r = 1.0f / sqrtf(sx_team_sum<32>(sum) / (float)d + eps);
        __syncwarp(); /* all have read before one writes */
        for (int j = lane; j < half; j += 32) {
            float a = sx_float(head[j]) * r * weight[j];
            float b = sx_float(head[half + j]) * r * weight[half + j];
            float c = rope ? rope[w.row * d + j] : 1.0f, s = rope ? rope[w.row * d + half + j] : 0;
            head[j] = __float2bfloat16_rn(rope ? a * c - b * s : a);
            head[half + j] = __float2bfloat16_rn(rope ? b * c + a * s : b);
        }
        if (d % 2 && lane == 0) /* the last of an odd width has no partner */
            head[d - 1] = __float2bfloat16_rn(sx_float(head[d - 1]) * r * weight[d - 1]);
    }
}
} // namespace

extern "C" SX_DECL_HEAD_NORM_ROPE(sx_head_norm_rope_cuda)
{
    if (!sx_cuda_begin(stream) || n <= 0 || heads <= 0 || d <= 0)
        return;
    sx_bf16 *p = (sx_bf16 *)x;
    int64_t items = (int64_t)n * heads;
    bool vectors = sx_aligned16(p, stride, 2) && sx_aligned16(weight, 0, 4) &&
                   sx_aligned16(rope, 0, 4);

#define HEADS(lanes)                                                                               \
    head_norm_rope_heads<lanes>                                                                    \
        <<<sx_cuda_grid(stream, items, THREADS / lanes, 16), THREADS, 0, stream->cuda>>>(          \
            p, n, stride, heads, weight, rope, eps)
    if (vectors && d == 32)
        HEADS(2);
    else if (vectors && d == 64)
        HEADS(4);
    else if (vectors && d == 128)
        HEADS(8);
    else if (vectors && d == 256)
        HEADS(16);
    else
        head_norm_rope_any<<<sx_cuda_grid(stream, items, THREADS / 32, 16), THREADS, 0,
                             stream->cuda>>>(p, n, stride, heads, d, weight, rope, eps);
#undef HEADS
    SX_LAUNCHED(stream, "head_norm_rope");
}
