/* transformer.c: packed weights and the steps that a context and a question share. */
#include "engine/transformer.h"
#include "engine/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(char *err, size_t errlen)
{
    return sx_fail(
        err, errlen, -ENOMEM,
        "E-MEMORY: not enough memory for the model's weights; nothing was changed; free memory or "
        "choose a smaller model");
}

/* One or more tensors, one under the other, as float32. NULL and err on failure; the caller's. */
static float *rows_of(const sx_tensor *const *tensors, const int *rows, int n, int cols, int *code,
                      char *err, size_t errlen)
{
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += (size_t)rows[i] * (size_t)cols;
    float *out = malloc(total * sizeof(float)), *at = out;
    if (!out) {
        *code = no_memory(err, errlen);
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        size_t count = (size_t)rows[i] * (size_t)cols;
        sx_tensor_rows(tensors[i], 0, (uint64_t)rows[i], at);
        for (size_t j = 0; j < count; j++)
            if (!isfinite(at[j])) {
                *code = sx_fail(
                    err, errlen, -EBADMSG,
                    "E-NONFINITE: tensor %s holds a value that is no finite number; nothing was "
                    "loaded; get the model again",
                    tensors[i]->name);
                free(out);
                return NULL;
            }
        at += count;
    }
    return out;
}

static float *vector_of(const sx_tensor *tensor, int n, int *code, char *err, size_t errlen)
{
    return rows_of(&tensor, &(int){1}, 1, n, code, err, errlen);
}

static sx_matrix *matrix_of(const sx_kernels *kn, const sx_tensor *const *tensors, const int *rows,
                            int n, int cols, int *code, char *err, size_t errlen)
{
    float *w = rows_of(tensors, rows, n, cols, code, err, errlen);
    sx_matrix *m = NULL;
    int total = 0;
    for (int i = 0; i < n; i++)
        total += rows[i];
    if (w && !(m = kn->matrix_new(w, total, cols)))
        *code = no_memory(err, errlen);
    free(w);
    return m;
}

static int layer_open(sx_transformer *t, int l, const sx_layer_tensors *w, char *err, size_t errlen)
{
    sx_layer *layer = &t->layers[l];
    const sx_kernels *kn = &t->kn;
    int q = t->heads * t->head_dim, kv = t->kv_heads * t->head_dim, d = t->d, rc = -ENOMEM;

    layer->global = -1;
    for (uint32_t g = 0; g < t->config.n_global; g++)
        if (t->config.global_layers[g] == (uint32_t)l)
            layer->global = (int)g;
    if (!(layer->qkv = matrix_of(kn, (const sx_tensor *const[]){w->wq, w->wk, w->wv},
                                 (const int[]){q, kv, kv}, 3, d, &rc, err, errlen)) ||
        !(layer->out = matrix_of(kn, &w->wo, &d, 1, q, &rc, err, errlen)) ||
        !(layer->up = matrix_of(kn, &w->w1, &(int){2 * t->ffn}, 1, d, &rc, err, errlen)) ||
        !(layer->down = matrix_of(kn, &w->w2, &d, 1, t->ffn, &rc, err, errlen)) ||
        !(layer->n1 = vector_of(w->n1, d, &rc, err, errlen)) ||
        !(layer->n2 = vector_of(w->n2, d, &rc, err, errlen)) ||
        !(layer->qs = vector_of(w->qs, t->head_dim, &rc, err, errlen)) ||
        !(layer->ks = vector_of(w->ks, t->head_dim, &rc, err, errlen)))
        return rc;
    if (layer->global < 0)
        return 0;
    if (!(layer->landmark = matrix_of(kn, (const sx_tensor *const[]){w->ik, w->ig},
                                      (const int[]){t->landmark_dim, 1}, 2, d, &rc, err, errlen)) ||
        !(layer->query = matrix_of(kn, &w->iq, &t->landmark_dim, 1, d, &rc, err, errlen)) ||
        (w->lq && !(layer->late = matrix_of(kn, &w->lq, &q, 1, d, &rc, err, errlen))))
        return rc;
    sx_tensor_rows(w->ig_bias, 0, 1, &layer->gate_bias);
    sx_tensor_rows(w->it, 0, 1, &layer->temperature);
    layer->temperature = expf(layer->temperature);
    if (!isfinite(layer->gate_bias) || !isfinite(layer->temperature))
        return sx_fail(
            err, errlen, -EBADMSG,
            "E-NONFINITE: ig.bias or it of layer %d is no finite number; nothing was loaded; get "
            "the model again",
            l);
    return 0;
}

float *sx_transformer_rows(int rows, size_t width)
{
    return calloc((size_t)sx_matmul_rows(rows) * width + 16, sizeof(float));
}

void sx_rope_rows(const sx_transformer *t, float *rope, int pos, int n)
{
    int half = t->head_dim / 2;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < half; j++) { /* float32 throughout, as the specification computes it */
            float frequency = powf(t->config.rope_theta, -(float)(2 * j) / (float)t->head_dim);
            float angle = (float)(pos + i) * frequency;
            rope[(size_t)i * t->head_dim + j] = cosf(angle);
            rope[(size_t)i * t->head_dim + half + j] = sinf(angle);
        }
}

int sx_transformer_open(sx_transformer **out, const sx_model *model, const sx_tokenizer *tokenizer,
                        int isa, char *err, size_t errlen)
{
    sx_transformer *t = calloc(1, sizeof *t);
    const sx_config *c = &model->config;
    int rc = -ENOMEM;

    *out = NULL;
    if (!t)
        return no_memory(err, errlen);
    t->config = *c;
    t->tokenizer = tokenizer;
    sx_kernels_init(&t->kn, isa);
    t->kn.matmul_threads(1); /* packing */
    t->d = (int)c->hidden_size;
    t->heads = (int)c->num_attention_heads;
    t->kv_heads = (int)c->num_key_value_heads;
    t->head_dim = (int)c->head_dim;
    t->ffn = (int)c->intermediate_size;
    t->landmark_dim = (int)c->landmark_dim;
    t->qkv_width = (t->heads + 2 * t->kv_heads) * t->head_dim;
    t->scale = 1.0f / sqrtf((float)t->head_dim);
    t->rope_rows = (int)(c->segment_tokens > c->read_tokens ? c->segment_tokens : c->read_tokens) +
                   64;
    if (!(t->layers = calloc(c->num_hidden_layers, sizeof *t->layers)) ||
        !(t->rope = malloc(sizeof(float) * (size_t)t->rope_rows * (size_t)t->head_dim))) {
        rc = no_memory(err, errlen);
        goto out;
    }
    sx_rope_rows(t, t->rope, 0, t->rope_rows);
    if (!(t->emb = rows_of(&model->emb, &(int){(int)c->vocab_size}, 1, t->d, &rc, err, errlen)) ||
        !(t->nf = vector_of(model->nf, t->d, &rc, err, errlen)) ||
        (model->read && !(t->read = vector_of(model->read, t->d, &rc, err, errlen))))
        goto out;
    if (model->words &&
        (!(t->words = rows_of(&model->words, &(int){(int)c->word_rows}, 1, (int)c->word_dim, &rc,
                              err, errlen)) ||
         !(t->wp = matrix_of(&t->kn, &model->wp, &t->d, 1, (int)c->word_dim, &rc, err, errlen))))
        goto out;
    if (!(t->head = t->kn.matrix_new(t->emb, (int)c->vocab_size, t->d))) {
        rc = no_memory(err, errlen);
        goto out;
    }
    t->kn.rms_norm(NULL, t->emb, t->emb, NULL, (int)c->vocab_size, t->d, c->rms_norm_eps);
    for (uint32_t l = 0; l < c->num_hidden_layers; l++)
        if ((rc = layer_open(t, (int)l, &model->layers[l], err, errlen)) < 0)
            goto out;
    rc = 0;
out:
    if (rc < 0) {
        sx_transformer_close(t);
        return rc;
    }
    *out = t;
    return 0;
}

void sx_transformer_close(sx_transformer *t)
{
    if (!t)
        return;
    for (uint32_t l = 0; t->layers && l < t->config.num_hidden_layers; l++) {
        sx_layer *layer = &t->layers[l];
        sx_matrix *matrices[] = {layer->qkv,      layer->out,   layer->up,  layer->down,
                                 layer->landmark, layer->query, layer->late};
        float *vectors[] = {layer->n1, layer->n2, layer->qs, layer->ks};
        for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
            t->kn.matrix_free(matrices[i]);
        for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
            free(vectors[i]);
    }
    t->kn.matrix_free(t->head);
    t->kn.matrix_free(t->wp);
    free(t->layers);
    free(t->emb);
    free(t->words);
    free(t->nf);
    free(t->read);
    free(t->rope);
    free(t);
}

bool sx_transformer_embed(const sx_transformer *t, float *x, float *part, sx_word *word,
                          const uint32_t *ids, int n)
{
    size_t dim = t->config.word_dim;

    for (int i = 0; i < n; i++)
        memcpy(x + (size_t)i * t->d, t->emb + (size_t)ids[i] * t->d, sizeof(float) * (size_t)t->d);
    if (!t->words)
        return true;
    for (int i = 0; i < n; i++) {
        float *sum = part + (size_t)i * dim;
        uint32_t row[2];
        size_t n_bytes;
        const uint8_t *bytes = sx_tokenizer_bytes(t->tokenizer, ids[i], &n_bytes);

        word[i + 1] = sx_word_after(word[i], bytes, n_bytes);
        if (!sx_word_rows(word[i + 1], t->config.word_rows, row)) {
            memset(sum, 0, sizeof *sum * dim); /* adds nothing */
            continue;
        }
        for (size_t j = 0; j < dim; j++)
            sum[j] = t->words[row[0] * dim + j] + t->words[row[1] * dim + j];
    }
    return t->kn.matmul(NULL, x, part, t->wp, n, true);
}

bool sx_transformer_qkv(const sx_transformer *t, int layer, float *h, float *qkv, const float *x,
                        const float *rope, int n)
{
    const sx_layer *w = &t->layers[layer];
    float eps = t->config.rms_norm_eps;

    t->kn.rms_norm(NULL, h, x, w->n1, n, t->d, eps);
    if (!t->kn.matmul(NULL, qkv, h, w->qkv, n, false))
        return false;
    if (w->global >= 0)
        rope = NULL; /* global layers carry no positions: a block is the same wherever it stands */
    t->kn.head_norm_rope(NULL, qkv, n, t->qkv_width, t->heads, t->head_dim, w->qs, rope, eps);
    t->kn.head_norm_rope(NULL, qkv + t->heads * t->head_dim, n, t->qkv_width, t->kv_heads,
                         t->head_dim, w->ks, rope, eps);
    return true;
}

bool sx_transformer_mix(const sx_transformer *t, int layer, float *x, const float *o, float *h,
                        float *ffn, int n)
{
    const sx_layer *w = &t->layers[layer];
    float *gated = ffn + (size_t)sx_matmul_rows(n) * 2 * (size_t)t->ffn;

    if (!t->kn.matmul(NULL, x, o, w->out, n, true))
        return false;
    t->kn.rms_norm(NULL, h, x, w->n2, n, t->d, t->config.rms_norm_eps);
    if (!t->kn.matmul(NULL, ffn, h, w->up, n, false))
        return false;
    t->kn.swiglu(NULL, gated, ffn, n, t->ffn);
    return t->kn.matmul(NULL, x, gated, w->down, n, true);
}

bool sx_transformer_logits(const sx_transformer *t, float *logits, float *h, const float *x)
{
    t->kn.rms_norm(NULL, h, x, t->nf, 1, t->d, t->config.rms_norm_eps);
    if (!t->kn.matmul(NULL, logits, h, t->head, 1, false))
        return false;
    if (t->config.logit_softcap > 0.0f)
        t->kn.softcap(NULL, logits, (int)t->config.vocab_size, t->config.logit_softcap);
    return true;
}
