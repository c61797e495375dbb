/* window_attention.c: causal attention inside a sliding window, segment by segment. */
#include "kernels/cpu/dot.h"
#include "kernels/kernels.h"

#include <math.h>

size_t sx_window_attention_work(int n, int n_segments, int longest, int d, int window)
{
    /* The vector versions keep k transposed, [d, longest rounded up], and the scores of 16 queries
     * over window + 16 + one tile of keys; the reference needs one row of scores. */
    size_t columns = ((size_t)longest + 63) / 64 * 64;
    size_t span = ((size_t)(window < longest ? window : longest) + 16 + 127) / 64 * 64;
    size_t cpu = (columns * (size_t)d + 16 * span + 64) * sizeof(float);
    /* The GPU lists its tiles of queries: segment and place, 8 bytes each. */
    size_t gpu = ((size_t)n / SX_QUERY_BLOCK + (size_t)n_segments + 1) * 8;
    return cpu > gpu ? cpu : gpu;
}

SX_DECL_WINDOW_ATTENTION(sx_window_attention_c)
{
    (void)stream;
    (void)n;
    float *p = work;
    int group = heads / kv_heads;
    for (int s = 0; s < n_segments; s++)
        for (int i = segment_start[s]; i < segment_start[s + 1]; i++)
            for (int h = 0; h < heads; h++) {
                const float *query = (const float *)q + (size_t)i * stride + (size_t)h * d;
                float *out = (float *)o + ((size_t)i * heads + h) * d;
                size_t column = (size_t)(h / group) * d;
                int first = i - window + 1 > segment_start[s] ? i - window + 1 : segment_start[s];
                float top = -INFINITY, sum = 0.0f;
                for (int j = first; j <= i; j++) { /* scores of the keys this query may see */
                    float s = sx_dot(query, (const float *)k + (size_t)j * stride + column, d) *
                              scale;
                    p[j - first] = s;
                    top = fmaxf(top, s);
                }
                for (int j = 0; j <= i - first; j++)
                    sum += p[j] = expf(p[j] - top);
                for (int c = 0; c < d; c++)
                    out[c] = 0.0f;
                for (int j = first; j <= i; j++) {
                    const float *value = (const float *)v + (size_t)j * stride + column;
                    float share = p[j - first] / sum;
                    for (int c = 0; c < d; c++)
                        out[c] += share * value[c];
                }
            }
}
