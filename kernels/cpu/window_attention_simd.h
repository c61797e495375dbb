/* window_attention_simd.h: window attention for any vector width; SX_LANES and WINDOW_ATTENTION are
 * set by the file that includes it.
 *
 * A tile is 16 queries of one head. Its keys, at most window + 15, are scored against k transposed
 * once a segment and kv head, so that a vector holds one dimension of SX_LANES keys; four queries
 * share every load. The softmax of a row needs no rescaling because the whole row is there; the sum
 * of values again lets four queries share every load of v. */
#include "kernels/cpu/simd.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#define TILE 16 /* queries of a tile */
#define NV                                                                                         \
    (SX_LANES == 16 ? 4 : 2) /* key vectors a step: 4 x NV accumulators fit the registers          \
                              */
#define STEP         (NV * SX_LANES)
#define HIDDEN_SCORE (-1e30f)

/* s[4][...] += q (4 rows) times kT over `span` keys from kt; span is rounded up to STEP. */
static void score_tile(float *s, size_t s_stride, const float *q, size_t q_stride, const float *kt,
                       size_t kt_stride, int d, int span, float scale)
{
    for (int j = 0; j < span; j += STEP) {
        vf acc[4][NV];
        memset(acc, 0, sizeof acc);
        for (int c = 0; c < d; c++) {
            const float *key = kt + (size_t)c * kt_stride + j;
            vf x[NV];
            for (int u = 0; u < NV; u++)
                x[u] = v_load(key + u * SX_LANES);
            for (int r = 0; r < 4; r++) {
                vf query = v_set(q[(size_t)r * q_stride + c]);
                for (int u = 0; u < NV; u++)
                    acc[r][u] += query * x[u];
            }
        }
        for (int r = 0; r < 4; r++)
            for (int u = 0; u < NV; u++)
                v_store(s + (size_t)r * s_stride + j + u * SX_LANES, acc[r][u] * v_set(scale));
    }
}

/* A row of scores -> weights that sum to 1; outside [lo, hi) they become 0. span is a multiple of
 * STEP. */
static void softmax_row(float *s, int lo, int hi, int span)
{
    for (int j = 0; j < lo; j++)
        s[j] = HIDDEN_SCORE;
    for (int j = hi; j < span; j++)
        s[j] = HIDDEN_SCORE;
    vf top = v_set(HIDDEN_SCORE), sum = v_set(0.0f);
    for (int j = 0; j < span; j += SX_LANES)
        top = v_max(top, v_load(s + j));
    float most = top[0];
    for (int l = 1; l < SX_LANES; l++)
        most = fmaxf(most, top[l]);
    top = v_set(most);
    for (int j = 0; j < span; j += SX_LANES) {
        vf e = v_exp(v_load(s + j) - top);
        sum += e;
        v_store(s + j, e);
    }
    vf inverse = v_set(1.0f / v_sum(sum));
    for (int j = 0; j < span; j += SX_LANES)
        v_store(s + j, v_load(s + j) * inverse);
}

/* o (4 rows) = weights [lo, hi) times v. */
static void value_tile(float *o, size_t o_stride, const float *p, size_t p_stride, const float *v,
                       size_t v_stride, int d, int lo, int hi, int rows)
{
    for (int c = 0; c < d; c += NV * SX_LANES) {
        int vectors = (d - c) / SX_LANES < NV ? (d - c) / SX_LANES : NV;
        vf acc[4][NV];
        memset(acc, 0, sizeof acc);
        if (vectors == NV)
            for (int j = lo; j < hi; j++) {
                const float *value = v + (size_t)j * v_stride + c;
                vf x[NV];
                for (int u = 0; u < NV; u++)
                    x[u] = v_load(value + u * SX_LANES);
                for (int r = 0; r < 4; r++) {
                    vf w = v_set(p[(size_t)r * p_stride + j]);
                    for (int u = 0; u < NV; u++)
                        acc[r][u] += w * x[u];
                }
            }
        else
            for (int j = lo; j < hi; j++)
                for (int r = 0; r < 4; r++)
                    for (int u = 0; u < vectors; u++)
                        acc[r][u] += v_set(p[(size_t)r * p_stride + j]) *
                                     v_load(v + (size_t)j * v_stride + c + u * SX_LANES);
        for (int r = 0; r < rows; r++)
            for (int u = 0; u < vectors; u++)
                v_store(o + (size_t)r * o_stride + c + u * SX_LANES, acc[r][u]);
    }
}

SX_DECL_WINDOW_ATTENTION(WINDOW_ATTENTION)
{
    int group = heads / kv_heads;

    if (d % SX_LANES) {
        sx_window_attention_c(stream, o, q, k, v, stride, segment_start, n_segments, n, heads,
                              kv_heads, d, window, scale, work);
        return;
    }
    for (int s = 0; s < n_segments; s++) {
        int start = segment_start[s], len = segment_start[s + 1] - start;
        size_t columns = ((size_t)len + 63) / 64 * 64;
        int most = (window < len ? window : len) + TILE - 1;
        size_t span_max = ((size_t)most + STEP - 1) / STEP * STEP;
        float *kt = work, *scores = kt + columns * (size_t)d + 64;
        float queries[TILE * 256];

        for (int kv = 0; kv < kv_heads; kv++) {
            const float *value = (const float *)v + (size_t)start * stride + (size_t)kv * d;
            for (int j = 0; j < len; j++) /* kT[c, j] */
                for (int c = 0; c < d; c++)
                    kt[(size_t)c * columns + j] = ((
                        const float *)k)[(size_t)(start + j) * stride + (size_t)kv * d + c];
            for (int h = kv * group; h < (kv + 1) * group; h++)
                for (int i = 0; i < len; i += TILE) {
                    int tile = len - i < TILE ? len - i : TILE;
                    int first = i - window + 1 > 0 ? i - window + 1 : 0; /* first key of the tile */
                    int span = i + tile - first;
                    const float *query = (const float *)q + (size_t)(start + i) * stride +
                                         (size_t)h * d;
                    size_t query_stride = (size_t)stride;
                    if (tile < TILE && d <= 256) { /* the last tile: whole rows of four */
                        memset(queries, 0, sizeof(float) * TILE * (size_t)d);
                        for (int r = 0; r < tile; r++)
                            memcpy(queries + (size_t)r * d, query + (size_t)r * stride,
                                   sizeof(float) * (size_t)d);
                        query = queries;
                        query_stride = (size_t)d;
                    }
                    int padded = (span + STEP - 1) / STEP * STEP;
                    for (int r = 0; r < tile; r += 4) {
                        float *row = scores + (size_t)r * span_max;
                        score_tile(row, span_max, query + (size_t)r * query_stride, query_stride,
                                   kt + first, columns, d, span, scale);
                        for (int u = 0; u < 4; u++) {
                            int token = i + r + u; /* rows behind the segment repeat the last */
                            token = token < len ? token : len - 1;
                            int lo = token - window + 1 - first;
                            softmax_row(row + (size_t)u * span_max, lo > 0 ? lo : 0,
                                        token + 1 - first, padded);
                        }
                        value_tile((float *)o + ((size_t)(start + i + r) * heads + h) * d,
                                   (size_t)heads * d, row, span_max, value + (size_t)first * stride,
                                   (size_t)stride, d, 0, span, tile - r < 4 ? tile - r : 4);
                    }
                }
        }
    }
}
