/* kernels.h: the arithmetic, one operation a file, behind one dispatch table.
 *
 * An operation is declared once, as a macro, and has one name in every version: cpu/<op>.c is the
 * reference in plain C that every other version answers to, cpu/<op>_avx2.c and cpu/<op>_avx512.c
 * are faster. The table starts as the reference and is overwritten upwards by what the machine has,
 * so a missing version is no hole. No knowledge of models, files or git.
 *
 * Shapes: row-major; [n, d] is n rows of d; a `stride` is the distance of two rows in elements.
 * Kernels allocate nothing and return nothing; `work` is the caller's, of the size the operation
 * names. CPU kernels are done when they return, and `stream` is not looked at. */
#ifndef SX_KERNELS_H
#define SX_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_stream sx_stream;

/* y[i, :] = x[i, :] / sqrt(mean(x[i, :]^2) + eps) * weight.  x, y [n, d], may be the same; weight
 * [d], or NULL for ones.  (Zhang and Sennrich 2019, RMSNorm.) */
#define SX_DECL_RMS_NORM(name)                                                                     \
    void name(sx_stream *stream, float *y, const float *x, const float *weight, int n, int d,      \
              float eps)
typedef SX_DECL_RMS_NORM((*sx_rms_norm_fn));

/* Each of `heads` vectors of d in a row of x is RMS-normalised, scaled by weight [d] and, where
 * rope is not NULL, rotated: the pair (x[i], x[i + d/2]) by the angle of rope.  x [n, stride], in
 * place; rope [n, d]: d/2 cosines, then d/2 sines.  (Su et al. 2021, RoFormer, in the half-split
 * order.) */
#define SX_DECL_HEAD_NORM_ROPE(name)                                                               \
    void name(sx_stream *stream, float *x, int n, int stride, int heads, int d,                    \
              const float *weight, const float *rope, float eps)
typedef SX_DECL_HEAD_NORM_ROPE((*sx_head_norm_rope_fn));

/* Causal attention inside a sliding window, over independent segments packed one behind the other:
 * token i sees j of its own segment with i - window < j <= i.  q [n, stride] holds heads * d, k and
 * v [n, stride] hold kv_heads * d; query head h reads kv head h / (heads / kv_heads); o [n, heads *
 * d]. segment_start [n_segments + 1].  work: sx_window_attention_work() floats. */
#define SX_DECL_WINDOW_ATTENTION(name)                                                             \
    void name(sx_stream *stream, float *o, const float *q, const float *k, const float *v,         \
              int stride, const int32_t *segment_start, int n_segments, int heads, int kv_heads,   \
              int d, int window, float scale, float *work)
typedef SX_DECL_WINDOW_ATTENTION((*sx_window_attention_fn));
/* longest: the longest segment. Enough for every version. */
size_t sx_window_attention_work(int longest, int d, int window);

/* y[i, j] = silu(ab[i, j]) * ab[i, f + j], silu(a) = a / (1 + exp(-a)).  ab [n, 2 f], y [n, f].
 * (Shazeer 2020, GLU variants.) */
#define SX_DECL_SWIGLU(name) void name(sx_stream *stream, float *y, const float *ab, int n, int f)
typedef SX_DECL_SWIGLU((*sx_swiglu_fn));

/* landmark[b, :] = unit vector along sum over t in block b of exp(clamp(gate[t] + bias, -8, 8)) *
 * key[t, :]. key [n, stride] (d used), gate[t * stride]; block_start [n_blocks + 1]; landmark
 * [n_blocks, d]. A zero sum gives a zero landmark. */
#define SX_DECL_LANDMARK_POOL(name)                                                                \
    void name(sx_stream *stream, float *landmark, const float *key, const float *gate, int stride, \
              float bias, const int32_t *block_start, int n_blocks, int d)
typedef SX_DECL_LANDMARK_POOL((*sx_landmark_pool_fn));

/* score[i, b] = dot(q[i, :], landmark[b, :]).  q [n, d], landmark [n_blocks, d], score [n,
 * n_blocks]. */
#define SX_DECL_LANDMARK_SCORE(name)                                                               \
    void name(sx_stream *stream, float *score, const float *q, const float *landmark, int n,       \
              int n_blocks, int d)
typedef SX_DECL_LANDMARK_SCORE((*sx_landmark_score_fn));

/* Merges scores of blocks base .. base + n_blocks into the k best so far.  best_score, best_block
 * [k], best first, ties to the lower index; unused places hold -INFINITY and -1. Blocks must come
 * in ascending order over the calls. */
#define SX_DECL_TOPK_MERGE(name)                                                                   \
    void name(sx_stream *stream, float *best_score, int32_t *best_block, int k,                    \
              const float *score, int n_blocks, int32_t base)
typedef SX_DECL_TOPK_MERGE((*sx_topk_merge_fn));

/* How k and v of a token in one layer are kept: one row of sx_kv_row_bytes().
 * F32: k[kv_heads * d], v[kv_heads * d].
 * I8:  the same as int8, then one float32 scale for each head of k, then of v: x = scale * int8. */
typedef enum sx_kv_format { SX_KV_F32, SX_KV_I8 } sx_kv_format;
static inline size_t sx_kv_row_bytes(sx_kv_format format, int kv_heads, int d)
{
    size_t n = 2 * (size_t)kv_heads * (size_t)d;
    return format == SX_KV_F32 ? n * sizeof(float) : n + 2 * (size_t)kv_heads * sizeof(float);
}

/* k, v [n, stride] -> rows.  I8: scale = max |x| / 127 of the head, round to nearest even. */
#define SX_DECL_KV_PACK(name)                                                                      \
    void name(sx_stream *stream, void *rows, sx_kv_format format, const float *k, const float *v,  \
              int n, int stride, int kv_heads, int d)
typedef SX_DECL_KV_PACK((*sx_kv_pack_fn));

/* One token's attention to its own causal tokens and to n_runs runs of kept rows (its selected
 * blocks) under ONE softmax.  q, o [heads * d]; own_k, own_v [n_own, own_stride]; run j is
 * run_rows[j] rows from run[j], each run_rows[j] >= 0.  mass[j]: the share of the attention run j
 * received, mean over heads. work: n_own + sum of run_rows floats. n_own >= 1. */
#define SX_DECL_GATHER_ATTENTION(name)                                                             \
    void name(sx_stream *stream, float *o, float *mass, const float *q, const float *own_k,        \
              const float *own_v, int n_own, int own_stride, const void *const *run,               \
              const int32_t *run_rows, int n_runs, sx_kv_format format, int heads, int kv_heads,   \
              int d, float scale, float *work)
typedef SX_DECL_GATHER_ATTENTION((*sx_gather_attention_fn));

/* x[i] = cap * tanh(x[i] / cap).  cap > 0. */
#define SX_DECL_SOFTCAP(name) void name(sx_stream *stream, float *x, int n, float cap)
typedef SX_DECL_SOFTCAP((*sx_softcap_fn));

/* ---- dense products
 * ------------------------------------------------------------------------------ */

/* A weight matrix [rows, cols] in the layout its version multiplies fastest. */
typedef struct sx_matrix sx_matrix;

/* How many rows x and y must have room for so that n rows can be multiplied: versions may work in
 * tiles. What lies behind n is read and written; it is nobody's. */
int sx_matmul_rows(int n);

/* NULL when memory is short. w [rows, cols] is copied. */
#define SX_DECL_MATRIX_NEW(name) sx_matrix *name(const float *w, int rows, int cols)
typedef SX_DECL_MATRIX_NEW((*sx_matrix_new_fn));
#define SX_DECL_MATRIX_FREE(name) void name(sx_matrix *matrix)
typedef SX_DECL_MATRIX_FREE((*sx_matrix_free_fn));
/* y[i, :] = w x[i, :], or y[i, :] += w x[i, :].  x [n, cols], y [n, rows], rows padded as above.
 * From several threads at once; false when memory is short. */
#define SX_DECL_MATMUL(name)                                                                       \
    bool name(sx_stream *stream, float *y, const float *x, const sx_matrix *w, int n,              \
              bool accumulate)
typedef SX_DECL_MATMUL((*sx_matmul_fn));
/* How many threads the calling thread's products use from now on. */
#define SX_DECL_MATMUL_THREADS(name) void name(int threads)
typedef SX_DECL_MATMUL_THREADS((*sx_matmul_threads_fn));

/* ---- the table
 * ------------------------------------------------------------------------------------- */

enum { SX_ISA_C = 0, SX_ISA_AVX2 = 1, SX_ISA_AVX512 = 2 };

typedef struct sx_kernels {
    int isa;
    const char *isa_name;
    sx_rms_norm_fn rms_norm;
    sx_head_norm_rope_fn head_norm_rope;
    sx_window_attention_fn window_attention;
    sx_swiglu_fn swiglu;
    sx_landmark_pool_fn landmark_pool;
    sx_landmark_score_fn landmark_score;
    sx_topk_merge_fn topk_merge;
    sx_kv_pack_fn kv_pack;
    sx_gather_attention_fn gather_attention;
    sx_softcap_fn softcap;
    sx_matrix_new_fn matrix_new;
    sx_matrix_free_fn matrix_free;
    sx_matmul_fn matmul;
    sx_matmul_threads_fn matmul_threads;
} sx_kernels;

/* The best level this CPU has, lowered by the environment's SPARSEX_ISA=c|avx2|avx512. */
int sx_isa_detect(void);
/* The table for one level: the reference, overwritten by every version at or below `isa`. */
void sx_kernels_init(sx_kernels *kernels, int isa);

SX_DECL_RMS_NORM(sx_rms_norm_c);
SX_DECL_HEAD_NORM_ROPE(sx_head_norm_rope_c);
SX_DECL_WINDOW_ATTENTION(sx_window_attention_c);
SX_DECL_SWIGLU(sx_swiglu_c);
SX_DECL_LANDMARK_POOL(sx_landmark_pool_c);
SX_DECL_LANDMARK_SCORE(sx_landmark_score_c);
SX_DECL_TOPK_MERGE(sx_topk_merge_c);
SX_DECL_KV_PACK(sx_kv_pack_c);
SX_DECL_GATHER_ATTENTION(sx_gather_attention_c);
SX_DECL_SOFTCAP(sx_softcap_c);
SX_DECL_MATRIX_NEW(sx_matrix_new_c);
SX_DECL_MATRIX_FREE(sx_matrix_free_c);
SX_DECL_MATMUL(sx_matmul_c);
SX_DECL_MATMUL_THREADS(sx_matmul_threads_c);

#ifdef SX_HAVE_X86
SX_DECL_WINDOW_ATTENTION(sx_window_attention_avx2);
SX_DECL_WINDOW_ATTENTION(sx_window_attention_avx512);
SX_DECL_SWIGLU(sx_swiglu_avx2);
SX_DECL_SWIGLU(sx_swiglu_avx512);
SX_DECL_LANDMARK_SCORE(sx_landmark_score_avx2);
SX_DECL_LANDMARK_SCORE(sx_landmark_score_avx512);
#endif
#ifdef SX_HAVE_DNNL
SX_DECL_MATRIX_NEW(sx_matrix_new_dnnl);
SX_DECL_MATRIX_FREE(sx_matrix_free_dnnl);
SX_DECL_MATMUL(sx_matmul_dnnl);
SX_DECL_MATMUL_THREADS(sx_matmul_threads_dnnl);
#endif

#endif
