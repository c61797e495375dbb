/* kv_pack.cu: k and v of a layer -> the rows a context keeps, and back. A warp has one head of one
 * row at a time. */
#include "kernels/cuda/fragments.h"

namespace
{

enum { WARPS = 8 };

struct pack_shape {
    int64_t n, stride, row_bytes;
    int kv_heads, d;
};

/* `vector` neighbouring numbers a lane: 4 where everything is a multiple of 4, else 1. */
__device__ __forceinline__ void load_some(float (&x)[4], const sx_bf16 *p)
{
    const uint2 v = *(const uint2 *)p;
    x[0] = sx_low(v.x), x[1] = sx_high(v.x), x[2] = sx_low(v.y), x[3] = sx_high(v.y);
}

__device__ __forceinline__ void load_some(float (&x)[1], const sx_bf16 *p)
{
    x[0] = sx_float(*p);
}

__device__ __forceinline__ unsigned to_byte(float x, bool f8)
{
    return f8 ? (unsigned)__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3)
              : (unsigned)(int)rintf(x) & 255;
}

template <int vector, bool f8>
__global__ void __launch_bounds__(32 * WARPS)
    pack_bytes(char *rows, const sx_bf16 *k, const sx_bf16 *v, const pack_shape s)
{
    const int lane = threadIdx.x % 32;
    const int64_t step = (int64_t)gridDim.x * WARPS;
    for (sx_walk w((int64_t)blockIdx.x * WARPS + threadIdx.x / 32, step, 2 * s.kv_heads);
         w.row < s.n; w.next()) {
        const int h = w.column; /* heads of k, then of v */
        const sx_bf16 *from = (h < s.kv_heads ? k : v) + w.row * s.stride +
                              (int64_t)(h < s.kv_heads ? h : h - s.kv_heads) * s.d;
        char *row = rows + w.row * s.row_bytes, *to = row + (int64_t)h * s.d;
        float most = 0.0f;
        for (int j = lane * vector; j < s.d; j += 32 * vector) {
            float x[vector];
            load_some(x, from + j);
#pragma unroll
            for (int e = 0; e < vector; e++)
                most = fmaxf(most, fabsf(x[e]));
        }
        most = sx_team_max(most);
        const float range = f8 ? 448.0f : 127.0f;
        const float inverse = most > 0.0f ? range / most : 0.0f;
        for (int j = lane * vector; j < s.d; j += 32 * vector) {
            float x[vector];
            unsigned bytes = 0;
            load_some(x, from + j); /* again, from the first-level cache */
#pragma unroll
            for (int e = 0; e < vector; e++)
                bytes |= to_byte(x[e] * inverse, f8) << 8 * e;
            if (vector == 4)
                *(unsigned *)(to + j) = bytes;
            else
                to[j] = (char)bytes;
        }
        if (lane == 0)
            *(float *)(row + 2 * (int64_t)s.kv_heads * s.d + (int64_t)h * 4) = most / range;
    }
}

template <int vector, bool f8>
__global__ void __launch_bounds__(32 * WARPS)
    unpack_bytes(sx_bf16 *k, sx_bf16 *v, const char *rows, const pack_shape s)
{
    const int lane = threadIdx.x % 32;
    const int64_t step = (int64_t)gridDim.x * WARPS;
    for (sx_walk w((int64_t)blockIdx.x * WARPS + threadIdx.x / 32, step, 2 * s.kv_heads);
         w.row < s.n; w.next()) {
        const int h = w.column;
        sx_bf16 *to = (h < s.kv_heads ? k : v) + w.row * s.stride +
                      (int64_t)(h < s.kv_heads ? h : h - s.kv_heads) * s.d;
        const char *row = rows + w.row * s.row_bytes, *from = row + (int64_t)h * s.d;
        const float scale = *(const float *)(row + 2 * (int64_t)s.kv_heads * s.d + (int64_t)h * 4);
        for (int j = lane * vector; j < s.d; j += 32 * vector) {
            const unsigned bytes = vector == 4 ? *(const unsigned *)(from + j)
                                               : (unsigned)(uint8_t)from[j];
            unsigned pair[2];
            if (f8)
                pair[0] = sx_f8_pair(bytes & 0xffff), pair[1] = sx_f8_pair(bytes >> 16);
            else
                sx_bytes_to_pairs(pair[0], pair[1], bytes);
            if (vector == 4)
                *(uint2 *)(to + j) = make_uint2(
                    sx_pair(sx_low(pair[0]) * scale, sx_high(pair[0]) * scale),
                    sx_pair(sx_low(pair[1]) * scale, sx_high(pair[1]) * scale));
            else
                to[j] = __float2bfloat16(sx_low(pair[0]) * scale);
        }
    }
}

/* BF16 rows: k and v as they are, `word` numbers at a time. */
template <typename word, bool packing>
__global__ void __launch_bounds__(32 * WARPS)
    copy_words(word *rows, word *k, word *v, int64_t n, int64_t stride, int width)
{
    const int64_t first = (int64_t)blockIdx.x * 32 * WARPS + threadIdx.x;
    for (sx_walk w(first, (int64_t)gridDim.x * 32 * WARPS, 2 * width); w.row < n; w.next()) {
        word *own = w.column < width ? k + w.row * stride + w.column
                                     : v + w.row * stride + w.column - width;
        word *kept = rows + w.row * 2 * width + w.column;
        *(packing ? kept : own) = *(packing ? own : kept);
    }
}

/* Words of 16 bytes where they fit. */
template <bool packing>
void copy_rows(sx_stream *stream, void *rows, void *k, void *v, const pack_shape &s)
{
    const int width = s.kv_heads * s.d;
    const int64_t words = s.n * 2 * width;
    if (width % 8 == 0 && sx_aligned16(k, s.stride, 2) && sx_aligned16(v, s.stride, 2) &&
        sx_aligned16(rows, 0, 2))
        copy_words<uint4, packing>
            <<<sx_cuda_grid(stream, words / 8, 32 * WARPS, 16), 32 * WARPS, 0, stream->cuda>>>(
                (uint4 *)rows, (uint4 *)k, (uint4 *)v, s.n, s.stride / 8, width / 8);
    else
        copy_words<uint16_t, packing>
            <<<sx_cuda_grid(stream, words, 32 * WARPS, 16), 32 * WARPS, 0, stream->cuda>>>(
                (uint16_t *)rows, (uint16_t *)k, (uint16_t *)v, s.n, s.stride, width);
}

/* Whether four numbers go at a time: 8 bytes of k and v, 4 of a row. */
bool in_fours(const void *rows, const void *k, const void *v, const pack_shape &s)
{
    return s.d % 4 == 0 && s.stride % 4 == 0 && ((uintptr_t)k | (uintptr_t)v) % 8 == 0 &&
           (uintptr_t)rows % 4 == 0;
}

/* True if there is something to do: rows of floats are not kept on a GPU, and scales lie at
 * multiples of four bytes. */
bool begin(sx_stream *stream, const char *op, pack_shape *s, const void *rows, sx_type format,
           int n, int stride, int kv_heads, int d)
{
    if (!sx_cuda_begin(stream) || n < 1 || kv_heads < 1 || d < 1)
        return false;
    s->n = n, s->stride = stride, s->kv_heads = kv_heads, s->d = d;
    s->row_bytes = (int64_t)sx_kv_row_bytes(format, kv_heads, d);
    const bool scaled = format != SX_BF16;
    if (format == SX_F32 ||
        (scaled && ((2 * (int64_t)kv_heads * d) % 4 != 0 || (uintptr_t)rows % 4 != 0))) {
        sx_cuda_failed(stream, op, cudaErrorInvalidValue);
        return false;
    }
    return true;
}

} // namespace

extern "C" SX_DECL_KV_PACK(sx_kv_pack_cuda)
{
    static const char op[] = "kv_pack";
    pack_shape s;
    if (!begin(stream, op, &s, rows, format, n, stride, kv_heads, d))
        return;
    const unsigned grid = sx_cuda_grid(stream, s.n * 2 * kv_heads, WARPS, 16);
    const bool fours = in_fours(rows, k, v, s), f8 = format == SX_F8;
    if (format == SX_BF16)
        copy_rows<true>(stream, rows, (void *)k, (void *)v, s);
    else
        (fours ? f8 ? pack_bytes<4, true> : pack_bytes<4, false>
         : f8 ? pack_bytes<1, true>
               : pack_bytes<1, false>)<<<grid, 32 * WARPS, 0, stream->cuda>>>(
            (char *)rows, (const sx_bf16 *)k, (const sx_bf16 *)v, s);
    SX_LAUNCHED(stream, op);
}

extern "C" SX_DECL_KV_UNPACK(sx_kv_unpack_cuda)
{
    static const char op[] = "kv_unpack";
    pack_shape s;
    if (!begin(stream, op, &s, rows, format, n, stride, kv_heads, d))
        return;
    const unsigned grid = sx_cuda_grid(stream, s.n * 2 * kv_heads, WARPS, 16);
    const bool fours = in_fours(rows, k, v, s), f8 = format == SX_F8;
    if (format == SX_BF16)
        copy_rows<false>(stream, (void *)rows, k, v, s);
    else
        (fours ? f8 ? unpack_bytes<4, true> : unpack_bytes<4, false>
         : f8 ? unpack_bytes<1, true>
               : unpack_bytes<1, false>)<<<grid, 32 * WARPS, 0, stream->cuda>>>(
            (sx_bf16 *)k, (sx_bf16 *)v, (const char *)rows, s);
    SX_LAUNCHED(stream, op);
}
