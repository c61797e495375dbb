/* block_mean.cu: the mean of each block's rows. Bound by reading x once. */
#include "kernels/cuda/cuda.h"

namespace
{

enum { THREADS = 256, VECTOR = 8 };

/* One block of rows a thread block: a thread sums VECTOR columns of every `teams`-th row, teams are
 * joined in shared memory, in order. */
__global__ void __launch_bounds__(THREADS)
    mean_vectors(sx_bf16 *mean, const sx_bf16 *x, int64_t first, int stride, int width)
{
    __shared__ float part[THREADS][VECTOR + 1];
    int64_t block = first + blockIdx.x;
    int vectors = width / VECTOR, teams = vectors < THREADS ? THREADS / vectors : 1;

    for (int base = 0; base < vectors; base += THREADS) { /* once, unless rows are very wide */
        int column = base + (int)threadIdx.x % (vectors < THREADS ? vectors : THREADS);
        int team = vectors < THREADS ? (int)threadIdx.x / vectors : 0;
        float sum[VECTOR] = {0};
        if (team < teams && column < vectors) {
#pragma unroll 8
            for (int t = team; t < SX_BLOCK; t += teams) {
                float row[VECTOR];
                sx_unpack8(row, sx_load16_once(x + (block * SX_BLOCK + t) * stride +
                                               (int64_t)column * VECTOR));
#pragma unroll
                for (int i = 0; i < VECTOR; i++)
                    sum[i] += row[i];
            }
        }
#pragma unroll
        for (int i = 0; i < VECTOR; i++)
            part[threadIdx.x][i] = sum[i];
        __syncthreads();
        if (team == 0 && column < vectors) {
            for (int other = 1; other < teams; other++)
#pragma unroll
                for (int i = 0; i < VECTOR; i++)
                    sum[i] += part[threadIdx.x + other * vectors][i];
#pragma unroll
            for (int i = 0; i < VECTOR; i++)
                sum[i] *= 1.0f / SX_BLOCK;
            sx_store8(mean + block * width + (int64_t)column * VECTOR, sum);
        }
        __syncthreads();
    }
}

/* Any width, any alignment. */
__global__ void __launch_bounds__(THREADS)
    mean_numbers(sx_bf16 *mean, const sx_bf16 *x, int64_t first, int stride, int width)
{
    int64_t block = first + blockIdx.x;
    for (int column = threadIdx.x; column < width; column += THREADS) {
        float sum = 0.0f;
        for (int t = 0; t < SX_BLOCK; t++)
            sum += sx_float(x[(block * SX_BLOCK + t) * stride + column]);
        mean[block * width + column] = __float2bfloat16_rn(sum * (1.0f / SX_BLOCK));
    }
}

} // namespace

extern "C" SX_DECL_BLOCK_MEAN(sx_block_mean_cuda)
{
    if (!sx_cuda_begin(stream) || n < 1 || width < 1)
        return;
    bool vectors = width % VECTOR == 0 && sx_aligned16(x, stride, 2) &&
                   sx_aligned16(mean, width, 2);
    (vectors ? mean_vectors : mean_numbers)<<<n, THREADS, 0, stream->cuda>>>(
        (sx_bf16 *)mean, (const sx_bf16 *)x, first, stride, width);
    SX_LAUNCHED(stream, "block_mean");
}
