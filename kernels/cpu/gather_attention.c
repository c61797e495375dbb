/* gather_attention.c: question tokens over their own tokens and their selected blocks, one softmax.
 */
#include "kernels/cpu/dot.h"
#include "kernels/cpu/number.h"
#include "kernels/gather_attention.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* Number j of a head of a row, without the scale. */
static float number(const char *head, sx_type format, int j)
{
    return format == SX_I8     ? (float)((const int8_t *)head)[j]
           : format == SX_F8   ? sx_from_f8(((const uint8_t *)head)[j])
           : format == SX_BF16 ? sx_from_bf16(((const uint16_t *)(const void *)head)[j])
                               : ((const float *)(const void *)head)[j];
}

static const char *head_of(const char *row, sx_type format, int head, int d)
{
    return row + (size_t)head * d * (format == SX_F32 ? 4 : format == SX_BF16 ? 2 : 1);
}

static float scale_of(const char *row, sx_type format, int head, int kv_heads, int d)
{
    float scale = 1.0f;
    if (format == SX_I8 || format == SX_F8)
        memcpy(&scale, row + 2 * (size_t)kv_heads * d + (size_t)head * sizeof scale, sizeof scale);
    return scale;
}

/* dot(x, row's head), row as kept: head 0 .. of k, kv_heads .. of v. */
static float row_dot(const char *row, sx_type format, int head, int kv_heads, int d, const float *x)
{
    const char *y = head_of(row, format, head, d);
    if (format == SX_F32)
        return sx_dot(x, (const float *)(const void *)y, d);
    float part[8] = {0}, sum = 0.0f;
    int j = 0;
    for (; j + 8 <= d; j += 8)
        for (int l = 0; l < 8; l++)
            part[l] += x[j + l] * number(y, format, j + l);
    for (; j < d; j++)
        sum += x[j] * number(y, format, j);
    for (int l = 0; l < 8; l++)
        sum += part[l];
    return sum * scale_of(row, format, head, kv_heads, d);
}

static void row_add(float *out, const char *row, sx_type format, int head, int kv_heads, int d,
                    float p)
{
    const char *y = head_of(row, format, head, d);
    p *= scale_of(row, format, head, kv_heads, d);
    for (int j = 0; j < d; j++)
        out[j] += p * number(y, format, j);
}

size_t sx_gather_attention_work(int n, int n_runs, int64_t most_rows, int heads, int kv_heads,
                                int d)
{
    /* the CPU: scores of one group of heads, rows rounded up to vectors */
    size_t cpu = (size_t)(heads / kv_heads) * ((size_t)most_rows + 16) * sizeof(float);
    size_t gpu = sx_gather_bytes(n, n_runs, most_rows, heads, d);
    return cpu > gpu ? cpu : gpu;
}

/* One token: query and out [heads * d], n_own own rows, n_runs runs; p: the scores of one head. */
static void attend(float *o, float *mass, const float *q, const float *own_k, const float *own_v,
                   int n_own, int own_stride, const void *const *run, const int32_t *run_rows,
                   int n_runs, sx_type format, int heads, int kv_heads, int d, float scale,
                   float *p)
{
    size_t row_bytes = sx_kv_row_bytes(format, kv_heads, d);
    int group = heads / kv_heads;

    for (int j = 0; j < n_runs; j++)
        mass[j] = 0.0f;
    for (int h = 0; h < heads; h++) {
        const float *query = q + (size_t)h * d;
        float *out = o + (size_t)h * d;
        int kv = h / group;
        float top = -INFINITY, sum = 0.0f;
        size_t at = 0;

        for (int t = 0; t < n_own; t++, at++) { /* its own causal tokens */
            const float *key = own_k + (size_t)t * own_stride + (size_t)kv * d;
            p[at] = sx_dot(query, key, d) * scale;
            top = fmaxf(top, p[at]);
        }
        for (int r = 0; r < n_runs; r++) /* the tokens of the selected blocks */
            for (int t = 0; t < run_rows[r]; t++, at++) {
                const char *row = (const char *)run[r] + (size_t)t * row_bytes;
                p[at] = row_dot(row, format, kv, kv_heads, d, query) * scale;
                top = fmaxf(top, p[at]);
            }
        for (size_t i = 0; i < at; i++)
            sum += p[i] = expf(p[i] - top);

        for (int j = 0; j < d; j++)
            out[j] = 0.0f;
        at = 0;
        for (int t = 0; t < n_own; t++, at++) {
            const float *value = own_v + (size_t)t * own_stride + (size_t)kv * d;
            for (int j = 0; j < d; j++)
                out[j] += p[at] / sum * value[j];
        }
        for (int r = 0; r < n_runs; r++) {
            float share = 0.0f;
            for (int t = 0; t < run_rows[r]; t++, at++) {
                share += p[at] / sum;
                row_add(out, (const char *)run[r] + (size_t)t * row_bytes, format, kv_heads + kv,
                        kv_heads, d, p[at] / sum);
            }
            mass[r] += share / (float)heads;
        }
    }
}

SX_DECL_GATHER_ATTENTION(sx_gather_attention_c)
{
    (void)stream;
    for (int i = 0; i < n; i++)
        attend((float *)o + (size_t)i * heads * d, mass + first_run[i],
               (const float *)q + (size_t)i * q_stride, own_k, own_v, n_before + i + 1, own_stride,
               run + first_run[i], run_rows + first_run[i], first_run[i + 1] - first_run[i], format,
               heads, kv_heads, d, scale, work);
}
