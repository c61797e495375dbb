/* transformer.h: the model's weights, packed for this machine, and the steps that a context and a
 * question share: embedding, q/k/v, feed-forward, logits. Specification: RMSNorm eps on the
 * embedding too, to which a model with a table of words adds the part of the running word, q and k
 * normalised per head, rotary positions in window layers only, SwiGLU, tied embeddings. Weights are
 * copied out of the model files: nothing here reads them again. Read-only once open. */
#ifndef SX_TRANSFORMER_H
#define SX_TRANSFORMER_H

#include "engine/model.h"
#include "engine/tokenizer.h"
#include "engine/word.h"
#include "kernels/kernels.h"

typedef struct sx_layer {
    sx_matrix *qkv;       /* rows of q, then k, then v */
    sx_matrix *out;       /* wo */
    sx_matrix *up, *down; /* w1: gate and up rows; w2 */
    float *n1, *n2, *qs, *ks;
    int global;          /* index among the global layers, -1: a window layer */
    sx_matrix *landmark; /* global: rows of ik, then the one row of ig */
    sx_matrix *query;    /* global: iq */
    sx_matrix *late;     /* lq; NULL but in the last global layer of a model that has it */
    float gate_bias;
    float temperature; /* exp(it): ranking softmax */
} sx_layer;

typedef struct sx_transformer {
    sx_config config;
    sx_kernels kn;
    sx_layer *layers;
    sx_matrix *head; /* emb, as the output matrix */
    float *emb;      /* [vocab, d], already normalised: what a token enters with */
    float *words;    /* [word_rows, word_dim]; NULL: the model has no table of words */
    sx_matrix *wp;   /* [d, word_dim]; likewise */
    const sx_tokenizer *tokenizer; /* borrowed: how tokens are spelled */
    float *nf;
    float *read; /* [d], for reading.h; NULL: the model has none */
    float *rope; /* [rope_rows, head_dim]: cosines, sines of positions 0 .. rope_rows - 1 */
    int rope_rows;
    /* widths, in floats */
    int d, heads, kv_heads, head_dim, ffn, landmark_dim;
    int qkv_width; /* heads * head_dim + 2 * kv_heads * head_dim */
    float scale;   /* head_dim^-1/2 */
} sx_transformer;

/* tokenizer is borrowed and must outlive *out, which is the caller's. -ENOMEM, or -EBADMSG with
 * E-NONFINITE and the tensor's name. */
int sx_transformer_open(sx_transformer **out, const sx_model *model, const sx_tokenizer *tokenizer,
                        int isa, char *err, size_t errlen);
void sx_transformer_close(sx_transformer *t);

/* Zeroed room for `rows` rows of `width` floats as the products want it (sx_matmul_rows), and a
 * little more; NULL: short of memory. The caller's. */
float *sx_transformer_rows(int rows, size_t width);
/* Rope rows for positions pos .. pos + n: [n, head_dim]. */
void sx_rope_rows(const sx_transformer *t, float *rope, int pos, int n);
/* x [n, d] = what ids enter with: the embedding and, where the model has a table of words, wp times
 * the rows of the word behind each. word [n + 1]: the first is the caller's, the word in front of
 * ids, the others become those behind each. part [n, word_dim] is scratch. x and part have room for
 * sx_matmul_rows(n) rows. False: short of memory. */
bool sx_transformer_embed(const sx_transformer *t, float *x, float *part, sx_word *word,
                          const uint32_t *ids, int n);
/* h [n, d] = normalised x; qkv [n, qkv_width] from it, heads normalised, rotated in window layers.
 * rope: rows of the n positions. Buffers have room for sx_matmul_rows(n) rows. False: short of
 * memory. */
bool sx_transformer_qkv(const sx_transformer *t, int layer, float *h, float *qkv, const float *x,
                        const float *rope, int n);
/* x += wo o; x += feed-forward(x).  h [n, d] and ffn [n, 3 * ffn] are scratch; o [n, heads *
 * head_dim]. */
bool sx_transformer_mix(const sx_transformer *t, int layer, float *x, const float *o, float *h,
                        float *ffn, int n);
/* logits [vocab] of one row x [d]; h [d] scratch. Softcapped where the model says so. */
bool sx_transformer_logits(const sx_transformer *t, float *logits, float *h, const float *x);

#endif
