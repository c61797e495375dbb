/* number.h: bfloat16 and e4m3 on the CPU. */
#ifndef SX_NUMBER_H
#define SX_NUMBER_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float sx_from_bf16(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t sx_to_bf16(float x) /* to nearest even */
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* e4m3: a sign, 4 bits of exponent (bias 7), 3 of mantissa; largest 448, no infinity, 0x7f is NaN.
 */
static inline float sx_from_f8(uint8_t x)
{
#define SX_EIGHT(step)                                                                             \
    8 * step, 9 * step, 10 * step, 11 * step, 12 * step, 13 * step, 14 * step, 15 * step
    static const float value[128] = {
        0,
        0x1p-9f,
        2 * 0x1p-9f,
        3 * 0x1p-9f,
        4 * 0x1p-9f,
        5 * 0x1p-9f,
        6 * 0x1p-9f,
        7 * 0x1p-9f, /* subnormal */
        SX_EIGHT(0x1p-9f),
        SX_EIGHT(0x1p-8f),
        SX_EIGHT(0x1p-7f),
        SX_EIGHT(0x1p-6f),
        SX_EIGHT(0x1p-5f),
        SX_EIGHT(0x1p-4f),
        SX_EIGHT(0x1p-3f),
        SX_EIGHT(0x1p-2f),
        SX_EIGHT(0x1p-1f),
        SX_EIGHT(0x1p0f),
        SX_EIGHT(0x1p1f),
        SX_EIGHT(0x1p2f),
        SX_EIGHT(0x1p3f),
        SX_EIGHT(0x1p4f),
        8 * 32,
        9 * 32,
        10 * 32,
        11 * 32,
        12 * 32,
        13 * 32,
        14 * 32,
        NAN,
    };
#undef SX_EIGHT
    return x & 0x80 ? -value[x & 0x7f] : value[x];
}

static inline uint8_t sx_to_f8(float x) /* to nearest even; beyond 448: 448 */
{
    uint32_t bits;
    float size = fabsf(x);
    memcpy(&bits, &size, sizeof bits);
    uint8_t sign = signbit(x) ? 0x80 : 0;
    if (x != x)
        return 0x7f;
    if (size >= 448.0f)
        return sign | 0x7e;
    if (size < 0x1p-6f) /* eighths of the smallest exponent; 8 of them is the first normal */
        return sign | (uint8_t)rintf(size * 0x1p9f);
    return sign | (uint8_t)(((bits + 0x7ffff + (bits >> 20 & 1)) >> 20) - (120 << 3));
}

#endif
