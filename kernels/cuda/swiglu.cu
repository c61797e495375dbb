/* swiglu.cu: the gated activation between the two matrices of a feed-forward layer. */
#include "kernels/cuda/cuda.h"

namespace
{
constexpr int THREADS = 256;

/* silu(a) * b. Where exp(-a) is beyond float32 the quotient is 0, as it should be. */
__device__ __forceinline__ float gated(float a, float b)
{
    return __fdividef(a, 1.0f + __expf(-a)) * b;
}

/* f % 8 == 0, everything aligned to 16: two cells of 8 numbers in flight a thread. */
__global__ void __launch_bounds__(THREADS) swiglu_rows(sx_bf16 *y, const sx_bf16 *ab, int n, int f)
{
    const int64_t step = (int64_t)gridDim.x * THREADS;
    const int64_t first = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    sx_walk w(first, 2 * step, f / 8), u(first + step, 2 * step, f / 8);

    for (; w.row < n; w.next(), u.next()) {
        const sx_bf16 *p = ab + w.row * 2 * f + 8 * w.column;
        const sx_bf16 *q = ab + u.row * 2 * f + 8 * u.column;
        bool both = u.row < n;
        uint4 pa = sx_load16_once(p), pb = sx_load16_once(p + f), qa = pa, qb = pb;
        if (both) {
            qa = sx_load16_once(q);
            qb = sx_load16_once(q + f);
        }
        float a[8], b[8];
        sx_unpack8(a, pa);
        sx_unpack8(b, pb);
#pragma unroll
        for (int e = 0; e < 8; e++)
            a[e] = gated(a[e], b[e]);
        sx_store8(y + w.row * f + 8 * w.column, a);
        if (!both)
            continue;
        sx_unpack8(a, qa);
        sx_unpack8(b, qb);
#pragma unroll
        for (int e = 0; e < 8; e++)
            a[e] = gated(a[e], b[e]);
        sx_store8(y + u.row * f + 8 * u.column, a);
    }
}

__global__ void __launch_bounds__(THREADS) swiglu_any(sx_bf16 *y, const sx_bf16 *ab, int n, int f)
{
    for (sx_walk w((int64_t)blockIdx.x * THREADS + threadIdx.x, (int64_t)gridDim.x * THREADS, f);
         w.row < n; w.next()) {
        const sx_bf16 *a = ab + w.row * 2 * f + w.column;
        y[w.row * f + w.column] = __float2bfloat16_rn(gated(sx_float(a[0]), sx_float(a[f])));
    }
}
} // namespace

extern "C" SX_DECL_SWIGLU(sx_swiglu_cuda)
{
    if (!sx_cuda_begin(stream) || n <= 0 || f <= 0)
        return;
    sx_bf16 *out = (sx_bf16 *)y;
    const sx_bf16 *in = (const sx_bf16 *)ab;
    int64_t cells = (int64_t)n * f;

    if (sx_aligned16(in, f, 2) && sx_aligned16(out, f, 2))
        swiglu_rows<<<sx_cuda_grid(stream, cells / 8, 2 * THREADS, 16), THREADS, 0, stream->cuda>>>(
            out, in, n, f);
    else
        swiglu_any<<<sx_cuda_grid(stream, cells, THREADS, 16), THREADS, 0, stream->cuda>>>(out, in,
                                                                                           n, f);
    SX_LAUNCHED(stream, "swiglu");
}
