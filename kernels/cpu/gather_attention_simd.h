/* gather_attention_simd.h: gather attention for any vector width; SX_LANES and GATHER_ATTENTION are
 * set by the file that includes it.
 *
 * All query heads of a group go over a row together, so that a kept number is fetched and converted
 * once for its key and once for its value; four rows of values share a read and a write of o. */
#include "kernels/cpu/simd.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#define MOST_HEADS 8 /* of a group, in one go: their sums stay in registers */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* SX_LANES numbers of a format, from number j on, without the scale. */
ALWAYS_INLINE vf load_numbers(const char *head, sx_type format, int j)
{
    if (format == SX_F32)
        return v_load((const float *)(const void *)head + j);
#if SX_LANES == 16
    if (format == SX_BF16)
        return (vf)(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
                                          (const __m256i *)(const void *)(head + 2 * j))),
                                      16));
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(head + j));
    if (format == SX_I8)
        return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    vi x = (vi)_mm512_cvtepu8_epi32(bytes);
#else
    if (format == SX_BF16)
        return (vf)(_mm256_slli_epi32(
            _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(head + 2 * j))),
            16));
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(head + j));
    if (format == SX_I8)
        return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    vi x = (vi)_mm256_cvtepu8_epi32(bytes);
#endif
    /* e4m3: exponent and mantissa in their float32 places are the value times 2^-120 */
    vf value = (vf)((x & 0x7f) << 20) * v_set(0x1p120f);
    vi nan = (x & 0x7f) == 0x7f;
    return (vf)((vi)value | (x & 0x80) << 24 | (nan & 0x7fc00000));
}

ALWAYS_INLINE int number_size(sx_type format)
{
    return format == SX_F32 ? 4 : format == SX_BF16 ? 2 : 1;
}

/* p[g * span] = scale * dot(query head g, key), for up to MOST_HEADS heads. */
ALWAYS_INLINE void score_row(float *p, size_t span, const float *q, int heads, int d,
                             const char *key, sx_type format, float scale)
{
    vf acc[MOST_HEADS];
    memset(acc, 0, sizeof acc);
    for (int j = 0; j < d; j += SX_LANES) {
        vf x = load_numbers(key, format, j);
        for (int g = 0; g < heads; g++)
            acc[g] += v_load(q + (size_t)g * d + j) * x;
    }
    for (int g = 0; g < heads; g++)
        p[(size_t)g * span] = v_sum(acc[g]) * scale;
}

/* o[g, :] += p[g * span + r] * scale[r] * value row r, for `rows` (1 or 4) rows. */
ALWAYS_INLINE void add_rows(float *o, const float *p, size_t span, int heads, int d,
                            const char *const *value, const float *scale, int rows, sx_type format)
{
    for (int j = 0; j < d; j += SX_LANES) {
        vf x[4];
        for (int r = 0; r < rows; r++)
            x[r] = load_numbers(value[r], format, j) * v_set(scale[r]);
        for (int g = 0; g < heads; g++) {
            vf sum = v_load(o + (size_t)g * d + j);
            for (int r = 0; r < rows; r++)
                sum += v_set(p[(size_t)g * span + r]) * x[r];
            v_store(o + (size_t)g * d + j, sum);
        }
    }
}

/* Rows of one place: numbers of one kv head, its scale behind them where the format has one. */
typedef struct row_place {
    const char *key, *value, *key_scale, *value_scale;
    size_t stride;
    int rows;
} row_place;

ALWAYS_INLINE float scale_at(const char *p, size_t offset)
{
    float scale = 1.0f;
    if (p)
        memcpy(&scale, p + offset, sizeof scale);
    return scale;
}

ALWAYS_INLINE void score_place(float *p, size_t span, const float *q, int heads, int d,
                               const row_place *at, sx_type format, float scale)
{
    for (int r = 0; r < at->rows; r++) {
        float s = scale * scale_at(at->key_scale, (size_t)r * at->stride);
        const char *key = at->key + (size_t)r * at->stride;
        for (int g = 0; g < heads; g += MOST_HEADS)
            score_row(p + (size_t)g * span + r, span, q + (size_t)g * d,
                      heads - g < MOST_HEADS ? heads - g : MOST_HEADS, d, key, format, s);
    }
}

ALWAYS_INLINE void add_place(float *o, const float *p, size_t span, int heads, int d,
                             const row_place *at, sx_type format)
{
    for (int r = 0, rows; r < at->rows; r += rows) {
        const char *value[4];
        float scale[4];
        rows = at->rows - r < 4 ? 1 : 4;
        for (int u = 0; u < rows; u++) {
            size_t offset = (size_t)(r + u) * at->stride;
            value[u] = at->value + offset;
            scale[u] = scale_at(at->value_scale, offset);
        }
        if (rows == 4)
            add_rows(o, p + r, span, heads, d, value, scale, 4, format);
        else
            add_rows(o, p + r, span, heads, d, value, scale, 1, format);
    }
}

/* The format is a constant in each of these. */
static void score_any(float *p, size_t span, const float *q, int heads, int d, const row_place *at,
                      sx_type format, float scale)
{
    if (format == SX_F32)
        score_place(p, span, q, heads, d, at, SX_F32, scale);
    else if (format == SX_BF16)
        score_place(p, span, q, heads, d, at, SX_BF16, scale);
    else if (format == SX_I8)
        score_place(p, span, q, heads, d, at, SX_I8, scale);
    else
        score_place(p, span, q, heads, d, at, SX_F8, scale);
}

static void add_any(float *o, const float *p, size_t span, int heads, int d, const row_place *at,
                    sx_type format)
{
    if (format == SX_F32)
        add_place(o, p, span, heads, d, at, SX_F32);
    else if (format == SX_BF16)
        add_place(o, p, span, heads, d, at, SX_BF16);
    else if (format == SX_I8)
        add_place(o, p, span, heads, d, at, SX_I8);
    else
        add_place(o, p, span, heads, d, at, SX_F8);
}

/* n scores -> weights that sum to 1. */
static void softmax(float *p, size_t n)
{
    float top = -INFINITY, sum = 0.0f;
    vf total = v_set(0.0f);
    size_t i = 0;

    for (i = 0; i < n; i++)
        top = fmaxf(top, p[i]);
    for (i = 0; i + SX_LANES <= n; i += SX_LANES) {
        vf e = v_exp(v_load(p + i) - v_set(top));
        total += e;
        v_store(p + i, e);
    }
    for (; i < n; i++)
        sum += p[i] = expf(p[i] - top);
    sum = 1.0f / (sum + v_sum(total));
    for (i = 0; i < n; i++)
        p[i] *= sum;
}

SX_DECL_GATHER_ATTENTION(GATHER_ATTENTION)
{
    int group = heads / kv_heads, size = number_size(format);
    size_t row = sx_kv_row_bytes(format, kv_heads, d), numbers = (size_t)kv_heads * d;
    bool scaled = size == 1;

    if (d % SX_LANES) {
        sx_gather_attention_c(stream, o, mass, q, q_stride, n, own_k, own_v, n_before, own_stride,
                              run, run_rows, first_run, n_runs, format, heads, kv_heads, d, scale,
                              work);
        return;
    }
    for (int r = 0; r < n_runs; r++)
        mass[r] = 0.0f;
    for (int i = 0; i < n; i++)
        for (int kv = 0; kv < kv_heads; kv++) {
            const float *query = (const float *)q + (size_t)i * q_stride + (size_t)kv * group * d;
            float *out = (float *)o + ((size_t)i * heads + (size_t)kv * group) * d, *p = work;
            row_place own = {
                .key = (const char *)((const float *)own_k + (size_t)kv * d),
                .value = (const char *)((const float *)own_v + (size_t)kv * d),
                .stride = (size_t)own_stride * sizeof(float),
                .rows = n_before + i + 1,
            };
            size_t span = (size_t)own.rows, at;

            for (int r = first_run[i]; r < first_run[i + 1]; r++)
                span += (size_t)run_rows[r];
            score_any(p, span, query, group, d, &own, SX_F32, scale);
            at = (size_t)own.rows;
            memset(out, 0, sizeof *out * (size_t)group * d);
            for (int pass = 0; pass < 2; pass++) { /* scores, then values */
                for (int r = first_run[i]; r < first_run[i + 1]; r++) {
                    const char *rows = run[r], *scales = rows + 2 * numbers + (size_t)kv * 4;
                    row_place kept = {
                        .key = rows + (size_t)kv * d * size,
                        .value = rows + (numbers + (size_t)kv * d) * size,
                        .key_scale = scaled ? scales : NULL,
                        .value_scale = scaled ? scales + (size_t)kv_heads * 4 : NULL,
                        .stride = row,
                        .rows = run_rows[r],
                    };
                    if (pass == 0) {
                        score_any(p + at, span, query, group, d, &kept, format, scale);
                    } else {
                        float share = 0.0f;
                        add_any(out, p + at, span, group, d, &kept, format);
                        for (int g = 0; g < group; g++)
                            for (int t = 0; t < run_rows[r]; t++)
                                share += p[(size_t)g * span + at + t];
                        mass[r] += share / (float)heads;
                    }
                    at += (size_t)run_rows[r];
                }
                if (pass == 0) {
                    for (int g = 0; g < group; g++)
                        softmax(p + (size_t)g * span, span);
                    add_any(out, p, span, group, d, &own, SX_F32);
                    at = (size_t)own.rows;
                }
            }
        }
}
