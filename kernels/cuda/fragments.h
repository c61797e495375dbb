/* fragments.h: rows straight from memory into the operands of mma.m16n8k16, without shared memory.
 *
 * A lane is (g, t) = (lane / 4, lane % 4). An operand wants, of row g, the numbers 2t, 2t + 1 and
 * 2t + 8, 2t + 9 of 16. A sum over them does not care for their order, so a lane takes eight
 * NEIGHBOURING numbers of its row in one access, columns 32 j + 8 t .. + 8 for chunk j, and they
 * are its part of two products; the other operand takes the same columns. */
#ifndef SX_FRAGMENTS_H
#define SX_FRAGMENTS_H

#include "kernels/cuda/cuda.h"

#include <cuda_fp16.h>
#include <cuda_fp8.h>

/* Eight numbers as they lie in memory. */
template <int format> struct sx_eight {
    uint2 raw; /* SX_I8, SX_F8: one byte each */
};
template <> struct sx_eight<SX_BF16> {
    uint4 raw;
};

/* Read once: from p if `inside`, else zeros. p aligned to 16 bytes, or 8 for one-byte formats. */
template <int format>
__device__ __forceinline__ void sx_load_eight(sx_eight<format> &x, const char *p, bool inside)
{
    x.raw = make_uint2(0, 0);
    if (inside)
        asm volatile("ld.global.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
                     : "=r"(x.raw.x), "=r"(x.raw.y)
                     : "l"(p));
}

template <>
__device__ __forceinline__ void sx_load_eight<SX_BF16>(sx_eight<SX_BF16> &x, const char *p,
                                                       bool inside)
{
    x.raw = make_uint4(0, 0, 0, 0);
    if (inside)
        x.raw = sx_load16_once(p);
}

/* Four int8 -> two pairs of bfloat16, exactly: x + 128 becomes the low mantissa bits of 2^23. */
__device__ __forceinline__ void sx_bytes_to_pairs(unsigned &low, unsigned &high, unsigned bytes)
{
    const unsigned u = bytes ^ 0x80808080u, magic = 0x4b000000u;
    const float away = 8388608.0f + 128.0f;
    float x[4];
    x[0] = __uint_as_float(__byte_perm(u, magic, 0x7540)) - away;
    x[1] = __uint_as_float(__byte_perm(u, magic, 0x7541)) - away;
    x[2] = __uint_as_float(__byte_perm(u, magic, 0x7542)) - away;
    x[3] = __uint_as_float(__byte_perm(u, magic, 0x7543)) - away;
    low = __byte_perm(__float_as_uint(x[0]), __float_as_uint(x[1]), 0x7632);
    high = __byte_perm(__float_as_uint(x[2]), __float_as_uint(x[3]), 0x7632);
}

/* Two e4m3 -> a pair of bfloat16, exactly. */
__device__ __forceinline__ unsigned sx_f8_pair(unsigned bytes)
{
    const __half2_raw raw = __nv_cvt_fp8x2_to_halfraw2((__nv_fp8x2_storage_t)bytes, __NV_E4M3);
    const float2 x = __half22float2(*(const __half2 *)&raw);
    return sx_pair(x.x, x.y);
}

/* The eight numbers as four pairs of bfloat16; of scaled formats, without the scale. */
__device__ __forceinline__ void sx_pairs(unsigned (&pair)[4], const sx_eight<SX_BF16> &x)
{
    pair[0] = x.raw.x, pair[1] = x.raw.y, pair[2] = x.raw.z, pair[3] = x.raw.w;
}

__device__ __forceinline__ void sx_pairs(unsigned (&pair)[4], const sx_eight<SX_I8> &x)
{
    sx_bytes_to_pairs(pair[0], pair[1], x.raw.x);
    sx_bytes_to_pairs(pair[2], pair[3], x.raw.y);
}

__device__ __forceinline__ void sx_pairs(unsigned (&pair)[4], const sx_eight<SX_F8> &x)
{
    pair[0] = sx_f8_pair(x.raw.x & 0xffff), pair[1] = sx_f8_pair(x.raw.x >> 16);
    pair[2] = sx_f8_pair(x.raw.y & 0xffff), pair[3] = sx_f8_pair(x.raw.y >> 16);
}

/* c[16, 8] += a[16, 16] b[16, 8].  a: rows g, g + 8, g, g + 8 at numbers 2t.., 2t.., 2t + 8..,
 * 2t + 8..; b: column g at 2t.., 2t + 8..; c: row g columns 2t, 2t + 1, then row g + 8. */
__device__ __forceinline__ void sx_mma(float (&c)[4], unsigned a0, unsigned a1, unsigned a2,
                                       unsigned a3, unsigned b0, unsigned b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/* One chunk of rows g and g + 8 against one chunk of column g: two products. */
__device__ __forceinline__ void sx_mma_chunk(float (&c)[4], const unsigned (&low)[4],
                                             const unsigned (&high)[4], const unsigned (&b)[4])
{
    sx_mma(c, low[0], high[0], low[1], high[1], b[0], b[1]);
    sx_mma(c, low[2], high[2], low[3], high[3], b[2], b[3]);
}

#endif
