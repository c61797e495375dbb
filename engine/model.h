/* model.h: config.json + *.safetensors -> checked shapes and tensors. All sizes come from here;
 * nothing behind this file trusts a number from a model file. Read-only once open. */
#ifndef SX_MODEL_H
#define SX_MODEL_H

#include "engine/safetensors.h"

#define SX_MAX_LAYERS 512
#define SX_EPS_MAX    1e-2f

typedef struct sx_config { /* of model_type "sparsex"; names as in config.json */
    uint32_t vocab_size, hidden_size, num_hidden_layers;
    uint32_t num_attention_heads, num_key_value_heads, head_dim;
    uint32_t intermediate_size, sliding_window, landmark_dim;
    uint32_t segment_tokens, block_tokens, top_k_blocks;
    uint32_t n_global; /* layers with global attention, ascending */
    uint32_t global_layers[SX_MAX_LAYERS];
    float rope_theta, rms_norm_eps;
    float logit_softcap; /* 0: none */
    /* What the score of each global layer counts in the ranking (rank_weights; 1 where it is
     * missing), and the score below which nothing answers (null_scores; none where missing). */
    float rank_weight[SX_MAX_LAYERS], null_score[SX_MAX_LAYERS];
    float lexical_weight; /* what words count beside landmarks in the ranking; 0 where missing */
    bool has_null_scores;
    uint32_t late_tokens; /* of a question, for late_interaction.h; 0: the model has none */
    uint32_t read_tokens; /* a question has at most, for reading.h; 0: the model has none */
    /* What a block is read with: so many tokens of its path, so many blocks at most, itself and one
     * of the definition around its own among them (sx_passage). 0: nothing beside itself. */
    uint32_t read_path, read_blocks;
    /* What the passage that comes first says, read alone, counts read_null_weight in whether
     * anything answers at all, where it says more or less than read_null_score. 0: nothing. */
    float read_null_score, read_null_weight;
    /* Of the table of words (word.h), the part of a token that is its word's; both 0: the model has
     * none. word_rows is a power of two. */
    uint32_t word_rows, word_dim;
    uint32_t token_file, token_question, token_answer, token_eos, token_pad;
} sx_config;

typedef struct sx_layer_tensors {  /* required shapes; d hidden, H heads, V kv heads, h head_dim, f
                                      ffn */
    const sx_tensor *n1, *n2;      /* [d] */
    const sx_tensor *wq;           /* [H*h, d] */
    const sx_tensor *wk, *wv;      /* [V*h, d] */
    const sx_tensor *wo;           /* [d, H*h] */
    const sx_tensor *w1;           /* [2*f, d]: gate rows, then up rows */
    const sx_tensor *w2;           /* [d, f] */
    const sx_tensor *qs, *ks;      /* [h] */
    const sx_tensor *iq, *ik;      /* [landmark_dim, d]; NULL where the layer is not global */
    const sx_tensor *ig, *ig_bias; /* [1, d], [1]; likewise */
    const sx_tensor *it;           /* scalar; likewise; log of the ranking temperature */
    const sx_tensor *lq; /* [H*h, d]; the last global layer's, where late_tokens is not 0 */
} sx_layer_tensors;

typedef struct sx_model {
    sx_config config;
    sx_safetensors *weights;
    const sx_tensor *emb;     /* [vocab, d] */
    const sx_tensor *nf;      /* [d] */
    const sx_tensor *read;    /* [d]; NULL where read_tokens is 0 */
    const sx_tensor *words;   /* [word_rows, word_dim]; NULL where word_rows is 0 */
    const sx_tensor *wp;      /* [d, word_dim]; likewise */
    sx_layer_tensors *layers; /* [num_hidden_layers] */
    char fingerprint[33];     /* hex XXH3-128 over config, weights files, tokenizer */
    char name[64];
} sx_model;

/* Opens and checks everything: E-MODEL-..., E-HPARAM (names the key and its legal range), E-ST-...
 * (which tensor), E-NONFINITE (which tensor), all -EBADMSG. tokenizer.json is only fingerprinted
 * here: see sx_tokenizer_open(). *out is the caller's, for sx_model_close(). */
int sx_model_open(sx_model **out, const char *dir, char *err, size_t errlen);
void sx_model_close(sx_model *model);

#endif
