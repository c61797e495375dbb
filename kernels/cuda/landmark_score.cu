/* landmark_score.cu: query vectors against landmarks, every score written. */
#include "kernels/cuda/cuda.h"

namespace
{
constexpr int THREADS = 256;

/* c [16 landmarks, 8 queries] += a [16, 16] b [16, 8], one warp. */
__device__ __forceinline__ void multiply(float (&c)[4], unsigned a0, unsigned a1, unsigned a2,
                                         unsigned a3, unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/* d = 32 * chunks, everything aligned to 16. A warp has 16 landmarks in registers and passes 8
 * queries at a time by them. Lane (g, c) = (lane / 4, lane % 4) reads 16 bytes, numbers 8 c .. 8 c
 * + 7 of a chunk of 32, of landmarks g and g + 8 and of query g: the fragments' order of the 32
 * terms is another than memory's, but the same on both sides, so the sum is the dot product. */
template <int chunks>
__global__ void __launch_bounds__(THREADS, 2)
    landmark_score_tiles(float *score, const sx_bf16 *q, const sx_bf16 *landmark, int n,
                         int n_blocks)
{
    constexpr int d = 32 * chunks;
    const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
    const uint4 zero = make_uint4(0, 0, 0, 0);

    for (int64_t first = 16 * ((int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32);
         first < n_blocks; first += 16 * (int64_t)gridDim.x * (THREADS / 32)) {
        const int64_t low = first + g, high = low + 8;
        uint4 a[chunks], b[chunks];

#pragma unroll
        for (int k = 0; k < chunks; k++) {
            a[k] = low < n_blocks ? sx_load16(landmark + low * d + 32 * k + 8 * c) : zero;
            b[k] = high < n_blocks ? sx_load16(landmark + high * d + 32 * k + 8 * c) : zero;
        }
        for (int i = 0; i < n; i += 8) {
            float s[4] = {0};
#pragma unroll
            for (int k = 0; k < chunks; k++) {
                uint4 x = i + g < n ? sx_load16(q + (int64_t)(i + g) * d + 32 * k + 8 * c) : zero;
                multiply(s, a[k].x, b[k].x, a[k].y, b[k].y, x.x, x.y);
                multiply(s, a[k].z, b[k].z, a[k].w, b[k].w, x.z, x.w);
            }
#pragma unroll
            for (int e = 0; e < 2; e++) { /* queries 2 c and 2 c + 1 */
                int query = i + 2 * c + e;
                if (query < n && low < n_blocks)
                    score[(int64_t)query * n_blocks + low] = s[e];
                if (query < n && high < n_blocks)
                    score[(int64_t)query * n_blocks + high] = s[2 + e];
            }
        }
    }
}

/* Any d, any alignment: a warp a landmark. */
__global__ void __launch_bounds__(THREADS)
    landmark_score_any(float *score, const sx_bf16 *q, const sx_bf16 *landmark, int n, int n_blocks,
                       int d)
{
    const int lane = threadIdx.x % 32;

    for (int64_t b = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32; b < n_blocks;
         b += (int64_t)gridDim.x * (THREADS / 32))
        for (int i = 0; i < n; i++) {
            float sum = 0.0f;
            for (int j = lane; j < d; j += 32)
                sum += sx_float(q[(int64_t)i * d + j]) * sx_float(landmark[b * d + j]);
            sum = sx_team_sum<32>(sum);
            if (lane == 0)
                score[(int64_t)i * n_blocks + b] = sum;
        }
}
} // namespace

extern "C" SX_DECL_LANDMARK_SCORE(sx_landmark_score_cuda)
{
    if (!sx_cuda_begin(stream) || n <= 0 || n_blocks <= 0)
        return;
    const sx_bf16 *queries = (const sx_bf16 *)q, *landmarks = (const sx_bf16 *)landmark;
    bool vectors = sx_aligned16(queries, d, 2) && sx_aligned16(landmarks, d, 2);
    unsigned tiles = sx_cuda_grid(stream, n_blocks, 16 * (THREADS / 32), 8);

#define TILES(chunks)                                                                              \
    landmark_score_tiles<chunks>                                                                   \
        <<<tiles, THREADS, 0, stream->cuda>>>(score, queries, landmarks, n, n_blocks)
    if (vectors && d == 32)
        TILES(1);
    else if (vectors && d == 64)
        TILES(2);
    else if (vectors && d == 128)
        TILES(4);
    else if (vectors && d == 256)
        TILES(8);
    else
        landmark_score_any<<<sx_cuda_grid(stream, n_blocks, THREADS / 32, 16), THREADS, 0,
                             stream->cuda>>>(score, queries, landmarks, n, n_blocks, d);
#undef TILES
    SX_LAUNCHED(stream, "landmark_score");
}
