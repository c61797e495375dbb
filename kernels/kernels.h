/* kernels.h: the arithmetic, one operation a file, behind one dispatch table.
 *
 * An operation is declared once, as a macro, and has one name in every version: cpu/<op>.c is the
 * reference in plain C that every other version answers to, cpu/<op>_avx2.c and cpu/<op>_avx512.c
 * are faster, cuda/<op>.cu runs on the GPU. The table starts as the reference and is overwritten
 * upwards by what the machine has, so a missing version is no hole. No knowledge of models, files
 * or git.
 *
 * Types: `void *` operands hold numbers of the table's `type`, float32 on the CPU and bfloat16 on
 * the GPU; where a type is named, it is that type in every version. Sums are float32 everywhere.
 * Shapes: row-major; [n, d] is n rows of d; a `stride` is the distance of two rows in elements.
 * Memory: every pointer is memory of the table's device (alloc, upload, download), except where
 * an operand is called a host's. Kernels allocate nothing; `work` is the caller's, of the size
 * the operation names, its content nobody's between calls.
 * Streams: kernels are queued in the order of the calls and return nothing; a failed launch sticks
 * to the stream and `sync` reports it. CPU kernels are done when they return; their stream is NULL.
 */
#ifndef SX_KERNELS_H
#define SX_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sx_stream sx_stream;

/* What a number is stored as. */
typedef enum sx_type { SX_F32, SX_BF16, SX_I8, SX_F8 } sx_type; /* SX_F8: e4m3 */

/* ---- rows ---- */

/* y[i, :] = x[i, :] / sqrt(mean(x[i, :]^2) + eps) * weight.  x, y [n, d], may be the same; weight
 * [d], or NULL for ones.  (Zhang and Sennrich 2019, RMSNorm.) */
#define SX_DECL_RMS_NORM(name)                                                                     \
    void name(sx_stream *stream, void *y, const void *x, const float *weight, int n, int d,        \
              float eps)

/* y[i, :] = RMSNorm of row ids[i] of table, without a weight.  table [rows, d], y [n, d]. The
 * caller has checked 0 <= ids[i] < rows. */
#define SX_DECL_EMBEDDING(name)                                                                    \
    void name(sx_stream *stream, void *y, const void *table, const int32_t *ids, int n, int d,     \
              float eps)

/* Each of `heads` vectors of d in a row of x is RMS-normalised, scaled by weight [d] and, where
 * rope is not NULL, rotated: the pair (x[i], x[i + d/2]) by the angle of rope.  x [n, stride], in
 * place; rope [n, d]: d/2 cosines, then d/2 sines.  (Su et al. 2021, RoFormer, in the half-split
 * order.) */
#define SX_DECL_HEAD_NORM_ROPE(name)                                                               \
    void name(sx_stream *stream, void *x, int n, int stride, int heads, int d,                     \
              const float *weight, const float *rope, float eps)

/* y[i, j] = silu(ab[i, j]) * ab[i, f + j], silu(a) = a / (1 + exp(-a)).  ab [n, 2 f], y [n, f].
 * (Shazeer 2020, GLU variants.) */
#define SX_DECL_SWIGLU(name) void name(sx_stream *stream, void *y, const void *ab, int n, int f)

/* x[i] = cap * tanh(x[i] / cap).  cap > 0. */
#define SX_DECL_SOFTCAP(name) void name(sx_stream *stream, float *x, int n, float cap)

/* best[i] = the index of the largest of x[i, :], ties to the lower; value[i] = cap * tanh(that /
 * cap). x [n, d] is only read: the softcap is monotone, so it never changes the order. NaN never
 * wins; a row of nothing else gives -1 and NaN. */
#define SX_DECL_SOFTCAP_ARGMAX(name)                                                               \
    void name(sx_stream *stream, int32_t *best, float *value, const float *x, int n, int d,        \
              float cap)

/* ---- local attention ---- */

/* Causal attention inside a sliding window, over independent segments packed one behind the other:
 * token i sees j of its own segment with i - window < j <= i.  q [n, stride] holds heads * d, k and
 * v [n, stride] hold kv_heads * d; query head h reads kv head h / (heads / kv_heads); o [n, heads *
 * d]. segment_start [n_segments + 1], from 0 to n.  work: sx_window_attention_work() bytes. */
#define SX_DECL_WINDOW_ATTENTION(name)                                                             \
    void name(sx_stream *stream, void *o, const void *q, const void *k, const void *v, int stride, \
              const int32_t *segment_start, int n_segments, int n, int heads, int kv_heads, int d, \
              int window, float scale, void *work)
/* longest: the longest segment. Enough for every version. */
size_t sx_window_attention_work(int n, int n_segments, int longest, int d, int window);

/* ---- landmarks ---- */

/* landmark[b, :] = unit vector along sum over t in block b of exp(clamp(gate[t] + bias, -8, 8)) *
 * key[t, :]. key [n, stride] (d used), gate[t * stride]; block_start [n_blocks + 1]; landmark
 * [n_blocks, d]. A zero sum gives a zero landmark. */
#define SX_DECL_LANDMARK_POOL(name)                                                                \
    void name(sx_stream *stream, void *landmark, const void *key, const void *gate, int stride,    \
              float bias, const int32_t *block_start, int n_blocks, int d)

/* score[i, b] = dot(q[i, :], landmark[b, :]).  q [n, d], landmark [n_blocks, d], score [n,
 * n_blocks]: for few blocks, or where every score is wanted. */
#define SX_DECL_LANDMARK_SCORE(name)                                                               \
    void name(sx_stream *stream, float *score, const void *q, const void *landmark, int n,         \
              int n_blocks, int d)

/* Scores as above, and the k best for each query, the scores themselves never written out.
 * best_score, best_block [n, k], best first, ties to the lower index; unused places hold -INFINITY
 * and -1, and so they must before the first of several calls over parts of one context: blocks
 * base .. base + n_blocks are merged into what is there, parts in ascending order.  landmark
 * [n_blocks, d] of type F32, BF16 or I8; I8 has landmark_scale [n_blocks], x = scale * int8, else
 * it is NULL.  1 <= k <= SX_TOPK_MAX, n_blocks <= 2^27; the GPU takes no F32 landmarks and d a
 * multiple of 16.  work: sx_landmark_topk_work() bytes.  The
 * result is exact: equal to sorting all scores. NaN never enters. */
#define SX_DECL_LANDMARK_TOPK(name)                                                                \
    void name(sx_stream *stream, float *best_score, int32_t *best_block, int k, const void *q,     \
              int n, const void *landmark, sx_type type, const float *landmark_scale,              \
              int n_blocks, int32_t base, int d, void *work)
#define SX_TOPK_MAX 4096
/* Enough for every version. */
size_t sx_landmark_topk_work(int n, int n_blocks, int k, int d);

/* ---- the kept context ---- */

/* How k and v of a token in one layer are kept: one row of sx_kv_row_bytes().
 * F32, BF16: k[kv_heads * d], v[kv_heads * d].
 * I8, F8:    the same in one byte each, then one float32 scale for each head of k, then of v: x =
 *            scale * byte. */
static inline size_t sx_kv_row_bytes(sx_type format, int kv_heads, int d)
{
    size_t n = 2 * (size_t)kv_heads * (size_t)d;
    return format == SX_F32    ? n * 4
           : format == SX_BF16 ? n * 2
                               : n + 2 * (size_t)kv_heads * sizeof(float);
}

/* k, v [n, stride] -> rows.  I8: scale = max |x| / 127 of the head, F8: max |x| / 448; round to
 * nearest even; a zero head has scale 0. */
#define SX_DECL_KV_PACK(name)                                                                      \
    void name(sx_stream *stream, void *rows, sx_type format, const void *k, const void *v, int n,  \
              int stride, int kv_heads, int d)
/* And back: rows -> k, v [n, stride]. */
#define SX_DECL_KV_UNPACK(name)                                                                    \
    void name(sx_stream *stream, void *k, void *v, const void *rows, sx_type format, int n,        \
              int stride, int kv_heads, int d)

/* Attention of n question tokens, each to its own causal tokens and to runs of kept rows (its
 * selected blocks) under ONE softmax.  Token i is row n_before + i of the question: it sees
 * own_k, own_v [n_before + n, own_stride] up to and including that row.  Its runs are
 * first_run[i] .. first_run[i + 1] (CSR, first_run [n + 1]); run r is run_rows[r] >= 0 rows from
 * run[r].  q [n, q_stride] holds heads * d; o [n, heads * d].  mass[r]: the share of the attention
 * run r received, mean over heads.  n_runs = first_run[n].  work: sx_gather_attention_work()
 * bytes. The GPU takes d a multiple of 16 up to 128, up to 16 heads a kv head, no F32 rows, rows
 * and strides at multiples of 8 numbers. */
#define SX_DECL_GATHER_ATTENTION(name)                                                             \
    void name(sx_stream *stream, void *o, float *mass, const void *q, int q_stride, int n,         \
              const void *own_k, const void *own_v, int n_before, int own_stride,                  \
              const void *const *run, const int32_t *run_rows, const int32_t *first_run,           \
              int n_runs, sx_type format, int heads, int kv_heads, int d, float scale, void *work)
/* most_rows: the most rows that one token sees, own ones included. Enough for every version. */
size_t sx_gather_attention_work(int n, int n_runs, int64_t most_rows, int heads, int kv_heads,
                                int d);

/* ---- Sparse-X attention over one long sequence ---- */

enum { SX_BLOCK = 64, SX_QUERY_BLOCK = 128, SX_BLOCKS_MAX = 128, SX_ANTIDIAGONAL = 16 };

/* How blocks of keys are ranked for a query block. Only queries up to the first row of the query
 * block are looked at, so that nobody sees a selection made with later tokens. Score of a block =
 * the largest over the query heads of the group of
 * MEAN:         scale * dot(q of the first row, mean of the block's keys);
 * ANTIDIAGONAL: the largest over the block's four groups of 16 keys of scale / 16 * sum over t < 16
 *               of dot(q[first row - t], k[16 g + t]): rows before the sequence count as zeros.
 *               (After Xu et al. 2025, XAttention.) */
typedef enum sx_block_score { SX_SCORE_MEAN, SX_SCORE_ANTIDIAGONAL } sx_block_score;

/* The Sparse-X operator. Query row i of a call stands at position p = start + i and sees, under one
 * softmax and each key once:
 *   local:    keys j with lo(p) <= j <= p, lo(p) = min(p - window + 1, first row of p's query
 *             block): at least its own query block; weight gate[0];
 *   far:      keys j < lo(p) with j % stride == 0, if stride > 0; weight gate[1];
 *             or, if landmarks: for each block that is not selected and lies wholly before lo(p),
 *             ONE key and value, the means of the block's; weight gate[1];
 *   selected: keys j < lo(p) of the blocks of its query block's selection that are not strided
 *             ones; weight gate[2].
 * The softmax is over log(weight) + scale * dot(q, k). A window of at least start + n is dense
 * attention. Query blocks are SX_QUERY_BLOCK positions, blocks SX_BLOCK, both counted from the
 * sequence's start, so a sequence can be cut into calls anywhere and gives the same rows. */
typedef struct sx_sparse {
    int heads, kv_heads, d;
    int64_t start; /* the position of the first query row */
    int n;         /* query rows; keys and values are those of positions 0 .. start + n */
    int window;    /* >= 1 */
    int dense;     /* query blocks that begin before this position see every key before them as a
                      local one: no selection there */
    int stride;    /* 0: no strided keys; else a divisor of SX_BLOCK or a multiple of it */
    bool landmarks;
    int k;     /* blocks a query block selects, 0 .. SX_BLOCKS_MAX */
    bool sink; /* the first block is always among them */
    sx_block_score score;
    float scale;
    float gate[3];
} sx_sparse;

/* Where `dense` pays: up to about 1.6 times the keys that a row sees otherwise, seeing all of them
 * costs no more than selecting (measured on one H200, 28/4 heads of 128). A sequence that ends
 * before it needs no means and no selection. */
int sx_sparse_dense_below(const sx_sparse *shape);

/* mean[b, :] = mean over the block's rows of x, blocks first .. first + n of SX_BLOCK rows each,
 * for rows 0 .. of x [.., stride] (width used); mean [.., width]. Only whole blocks. */
#define SX_DECL_BLOCK_MEAN(name)                                                                   \
    void name(sx_stream *stream, void *mean, const void *x, int64_t first, int n, int stride,      \
              int width)

/* selection[h, b, :] for every kv head h and every query block b whose first row is a row of this
 * call: up to k blocks in ascending order, then -1; other rows of selection are left alone.
 * Candidates are the blocks that hold a key before lo() of the query block's last row. Ties go to
 * the lower block.  q [n, q_stride], row i at position start + i; ANTIDIAGONAL also reads the 15
 * rows before row 0 as far as positions exist; k [start + n, kv_stride]; mean_k [blocks, kv_heads
 * * d], for MEAN.  selection [kv_heads, selection_stride, k], selection_stride >= the number of
 * query blocks.  work: sx_sparse_select_work() bytes. */
#define SX_DECL_SPARSE_SELECT(name)                                                                \
    void name(sx_stream *stream, int32_t *selection, int selection_stride, const sx_sparse *shape, \
              const void *q, int q_stride, const void *k, int kv_stride, const void *mean_k,       \
              void *work)
size_t sx_sparse_select_work(const sx_sparse *shape);

/* The attention itself.  q [n, q_stride], o [n, heads * d], lse [heads, n] or NULL: natural
 * logarithm of the softmax's denominator (the sum of the weights as they are multiplied: a GPU
 * rounds them to bfloat16); k, v [start + n, kv_stride]; mean_k, mean_v [blocks,
 * kv_heads * d], for landmarks; selection as above, NULL where k = 0.  shape is a host's. */
#define SX_DECL_SPARSE_ATTENTION(name)                                                             \
    void name(sx_stream *stream, void *o, float *lse, const sx_sparse *shape, const void *q,       \
              int q_stride, const void *k, const void *v, int kv_stride, const void *mean_k,       \
              const void *mean_v, const int32_t *selection, int selection_stride)

/* One softmax from partial ones: o[i, :] = sum over p of exp(lse[p, i] - total) part[p, i, :],
 * total_lse[i] = log(sum over p of exp(lse[p, i])).  part [parts, n, d], lse [parts, n], o [n, d],
 * total_lse [n] or NULL. What a part of -INFINITY holds does not count; a row with no other gives 0
 * and -INFINITY. */
#define SX_DECL_LSE_MERGE(name)                                                                    \
    void name(sx_stream *stream, void *o, float *total_lse, const float *part, const float *lse,   \
              int parts, int n, int d)

/* ---- dense products ---- */

/* A weight matrix [rows, cols] in the layout its version multiplies fastest. */
typedef struct sx_matrix sx_matrix;

/* How many rows x and y must have room for so that n rows can be multiplied: versions may work in
 * tiles. What lies behind n is read and written; it is nobody's. */
int sx_matmul_rows(int n);

/* NULL when memory is short. w [rows, cols] is a host's, and copied. */
#define SX_DECL_MATRIX_NEW(name)  sx_matrix *name(const float *w, int rows, int cols)
#define SX_DECL_MATRIX_FREE(name) void name(sx_matrix *matrix)
/* y[i, :] = w x[i, :], or y[i, :] += w x[i, :].  x [n, cols], y [n, rows], rows padded as above.
 * From several threads at once; false when memory is short. */
#define SX_DECL_MATMUL(name)                                                                       \
    bool name(sx_stream *stream, void *y, const void *x, const sx_matrix *w, int n, bool accumulate)
/* The same with y in float32: logits. */
#define SX_DECL_MATMUL_F32(name)                                                                   \
    bool name(sx_stream *stream, float *y, const void *x, const sx_matrix *w, int n)
/* How many threads the calling thread's products use from now on. */
#define SX_DECL_MATMUL_THREADS(name) void name(int threads)

/* ---- memory ---- */

/* A queue of kernels on a device. NULL and a sentence in err[] when there is none; on the CPU NULL
 * is the stream and err[] stays empty. */
#define SX_DECL_STREAM_NEW(name)  sx_stream *name(int device, char *err, size_t errlen)
#define SX_DECL_STREAM_FREE(name) void name(sx_stream *stream)
/* NULL when memory is short, or n is 0. Aligned to 256 bytes. */
#define SX_DECL_ALLOC(name) void *name(sx_stream *stream, size_t n)
#define SX_DECL_FREE(name)  void name(sx_stream *stream, void *p)
/* host -> device, device -> host: queued; the host's memory must live until sync. Where both are
 * the device's it is a copy there. */
#define SX_DECL_UPLOAD(name)   void name(sx_stream *stream, void *to, const void *host, size_t n)
#define SX_DECL_DOWNLOAD(name) void name(sx_stream *stream, void *host, const void *from, size_t n)
/* Waits until the stream's kernels are done: 0, or a negative errno and a sentence in err[] if one
 * failed since the stream was made. */
#define SX_DECL_SYNC(name) int name(sx_stream *stream, char *err, size_t errlen)
/* ---- the table ---- */

/* Every operation: its declaration above, its name. */
#define SX_OPERATIONS(X)                                                                           \
    X(RMS_NORM, rms_norm)                                                                          \
    X(EMBEDDING, embedding)                                                                        \
    X(HEAD_NORM_ROPE, head_norm_rope)                                                              \
    X(SWIGLU, swiglu)                                                                              \
    X(SOFTCAP, softcap)                                                                            \
    X(SOFTCAP_ARGMAX, softcap_argmax)                                                              \
    X(WINDOW_ATTENTION, window_attention)                                                          \
    X(LANDMARK_POOL, landmark_pool)                                                                \
    X(LANDMARK_SCORE, landmark_score)                                                              \
    X(LANDMARK_TOPK, landmark_topk)                                                                \
    X(KV_PACK, kv_pack)                                                                            \
    X(KV_UNPACK, kv_unpack)                                                                        \
    X(GATHER_ATTENTION, gather_attention)                                                          \
    X(BLOCK_MEAN, block_mean)                                                                      \
    X(SPARSE_SELECT, sparse_select)                                                                \
    X(SPARSE_ATTENTION, sparse_attention)                                                          \
    X(LSE_MERGE, lse_merge)                                                                        \
    X(MATRIX_NEW, matrix_new)                                                                      \
    X(MATRIX_FREE, matrix_free)                                                                    \
    X(MATMUL, matmul)                                                                              \
    X(MATMUL_F32, matmul_f32)                                                                      \
    X(MATMUL_THREADS, matmul_threads)                                                              \
    X(STREAM_NEW, stream_new)                                                                      \
    X(STREAM_FREE, stream_free)                                                                    \
    X(ALLOC, alloc)                                                                                \
    X(FREE, free)                                                                                  \
    X(UPLOAD, upload)                                                                              \
    X(DOWNLOAD, download)                                                                          \
    X(SYNC, sync)

enum { SX_ISA_C = 0, SX_ISA_AVX2 = 1, SX_ISA_AVX512 = 2, SX_ISA_CUDA = 16 };

typedef struct sx_kernels {
    int isa;
    const char *isa_name;
    sx_type type; /* of `void *` operands */
#define SX_MEMBER(NAME, name) SX_DECL_##NAME((*name));
    SX_OPERATIONS(SX_MEMBER)
#undef SX_MEMBER
} sx_kernels;

/* The best level this CPU has, lowered by the environment's SPARSEX_ISA=c|avx2|avx512. */
int sx_isa_detect(void);
/* The table for one level: the reference, overwritten by every version at or below `isa`. */
void sx_kernels_init(sx_kernels *kernels, int isa);
/* The table of a GPU: loads libsparsex-cuda.so ($SPARSEX_CUDA, else from the build tree, else from
 * where it was installed) and asks it for `device`. 0; or a negative errno and one sentence in
 * err[] of what is missing: the library, a GPU, a driver that is new enough. With 0 err[] is empty,
 * or says what of the table will not work: without cuBLASLt matrix_new gives NULL. The
 * environment's SPARSEX_ISA=sm80 keeps to what every GPU since sm_80 has. */
int sx_kernels_init_cuda(sx_kernels *kernels, int device, char *err, size_t errlen);

#define SX_REFERENCE(NAME, name) SX_DECL_##NAME(sx_##name##_c);
SX_OPERATIONS(SX_REFERENCE)
#undef SX_REFERENCE

#ifdef SX_HAVE_X86
SX_DECL_WINDOW_ATTENTION(sx_window_attention_avx2);
SX_DECL_WINDOW_ATTENTION(sx_window_attention_avx512);
SX_DECL_SWIGLU(sx_swiglu_avx2);
SX_DECL_SWIGLU(sx_swiglu_avx512);
SX_DECL_LANDMARK_SCORE(sx_landmark_score_avx2);
SX_DECL_LANDMARK_SCORE(sx_landmark_score_avx512);
SX_DECL_LANDMARK_TOPK(sx_landmark_topk_avx2);
SX_DECL_LANDMARK_TOPK(sx_landmark_topk_avx512);
SX_DECL_GATHER_ATTENTION(sx_gather_attention_avx2);
SX_DECL_GATHER_ATTENTION(sx_gather_attention_avx512);
#endif
#ifdef SX_HAVE_DNNL
SX_DECL_MATRIX_NEW(sx_matrix_new_dnnl);
SX_DECL_MATRIX_FREE(sx_matrix_free_dnnl);
SX_DECL_MATMUL(sx_matmul_dnnl);
SX_DECL_MATMUL_F32(sx_matmul_f32_dnnl);
SX_DECL_MATMUL_THREADS(sx_matmul_threads_dnnl);
#endif

#ifdef __cplusplus
}
#endif
#endif
