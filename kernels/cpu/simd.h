/* simd.h: the few vector words the faster CPU versions share. Included by <op>_simd.h with SX_LANES
 * set; compiled once for AVX2 (8 lanes) and once for AVX-512 (16 lanes), with fused multiply-add.
 */
#ifndef SX_SIMD_H
#define SX_SIMD_H

#include <immintrin.h>
#include <stdint.h>

typedef float vf __attribute__((vector_size(SX_LANES * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(SX_LANES * 4), aligned(4), may_alias));

static inline vf v_load(const float *p)
{
    return *(const vf *)p;
}

static inline void v_store(float *p, vf x)
{
    *(vf *)p = x;
}

static inline vf v_set(float s) /* a loop over lanes does not become a broadcast in gcc 12 */
{
#if SX_LANES == 16
    return (vf)_mm512_set1_ps(s);
#else
    return (vf)_mm256_set1_ps(s);
#endif
}

static inline vf v_select(vi mask, vf yes, vf no) /* mask lanes are 0 or -1 */
{
    return (vf)(((vi)yes & mask) | ((vi)no & ~mask));
}

static inline vf v_max(vf a, vf b)
{
    return v_select(a > b, a, b);
}

static inline float v_sum(vf x)
{
    float s[SX_LANES];
    v_store(s, x);
    for (int width = SX_LANES / 2; width; width /= 2)
        for (int l = 0; l < width; l++)
            s[l] += s[l + width];
    return s[0];
}

/* exp(x) for x <= 88, 0 below -87. Range reduction by ln 2 in two parts, then the Taylor polynomial
 * of degree 7 on [-ln2/2, ln2/2]: relative error below 2e-7. */
static inline vf v_exp(vf x)
{
    const vf magic = v_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    vi zero = x < v_set(-87.0f);
    x = v_max(x, v_set(-87.0f));
    vf n = x * v_set(1.44269504f) + magic;
    vi exponent = ((vi)n - (vi)magic) << 23;
    n -= magic;
    vf r = x - n * v_set(0.693359375f) + n * v_set(2.12194440e-4f);
    vf p = v_set(1.0f / 5040.0f);
    p = p * r + v_set(1.0f / 720.0f);
    p = p * r + v_set(1.0f / 120.0f);
    p = p * r + v_set(1.0f / 24.0f);
    p = p * r + v_set(1.0f / 6.0f);
    p = p * r + v_set(0.5f);
    p = p * r + v_set(1.0f);
    p = p * r + v_set(1.0f);
    vf e = (vf)((vi)p + exponent);
    return (vf)((vi)e & ~zero);
}

#endif
