/* kv_pack.c: k and v of a layer -> the rows a context keeps. */
#include "kernels/cpu/number.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* One head: a byte a number and one scale, which is returned. */
static float pack_head(uint8_t *out, const float *x, int d, sx_type format)
{
    float most = 0.0f, range = format == SX_F8 ? 448.0f : 127.0f;
    for (int j = 0; j < d; j++)
        most = fmaxf(most, fabsf(x[j]));
    float inverse = most > 0.0f ? range / most : 0.0f;
    for (int j = 0; j < d; j++)
        out[j] = format == SX_F8 ? sx_to_f8(x[j] * inverse)
                                 : (uint8_t)(int8_t)rintf(x[j] * inverse);
    return most / range;
}

SX_DECL_KV_PACK(sx_kv_pack_c)
{
    (void)stream;
    size_t row_bytes = sx_kv_row_bytes(format, kv_heads, d);
    size_t width = (size_t)kv_heads * (size_t)d;
    for (int i = 0; i < n; i++) {
        char *row = (char *)rows + (size_t)i * row_bytes;
        const float *ki = (const float *)k + (size_t)i * stride;
        const float *vi = (const float *)v + (size_t)i * stride;
        if (format == SX_F32) {
            memcpy(row, ki, width * sizeof(float));
            memcpy(row + width * sizeof(float), vi, width * sizeof(float));
            continue;
        }
        if (format == SX_BF16) {
            for (size_t j = 0; j < 2 * width; j++)
                ((uint16_t *)(void *)row)[j] = sx_to_bf16(j < width ? ki[j] : vi[j - width]);
            continue;
        }
        for (int h = 0; h < 2 * kv_heads; h++) { /* heads of k, then of v */
            const float *x = h < kv_heads ? ki + (size_t)h * d : vi + (size_t)(h - kv_heads) * d;
            float scale = pack_head((uint8_t *)row + (size_t)h * d, x, d, format);
            memcpy(row + 2 * width + (size_t)h * sizeof(float), &scale, sizeof scale);
        }
    }
}

SX_DECL_KV_UNPACK(sx_kv_unpack_c)
{
    (void)stream;
    size_t row_bytes = sx_kv_row_bytes(format, kv_heads, d);
    size_t width = (size_t)kv_heads * (size_t)d;
    for (int i = 0; i < n; i++) {
        const char *row = (const char *)rows + (size_t)i * row_bytes;
        float *ki = (float *)k + (size_t)i * stride, *vi = (float *)v + (size_t)i * stride;
        if (format == SX_F32) {
            memcpy(ki, row, width * sizeof(float));
            memcpy(vi, row + width * sizeof(float), width * sizeof(float));
            continue;
        }
        if (format == SX_BF16) {
            const uint16_t *kept = (const uint16_t *)(const void *)row;
            for (size_t j = 0; j < width; j++) {
                ki[j] = sx_from_bf16(kept[j]);
                vi[j] = sx_from_bf16(kept[width + j]);
            }
            continue;
        }
        for (int h = 0; h < 2 * kv_heads; h++) {
            float *x = h < kv_heads ? ki + (size_t)h * d : vi + (size_t)(h - kv_heads) * d, scale;
            memcpy(&scale, row + 2 * width + (size_t)h * sizeof(float), sizeof scale);
            const uint8_t *kept = (const uint8_t *)row + (size_t)h * d;
            for (int j = 0; j < d; j++)
                x[j] = scale * (format == SX_F8 ? sx_from_f8(kept[j]) : (float)(int8_t)kept[j]);
        }
    }
}
