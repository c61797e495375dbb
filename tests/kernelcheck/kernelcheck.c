/* kernelcheck.c: every version of every operation against the reference, and the references against
 * double arithmetic written the plain way. Shapes around the tiles, guard zones behind outputs,
 * outputs poisoned with NaN, a printed seed; tolerances come from the number of terms and what they
 * weigh. */
#include "kernels/kernels.h"
#include "tests/check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64

static uint64_t state = 0x5eed5eed5eed5eedu; /* xorshift64 (Marsaglia 2003) */

static float uniform(void) /* in [-1, 1) */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (float)(int32_t)(state >> 32) / 2147483648.0f;
}

static float *values(size_t n)
{
    float *x = malloc(sizeof *x * (n + 1));
    for (size_t i = 0; i < n; i++)
        x[i] = uniform();
    return x;
}

static float *poisoned(size_t n)
{
    float *x = malloc(sizeof *x * (n + GUARD));
    for (size_t i = 0; i < n + GUARD; i++)
        x[i] = NAN;
    return x;
}

static bool guard_intact(const float *x, size_t n)
{
    for (size_t i = n; i < n + GUARD; i++)
        if (!isnan(x[i]))
            return false;
    return true;
}

static bool near(const float *got, const double *want, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <=
              tolerance * (1.0 + fabs(want[i])))) { /* NaN fails */
            printf("  at %zu: %.9g, expected %.9g\n", i, (double)got[i], want[i]);
            return false;
        }
    return true;
}

static void check_window_attention(const sx_kernels *kn)
{
    static const int lengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 130};
    static const int windows[] = {1, 2, 16, 33, 64, 512};
    static const int dims[] = {8, 24, 64, 128};
    for (size_t a = 0; a < sizeof lengths / sizeof *lengths; a++)
        for (size_t b = 0; b < sizeof windows / sizeof *windows; b++)
            for (size_t c = 0; c < sizeof dims / sizeof *dims; c++) {
                int heads = 4, kv_heads = 2, d = dims[c], window = windows[b], second = (int)a + 3;
                int segment[] = {0, lengths[a], lengths[a] + second}, n = segment[2];
                int stride = (heads + 2 * kv_heads) * d + 8;
                float scale = 1.0f / sqrtf((float)d);
                float *qkv = values((size_t)n * (size_t)stride);
                const float *k = qkv + heads * d, *v = k + kv_heads * d;
                size_t size = (size_t)n * (size_t)(heads * d);
                int longest = lengths[a] > second ? lengths[a] : second;
                float *o = poisoned(size), *again = poisoned(size);
                float *work = malloc(sx_window_attention_work(n, 2, longest, d, window));
                double *want = malloc(sizeof *want * size), *p = malloc(sizeof *p * (size_t)n);

                for (int s = 0; s < 2; s++)
                    for (int i = segment[s]; i < segment[s + 1]; i++)
                        for (int h = 0; h < heads; h++) {
                            int first = i - window + 1 > segment[s] ? i - window + 1 : segment[s];
                            double sum = 0;
                            for (int j = first; j <= i; j++) {
                                double dot = 0;
                                for (int e = 0; e < d; e++)
                                    dot += (double)qkv[(size_t)i * stride + h * d + e] *
                                           k[(size_t)j * stride + h / 2 * d + e];
                                sum += p[j] = exp(dot * scale);
                            }
                            for (int e = 0; e < d; e++) {
                                double x = 0;
                                for (int j = first; j <= i; j++)
                                    x += p[j] / sum * v[(size_t)j * stride + h / 2 * d + e];
                                want[((size_t)i * heads + h) * d + e] = x;
                            }
                        }
                kn->window_attention(NULL, o, qkv, k, v, stride, segment, 2, n, heads, kv_heads, d,
                                     window, scale, work);
                kn->window_attention(NULL, again, qkv, k, v, stride, segment, 2, n, heads, kv_heads,
                                     d, window, scale, work);
                SX_CHECK(near(o, want, size, (d + 16) * FLT_EPSILON));
                SX_CHECK(guard_intact(o, size));
                SX_CHECK(!memcmp(o, again, size * sizeof *o));
                free(qkv);
                free(o);
                free(again);
                free(work);
                free(want);
                free(p);
            }
}

static void check_swiglu(const sx_kernels *kn)
{
    for (int f = 1; f < 70; f += f < 20 ? 1 : 13) {
        int n = 3;
        float *ab = values((size_t)(2 * n * f)), *y = poisoned((size_t)(n * f));
        double *want = malloc(sizeof *want * (size_t)(n * f));
        for (int i = 0; i < 2 * n * f; i++)
            ab[i] *= i % 5 ? 20.0f : 200.0f; /* both tails of the sigmoid */
        for (int i = 0; i < n; i++)
            for (int j = 0; j < f; j++)
                want[i * f + j] = (double)ab[2 * i * f + j] /
                                  (1.0 + exp(-(double)ab[2 * i * f + j])) * ab[(2 * i + 1) * f + j];
        kn->swiglu(NULL, y, ab, n, f);
        SX_CHECK(near(y, want, (size_t)(n * f), 8 * FLT_EPSILON));
        SX_CHECK(guard_intact(y, (size_t)(n * f)));
        free(ab);
        free(y);
        free(want);
    }
}

static void check_landmarks(const sx_kernels *kn)
{
    static const int counts[] = {1, 2, 3, 4, 5, 17};
    for (size_t a = 0; a < 6; a++)
        for (size_t b = 0; b < 6; b++)
            for (int d = 8; d <= 128; d += 40) {
                int n = counts[a], blocks = counts[b];
                size_t size = (size_t)n * (size_t)blocks;
                float *q = values((size_t)n * (size_t)d), *l = values((size_t)blocks * (size_t)d);
                float *score = poisoned(size);
                double *want = malloc(sizeof *want * size);
                for (int i = 0; i < n * blocks; i++) {
                    want[i] = 0;
                    for (int j = 0; j < d; j++)
                        want[i] += (double)q[i / blocks * d + j] * l[i % blocks * d + j];
                }
                kn->landmark_score(NULL, score, q, l, n, blocks, d);
                SX_CHECK(near(score, want, size, (d + 2) * FLT_EPSILON));
                SX_CHECK(guard_intact(score, size));
                free(q);
                free(l);
                free(score);
                free(want);
            }

    /* pooling: blocks of 1, 5 and 64 tokens, gates beyond the clamp */
    enum { D = 24, T = 70, STRIDE = D + 1 };
    int32_t start[] = {0, 1, 6, T};
    float *key = values(T * STRIDE), *landmark = poisoned(3 * D);
    double want[3 * D] = {0};
    for (int t = 0; t < T; t++)
        key[t * STRIDE + D] *= 20.0f;
    for (int b = 0; b < 3; b++) {
        double norm = 0;
        for (int t = start[b]; t < start[b + 1]; t++) {
            double g = key[t * STRIDE + D] + 0.25;
            g = exp(g > 8 ? 8 : g < -8 ? -8 : g);
            for (int j = 0; j < D; j++)
                want[b * D + j] += g * key[t * STRIDE + j];
        }
        for (int j = 0; j < D; j++)
            norm += want[b * D + j] * want[b * D + j];
        for (int j = 0; j < D; j++)
            want[b * D + j] /= sqrt(norm);
    }
    kn->landmark_pool(NULL, landmark, key, key + D, STRIDE, 0.25f, start, 3, D);
    SX_CHECK(near(landmark, want, 3 * D, 64 * FLT_EPSILON));
    SX_CHECK(guard_intact(landmark, 3 * D));
    free(key);
    free(landmark);
}

static void check_topk(const sx_kernels *kn)
{
    enum { N = 300 };
    for (int k = 1; k <= 40; k += 13)
        for (int n = 0; n <= N; n += 50) {
            float score[N], best[40];
            int32_t block[40];
            for (int i = 0; i < N; i++)
                score[i] = floorf(uniform() * 20.0f); /* many ties */
            for (int i = 0; i < k; i++) {
                best[i] = -INFINITY;
                block[i] = -1;
            }
            for (int i = 0; i < n; i += 37) /* in pieces, as segments come */
                kn->topk_merge(NULL, best, block, k, score + i, n - i < 37 ? n - i : 37, i);
            for (int i = 0; i < k;
                 i++) { /* place i: exactly i blocks are better or equal and earlier */
                int before = 0;
                if (i >= n) {
                    SX_CHECK(block[i] == -1);
                    continue;
                }
                SX_CHECK(block[i] >= 0 && block[i] < n && best[i] == score[block[i]]);
                for (int j = 0; j < n; j++)
                    before += score[j] > best[i] || (score[j] == best[i] && j < block[i]);
                SX_CHECK(before == i);
            }
        }
}

static void check_gather(const sx_kernels *kn, sx_type format)
{
    enum { D = 24, HEADS = 6, KV = 2, OWN = 5, ROWS = 77, WIDTH = KV * D };
    float *q = values(HEADS * D), *own_k = values(OWN * WIDTH), *own_v = values(OWN * WIDTH);
    float *k = values(ROWS * WIDTH), *v = values(ROWS * WIDTH), *o = poisoned(HEADS * D), mass[4],
          work[256];
    size_t row = sx_kv_row_bytes(format, KV, D);
    char *rows = malloc(ROWS * row);
    const void *run[4];
    int32_t run_rows[4] = {1, 0, 64, 12};
    double want[HEADS * D], want_mass[4] = {0}, p[OWN + ROWS];

    kn->kv_pack(NULL, rows, format, k, v, ROWS, WIDTH, KV, D);
    for (int i = 0, at = 0; i < 4; at += run_rows[i++])
        run[i] = rows + (size_t)at * row;
    for (int h = 0; h < HEADS; h++) {
        double sum = 0;
        int kv = h / (HEADS / KV);
        for (int j = 0; j < OWN + ROWS; j++) {
            const float *key = j < OWN ? own_k + j * WIDTH : k + (j - OWN) * WIDTH;
            double dot = 0;
            for (int e = 0; e < D; e++)
                dot += (double)q[h * D + e] * key[kv * D + e];
            sum += p[j] = exp(dot * 0.2);
        }
        for (int e = 0; e < D; e++) {
            want[h * D + e] = 0;
            for (int j = 0; j < OWN + ROWS; j++)
                want[h * D + e] += p[j] / sum *
                                   (j < OWN ? own_v[j * WIDTH + kv * D + e]
                                            : v[(j - OWN) * WIDTH + kv * D + e]);
        }
        for (int i = 0, at = OWN; i < 4; at += run_rows[i++])
            for (int j = 0; j < run_rows[i]; j++)
                want_mass[i] += p[at + j] / sum / HEADS;
    }
    kn->gather_attention(NULL, o, mass, q, HEADS * D, 1, own_k, own_v, OWN - 1, WIDTH, run,
                         run_rows, (const int32_t[]){0, 4}, 4, format, HEADS, KV, D, 0.2f, work);
    /* int8: half a step of 1/127 of the largest value, in k through the softmax and in v */
    double tolerance = format == SX_F32 ? 64 * FLT_EPSILON : 1.0 / 127;
    SX_CHECK(near(o, want, HEADS * D, tolerance));
    SX_CHECK(near(mass, want_mass, 4, tolerance));
    SX_CHECK(mass[1] == 0.0f);
    SX_CHECK(guard_intact(o, HEADS * D));
    free(q);
    free(own_k);
    free(own_v);
    free(k);
    free(v);
    free(o);
    free(rows);
}

static void check_matmul(const sx_kernels *kn)
{
    static const int rows_of_x[] = {1, 2, 3, 15, 33, 255, 256, 257, 300};
    static const int shapes[][2] = {{1, 8}, {129, 384}, {64, 24}, {640, 48}};
    for (size_t a = 0; a < 9; a++)
        for (size_t b = 0; b < 4; b++) {
            int n = rows_of_x[a], rows = shapes[b][0], cols = shapes[b][1],
                room = sx_matmul_rows(n);
            float *w = values((size_t)(rows * cols)), *x = values((size_t)(room * cols));
            float *y = poisoned((size_t)(room * rows));
            double *want = malloc(sizeof *want * (size_t)(n * rows));
            sx_matrix *m = kn->matrix_new(w, rows, cols);
            SX_CHECK(room >= n && m != NULL);
            for (int i = 0; i < n * rows; i++) {
                want[i] = 0;
                for (int c = 0; c < cols; c++)
                    want[i] += (double)w[i % rows * cols + c] * x[i / rows * cols + c];
            }
            SX_CHECK(kn->matmul(NULL, y, x, m, n, false));
            SX_CHECK(near(y, want, (size_t)(n * rows), (cols + 2) * FLT_EPSILON));
            SX_CHECK(kn->matmul(NULL, y, x, m, n, true)); /* accumulates: twice the product */
            for (int i = 0; i < n * rows; i++)
                want[i] *= 2;
            SX_CHECK(near(y, want, (size_t)(n * rows), (cols + 4) * FLT_EPSILON));
            SX_CHECK(guard_intact(y, (size_t)(room * rows)));
            kn->matrix_free(m);
            free(w);
            free(x);
            free(y);
            free(want);
        }
}

static void check_rows(const sx_kernels *kn)
{
    enum { N = 3, HEADS = 2, D = 24, STRIDE = HEADS * D + 5 };
    float *x = values(N * STRIDE), *y = poisoned(N * STRIDE), *weight = values(STRIDE),
          *rope = values(N * D);
    double want[N * STRIDE], turned[N * STRIDE];

    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < STRIDE; j++)
            sum += (double)x[i * STRIDE + j] * x[i * STRIDE + j];
        for (int j = 0; j < STRIDE; j++)
            want[i * STRIDE + j] = x[i * STRIDE + j] / sqrt(sum / STRIDE + 1e-6) * weight[j];
    }
    kn->rms_norm(NULL, y, x, weight, N, STRIDE, 1e-6f);
    SX_CHECK(near(y, want, N * STRIDE, 16 * FLT_EPSILON));
    SX_CHECK(guard_intact(y, N * STRIDE));

    for (int i = 0; i < N * STRIDE; i++)
        turned[i] = x[i]; /* what lies behind the heads stays */
    for (int i = 0; i < N; i++)
        for (int h = 0; h < HEADS; h++) {
            const float *in = x + i * STRIDE + h * D;
            double sum = 0, v[D];
            for (int j = 0; j < D; j++)
                sum += (double)in[j] * in[j];
            for (int j = 0; j < D; j++)
                v[j] = in[j] / sqrt(sum / D + 1e-6) * weight[j];
            for (int j = 0; j < D / 2; j++) {
                double c = rope[i * D + j], s = rope[i * D + D / 2 + j];
                turned[i * STRIDE + h * D + j] = v[j] * c - v[D / 2 + j] * s;
                turned[i * STRIDE + h * D + D / 2 + j] = v[D / 2 + j] * c + v[j] * s;
            }
        }
    kn->head_norm_rope(NULL, x, N, STRIDE, HEADS, D, weight, rope, 1e-6f);
    SX_CHECK(near(x, turned, N * STRIDE, 16 * FLT_EPSILON));

    float logits[] = {-1000.0f, -3.0f, 0.0f, 0.5f, 25.0f};
    double capped[5];
    for (int i = 0; i < 5; i++)
        capped[i] = 20.0 * tanh((double)logits[i] / 20.0);
    kn->softcap(NULL, logits, 5, 20.0f);
    SX_CHECK(near(logits, capped, 5, 8 * FLT_EPSILON));
    free(x);
    free(y);
    free(weight);
    free(rope);
}

int main(void)
{
    printf("seed %016llx\n", (unsigned long long)state);
    for (int isa = SX_ISA_C; isa <= sx_isa_detect(); isa++) {
        sx_kernels kn;
        sx_kernels_init(&kn, isa);
        int before = sx_passed;
        check_window_attention(&kn);
        check_swiglu(&kn);
        check_landmarks(&kn);
        check_topk(&kn);
        check_gather(&kn, SX_F32);
        check_gather(&kn, SX_I8);
        check_matmul(&kn);
        check_rows(&kn);
        printf("%s: %d\n", kn.isa_name, sx_passed - before);
    }
    return sx_check_end();
}
