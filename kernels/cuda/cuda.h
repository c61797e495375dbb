/* cuda.h: what the files of the CUDA module share: the stream, errors, bfloat16, vector accesses,
 * reductions. Private to kernels/cuda; the rest of the program knows kernels.h only.
 *
 * A file includes this, keeps its kernels in an anonymous namespace and defines, for each of its
 * operations, extern "C" SX_DECL_<OP>(sx_<op>_cuda). Such a function
 *   - begins with `if (!sx_cuda_begin(stream)) return;`, and does nothing for empty shapes;
 *   - launches on stream->cuda, with SX_LAUNCHED(stream, "<op>") behind the launch;
 *   - asks stream->plain whether it may use what sm_90a has beyond sm_80, in host code; kernels
 * that do have their bodies inside #ifdef SX_SM90A;
 *   - counts elements in 64 bits wherever rows are multiplied by widths. */
#ifndef SX_CUDA_H
#define SX_CUDA_H

#include "kernels/kernels.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <pthread.h>
#include <stdint.h>

/* Device code of the sm_90a pass only: wgmma, setmaxnreg. */
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SX_SM90A
#endif

struct sx_cublas; /* matmul.cu: the cuBLASLt handle of a stream and its workspace */

struct sx_stream {
    cudaStream_t cuda;
    int device;
    int sm; /* compute capability, 10 * major + minor */
    int multiprocessors;
    int shared_most; /* bytes of shared memory one block may have, after cudaFuncSetAttribute */
    size_t l2;       /* bytes */
    /* Nothing beyond sm_80: another GPU than sm_90, a module without sm_90a code, or
     * SPARSEX_ISA=sm80. */
    bool plain;
    /* > 0: operations that cut one result into parts cut it into so many, for tests: what
     * SPARSEX_SPLITS said when the stream was made. */
    int force_splits;
    /* SX_SCRATCH bytes for kernels that join the parts of one result: zero between kernels, so a
     * kernel that writes there clears it again. */
    void *scratch;
    const char *last;         /* the operation queued last */
    pthread_mutex_t lock;     /* guards what is below */
    cudaError_t error;        /* the first one */
    const char *failed;       /* its operation */
    struct sx_cublas *cublas; /* NULL until the first dense product */
};
enum { SX_SCRATCH = 16384 };

/* True if error is one; the stream keeps the first, for sync to report. */
bool sx_cuda_failed(sx_stream *stream, const char *op, cudaError_t error);
/* matmul.cu: NULL is fine. */
void sx_cublas_free(struct sx_cublas *cublas);
/* table.cu: the device of the table that was asked for last; where matrices are made. */
extern int sx_cuda_device;
/* matmul.cu: loads cuBLASLt once in a process: true, or a sentence in err[] of what is missing. */
bool sx_cublas_load(char *err, size_t errlen);

/* First in every operation: makes the stream's device the calling thread's. False if the stream has
 * failed already: then nothing more is queued. */
static inline bool sx_cuda_begin(sx_stream *stream)
{
    return stream->error == cudaSuccess &&
           !sx_cuda_failed(stream, "cudaSetDevice", cudaSetDevice(stream->device));
}

/* Behind every launch. */
#define SX_LAUNCHED(stream, op)                                                                    \
    ((stream)->last = (op), sx_cuda_failed((stream), (op), cudaGetLastError()))

/* Blocks enough for `items` at `per_block`, at most `waves` for every multiprocessor: for kernels
 * that walk in strides of the whole launch. */
static inline unsigned sx_cuda_grid(const sx_stream *stream, int64_t items, int64_t per_block,
                                    int waves)
{
    int64_t blocks = (items + per_block - 1) / per_block;
    int64_t most = (int64_t)stream->multiprocessors * waves;
    return (unsigned)(blocks < most ? blocks : most);
}

/* Whether every 16-byte access is aligned: p, and a row's distance of `stride` numbers of `size`.
 */
static inline bool sx_aligned16(const void *p, int64_t stride, int size)
{
    return ((uintptr_t)p | (uintptr_t)(stride * size)) % 16 == 0;
}

#ifdef __CUDACC__

typedef __nv_bfloat16 sx_bf16;

/* ---- numbers ---- */

__device__ __forceinline__ float sx_float(sx_bf16 x)
{
    return __bfloat162float(x);
}

__device__ __forceinline__ float sx_low(unsigned pair) /* of two bfloat16 */
{
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float sx_high(unsigned pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ unsigned sx_pair(float low, float high) /* rounded to nearest even */
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *(const unsigned *)&pair;
}

/* ---- 16-byte accesses; p is aligned to 16 ---- */

__device__ __forceinline__ uint4 sx_load16(const void *p)
{
    return *(const uint4 *)p;
}

/* For what is read once: does not displace what the first-level cache holds. */
__device__ __forceinline__ uint4 sx_load16_once(const void *p)
{
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

__device__ __forceinline__ void sx_unpack8(float (&x)[8], uint4 v) /* eight bfloat16 */
{
    const unsigned pair[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = sx_low(pair[i]);
        x[2 * i + 1] = sx_high(pair[i]);
    }
}

__device__ __forceinline__ uint4 sx_pack8(const float (&x)[8])
{
    return make_uint4(sx_pair(x[0], x[1]), sx_pair(x[2], x[3]), sx_pair(x[4], x[5]),
                      sx_pair(x[6], x[7]));
}

__device__ __forceinline__ void sx_load8(float (&x)[8], const sx_bf16 *p)
{
    sx_unpack8(x, sx_load16(p));
}

__device__ __forceinline__ void sx_load8(float (&x)[8], const float *p) /* two accesses */
{
    const float4 a = *(const float4 *)p, b = *((const float4 *)p + 1);
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

__device__ __forceinline__ void sx_store8(sx_bf16 *p, const float (&x)[8])
{
    *(uint4 *)p = sx_pack8(x);
}

/* ---- reductions; every lane of the warp takes part and every lane gets the result ---- */

/* Over aligned teams of `lanes` lanes, a power of two: each team its own. */
template <int lanes = 32> __device__ __forceinline__ float sx_team_sum(float x)
{
#pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

template <int lanes = 32> __device__ __forceinline__ float sx_team_max(float x)
{
#pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

/* Over a block of `threads`, a multiple of 32 up to 1024. Two barriers, so a loop may call it again
 * at once. */
template <int threads> __device__ __forceinline__ float sx_block_sum(float x)
{
    __shared__ float part[threads / 32];
    x = sx_team_sum(x);
    if (threads == 32)
        return x;
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0.0f;
#pragma unroll
    for (int w = 0; w < threads / 32; w++) /* the same order in every thread */
        x += part[w];
    __syncthreads();
    return x;
}

/* ---- walking ---- */

/* The cells of an [n, width] grid, `step` cells at a time in row-major order, without a division a
 * step:  for (sx_walk w(first, step, width); w.row < n; w.next())  ... w.row, w.column ... */
struct sx_walk {
    int64_t row, rows_a_step;
    int column, columns_a_step, width;

    __device__ __forceinline__ sx_walk(int64_t first, int64_t step, int width)
        : row(first / width), rows_a_step(step / width), column((int)(first % width)),
          columns_a_step((int)(step % width)), width(width)
    {
    }

    __device__ __forceinline__ void next()
    {
        row += rows_a_step;
        column += columns_a_step;
        if (column >= width) {
            column -= width;
            row++;
        }
    }
};

#endif
#endif
