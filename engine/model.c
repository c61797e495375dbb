/* model.c: config.json + weights -> checked shapes and tensors. Knows no arithmetic: what is
 * refused here can never reach a kernel. */
#include "engine/model.h"

#include "engine/engine_private.h"
#include "engine/file.h"
#include "engine/json.h"
#include "engine/tokenizer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define MAX_CONFIG (1u << 20) /* bytes */
#define MAX_VALUES 10000u     /* JSON values in it */
#define CONFIG     "config.json"
#define TOKENIZER  "tokenizer.json"

/* ---- config.json ----------------------------------------------------------------------- */

/* Every whole number of config.json and its legal range; what links them is checked in
 * check_config(). */
static const struct {
    const char *key;
    size_t offset;
    uint32_t low, high;
} ranges[] = {
/* clang-format off */
#define NUMBER(name, low, high) {#name, offsetof(sx_config, name), low, high}
    /* clang-format on */
    NUMBER(vocab_size, 1, SX_MAX_VOCAB),
    NUMBER(hidden_size, 1, 1 << 16),
    NUMBER(num_hidden_layers, 1, SX_MAX_LAYERS),
    NUMBER(num_attention_heads, 1, 1024),
    NUMBER(num_key_value_heads, 1, 1024),
    NUMBER(head_dim, 2, 1024),
    NUMBER(intermediate_size, 1, 1 << 20),
    NUMBER(sliding_window, 1, 1 << 20),
    NUMBER(landmark_dim, 1, 4096),
    NUMBER(segment_tokens, 1, 1 << 16),
    NUMBER(block_tokens, 1, 1 << 16),
    NUMBER(top_k_blocks, 1, 1 << 16),
#undef NUMBER
};

static int read_special(sx_config *c, const json_t *root, const sx_json_source *source)
{
    const json_t *special = NULL;
    uint32_t eos = 0, last = c->vocab_size - 1, *ids[5];
    int rc;

    if ((rc = sx_json_object(root, "special_tokens", &special, source)) < 0 ||
        (rc = sx_json_u32(special, "file", 0, last, &c->token_file, source)) < 0 ||
        (rc = sx_json_u32(special, "question", 0, last, &c->token_question, source)) < 0 ||
        (rc = sx_json_u32(special, "answer", 0, last, &c->token_answer, source)) < 0 ||
        (rc = sx_json_u32(special, "eos", 0, last, &c->token_eos, source)) < 0 ||
        (rc = sx_json_u32(root, "eos_token_id", 0, last, &eos, source)) < 0 ||
        (rc = sx_json_u32(root, "pad_token_id", 0, last, &c->token_pad, source)) < 0)
        return rc;
    if (eos != c->token_eos)
        return sx_json_fail(source, "eos_token_id is %u, special_tokens.eos is %u: must be equal",
                            eos, c->token_eos);
    ids[0] = &c->token_file;
    ids[1] = &c->token_question;
    ids[2] = &c->token_answer;
    ids[3] = &c->token_eos;
    ids[4] = &c->token_pad;
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            if (*ids[i] == *ids[j])
                return sx_json_fail(source, "special_tokens and pad_token_id: %u is used twice",
                                    *ids[i]);
    return 0;
}

static int read_global_layers(sx_config *c, const json_t *root, const sx_json_source *source)
{
    const json_t *layers = NULL;
    int rc;

    if ((rc = sx_json_array(root, "global_layers", &layers, source)) < 0)
        return rc;
    if (json_array_size(layers) < 1 || json_array_size(layers) > c->num_hidden_layers)
        return sx_json_fail(source, "global_layers has %zu entries, must have from 1 to %u",
                            json_array_size(layers), c->num_hidden_layers);
    c->n_global = (uint32_t)json_array_size(layers);
    for (uint32_t i = 0; i < c->n_global; i++) {
        const json_t *value = json_array_get(layers, i);
        json_int_t low = i ? (json_int_t)c->global_layers[i - 1] + 1 : 0;
        json_int_t layer = json_integer_value(value);
        if (!json_is_integer(value) || layer < low || layer >= (json_int_t)c->num_hidden_layers)
            return sx_json_fail(source,
                                "global_layers[%u] must be an integer from %lld to %u (ascending)",
                                i, (long long)low, c->num_hidden_layers - 1);
        c->global_layers[i] = (uint32_t)layer;
    }
    return 0;
}

/* One number for each global layer, optional: *found says whether it is there. */
static int read_per_layer(float *out, bool *found, const char *key, double low, double high,
                          const sx_config *c, const json_t *root, const sx_json_source *source)
{
    const json_t *values = json_object_get(root, key);

    *found = values != NULL;
    if (!values)
        return 0;
    if (!json_is_array(values) || json_array_size(values) != c->n_global)
        return sx_json_fail(source, "%s must be a list of %u numbers, one a global layer", key,
                            c->n_global);
    for (uint32_t i = 0; i < c->n_global; i++) {
        double value = json_number_value(json_array_get(values, i));

        if (!json_is_number(json_array_get(values, i)) || !(value >= low && value <= high))
            return sx_json_fail(source, "%s[%u] must be a number from %g to %g", key, i, low, high);
        out[i] = (float)value;
    }
    return 0;
}

static int read_ranking(sx_config *c, const json_t *root, const sx_json_source *source)
{
    bool found;
    int rc;

    for (uint32_t i = 0; i < c->n_global; i++)
        c->rank_weight[i] = 1.0f;
    rc = read_per_layer(c->rank_weight, &found, "rank_weights", -100, 100, c, root, source);
    if (rc == 0)
        rc = read_per_layer(c->null_score, &c->has_null_scores, "null_scores", -10, 10, c, root,
                            source);
    if (rc == 0 && json_object_get(root, "lexical_weight"))
        rc = sx_json_float(root, "lexical_weight", 0.0, 1000.0, &c->lexical_weight, source);
    if (rc == 0 && json_object_get(root, "late_tokens"))
        rc = sx_json_u32(root, "late_tokens", 1, 512, &c->late_tokens, source);
    if (rc == 0 && json_object_get(root, "read_tokens"))
        rc = sx_json_u32(root, "read_tokens", 1, 512, &c->read_tokens, source);
    if (rc == 0 && json_object_get(root, "read_path"))
        rc = sx_json_u32(root, "read_path", 0, SX_HEADER_TOKENS, &c->read_path, source);
    if (rc == 0 && json_object_get(root, "read_blocks"))
        rc = sx_json_u32(root, "read_blocks", 2, SX_PASSAGE_BLOCKS, &c->read_blocks, source);
    if (rc == 0 && json_object_get(root, "read_null_weight")) {
        rc = sx_json_float(root, "read_null_weight", 0.0, 1000.0, &c->read_null_weight, source);
        if (rc == 0)
            rc = sx_json_float(root, "read_null_score", -1000.0, 1000.0, &c->read_null_score,
                               source);
    }
    return rc;
}

/* Both keys or neither. */
static int read_words(sx_config *c, const json_t *root, const sx_json_source *source)
{
    int rc;

    if (!json_object_get(root, "word_rows") && !json_object_get(root, "word_dim"))
        return 0;
    if ((rc = sx_json_u32(root, "word_rows", 1, 1 << 16, &c->word_rows, source)) < 0 ||
        (rc = sx_json_u32(root, "word_dim", 1, 4096, &c->word_dim, source)) < 0)
        return rc;
    if (c->word_rows & (c->word_rows - 1))
        return sx_json_fail(source, "word_rows is %u, must be a power of two from 1 to %u",
                            c->word_rows, 1 << 16);
    return 0;
}

/* What no single range can say. */
static int check_config(const sx_config *c, const sx_json_source *source)
{
    if (c->num_key_value_heads > c->num_attention_heads ||
        c->num_attention_heads % c->num_key_value_heads)
        return sx_json_fail(source,
                            "num_key_value_heads is %u, must divide num_attention_heads (%u)",
                            c->num_key_value_heads, c->num_attention_heads);
    if (c->head_dim % 2)
        return sx_json_fail(source, "head_dim is %u, must be even, from 2 to 1024", c->head_dim);
    if (c->block_tokens > c->segment_tokens)
        return sx_json_fail(source, "block_tokens is %u, must be from 1 to segment_tokens (%u)",
                            c->block_tokens, c->segment_tokens);
    return 0;
}

static int read_config(sx_model *model, const json_t *root, const sx_json_source *source)
{
    sx_json_source kind = *source;
    sx_config *c = &model->config;
    const char *type = NULL;
    int rc;

    kind.code = "E-MODEL-KIND";
    if ((rc = sx_json_string(root, "model_type", &type, &kind)) < 0)
        return rc;
    if (strcmp(type, "sparsex") != 0)
        return sx_json_fail(&kind, "model_type is %.40s, this version reads sparsex",
                            sx_show(type).s);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        uint32_t *field = (uint32_t *)((char *)c + ranges[i].offset);
        rc = sx_json_u32(root, ranges[i].key, ranges[i].low, ranges[i].high, field, source);
        if (rc < 0)
            return rc;
    }
    rc = sx_json_float(root, "rope_theta", 1.0, 1e9, &c->rope_theta, source);
    if (rc == 0)
        rc = sx_json_float(root, "rms_norm_eps", 1e-12, SX_EPS_MAX, &c->rms_norm_eps, source);
    if (rc == 0)
        rc = sx_json_float(root, "logit_softcap", 0.0, 1e6, &c->logit_softcap, source);
    if (rc < 0 || (rc = check_config(c, source)) < 0 ||
        (rc = read_global_layers(c, root, source)) < 0 ||
        (rc = read_ranking(c, root, source)) < 0 || (rc = read_words(c, root, source)) < 0 ||
        (rc = read_special(c, root, source)) < 0)
        return rc;
    if (!json_is_true(json_object_get(root, "tie_word_embeddings")))
        return sx_json_fail(source, "tie_word_embeddings must be true");
    return 0;
}

/* ---- weights --------------------------------------------------------------------------- */

/* One pass over the bytes: the exponent of a non-finite float is all ones. */
static bool is_finite(const sx_tensor *t)
{
    const uint8_t *data = t->data;
    uint32_t bad = 0;

    if (t->dtype == SX_DTYPE_F32) {
        for (uint64_t i = 0; i < t->n_elements; i++) {
            uint32_t bits;
            memcpy(&bits, data + 4 * i, sizeof bits);
            bad |= (bits & 0x7f800000) == 0x7f800000;
        }
    } else if (t->dtype == SX_DTYPE_F16 || t->dtype == SX_DTYPE_BF16) {
        uint32_t ones = t->dtype == SX_DTYPE_F16 ? 0x7c00 : 0x7f80;
        for (uint64_t i = 0; i < t->n_elements; i++) {
            uint16_t bits;
            memcpy(&bits, data + 2 * i, sizeof bits);
            bad |= (bits & ones) == ones;
        }
    }
    return !bad && (!t->scale || is_finite(t->scale));
}

/* n_dims dimensions a x b; a vector is [a], a scalar []. */
static int find_tensor(const sx_model *model, const sx_tensor **out, const char *name,
                       uint32_t n_dims, uint64_t a, uint64_t b, char *err, size_t errlen)
{
    const sx_tensor *t = sx_safetensors_find(model->weights, name);
    static const char *advice = "nothing was loaded; use a complete, unchanged model";

    *out = NULL;
    if (!t)
        return sx_fail(err, errlen, -EBADMSG, "E-MODEL-TENSOR: %s is missing, the weights; %s",
                       name, advice);
    if (t->dtype == SX_DTYPE_OTHER || (t->dtype == SX_DTYPE_I8 && !t->scale))
        return sx_fail(err, errlen, -EBADMSG,
                       "E-MODEL-TENSOR: %s is not F32, F16, BF16, I8 with scales or U8 with groups "
                       "and scales, the weights; %s",
                       name, advice);
    if (t->n_dims != n_dims || (n_dims > 0 && t->shape[0] != a) || (n_dims > 1 && t->shape[1] != b))
        return sx_fail(err, errlen, -EBADMSG,
                       "E-HPARAM: %s has %u dimensions (%llu, %llu), config.json asks for %u "
                       "(%llu, %llu), the weights; %s",
                       name, t->n_dims, (unsigned long long)(t->n_dims > 0 ? t->shape[0] : 1),
                       (unsigned long long)(t->n_dims > 1 ? t->shape[1] : 1), n_dims,
                       (unsigned long long)a, (unsigned long long)b, advice);
    if (!is_finite(t))
        return sx_fail(err, errlen, -EBADMSG,
                       "E-NONFINITE: %s holds NaN or infinity, the weights; %s", name, advice);
    *out = t;
    return 0;
}

static int find_layer(sx_model *model, uint32_t layer, bool global, char *err, size_t errlen)
{
    const sx_config *c = &model->config;
    sx_layer_tensors *l = &model->layers[layer];
    const uint64_t d = c->hidden_size, f = c->intermediate_size, h = c->head_dim;
    const uint64_t q = c->num_attention_heads * h, kv = c->num_key_value_heads * h;
    const struct {
        const char *name;
        const sx_tensor **out;
        uint32_t n_dims;
        uint64_t a, b;
        bool needed;
    } wanted[] = {
        {"n1", &l->n1, 1, d, 1, true},
        {"n2", &l->n2, 1, d, 1, true},
        {"wq.weight", &l->wq, 2, q, d, true},
        {"wk.weight", &l->wk, 2, kv, d, true},
        {"wv.weight", &l->wv, 2, kv, d, true},
        {"wo.weight", &l->wo, 2, d, q, true},
        {"w1.weight", &l->w1, 2, 2 * f, d, true},
        {"w2.weight", &l->w2, 2, d, f, true},
        {"qs", &l->qs, 1, h, 1, true},
        {"ks", &l->ks, 1, h, 1, true},
        {"iq.weight", &l->iq, 2, c->landmark_dim, d, global},
        {"ik.weight", &l->ik, 2, c->landmark_dim, d, global},
        {"ig.weight", &l->ig, 2, 1, d, global},
        {"ig.bias", &l->ig_bias, 1, 1, 1, global},
        {"it", &l->it, 0, 1, 1, global},
        {"lq.weight", &l->lq, 2, q, d,
         c->late_tokens && layer == c->global_layers[c->n_global - 1]},
    };

    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char name[64];
        int rc;
        if (!wanted[i].needed)
            continue;
        snprintf(name, sizeof name, "layers.%u.%s", layer, wanted[i].name);
        rc = find_tensor(model, wanted[i].out, name, wanted[i].n_dims, wanted[i].a, wanted[i].b,
                         err, errlen);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int find_weights(sx_model *model, char *err, size_t errlen)
{
    const sx_config *c = &model->config;
    uint32_t next_global = 0;
    int rc;

    model->layers = calloc(c->num_hidden_layers, sizeof *model->layers);
    if (!model->layers)
        return sx_fail(err, errlen, -ENOMEM, "E-RAM: layers; nothing was loaded; free memory");
    if ((rc = find_tensor(model, &model->emb, "emb.weight", 2, c->vocab_size, c->hidden_size, err,
                          errlen)) < 0 ||
        (rc = find_tensor(model, &model->nf, "nf", 1, c->hidden_size, 1, err, errlen)) < 0 ||
        (c->read_tokens &&
         (rc = find_tensor(model, &model->read, "read", 1, c->hidden_size, 1, err, errlen)) < 0) ||
        (c->word_rows && ((rc = find_tensor(model, &model->words, "words.weight", 2, c->word_rows,
                                            c->word_dim, err, errlen)) < 0 ||
                          (rc = find_tensor(model, &model->wp, "wp.weight", 2, c->hidden_size,
                                            c->word_dim, err, errlen)) < 0)))
        return rc;
    for (uint32_t i = 0; i < c->num_hidden_layers; i++) {
        bool global = next_global < c->n_global && c->global_layers[next_global] == i;
        if ((rc = find_layer(model, i, global, err, errlen)) < 0)
            return rc;
        next_global += global;
    }
    return 0;
}

/* ---- names ----------------------------------------------------------------------------- */

static void hash_file(XXH3_state_t *state, const char *name, const uint8_t *bytes, size_t n)
{
    uint64_t length = n;

    XXH3_128bits_update(state, name, strlen(name) + 1);
    XXH3_128bits_update(state, &length, sizeof length);
    XXH3_128bits_update(state, bytes, n);
}

/* Over every name, length and byte that an answer depends on. */
static int fingerprint(sx_model *model, const uint8_t *config, size_t n_config,
                       const uint8_t *tokenizer, size_t n_tokenizer, char *err, size_t errlen)
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t hash;

    if (!state)
        return sx_fail(err, errlen, -ENOMEM, "E-RAM: fingerprint; nothing was loaded; free memory");
    XXH3_128bits_reset(state);
    hash_file(state, CONFIG, config, n_config);
    for (size_t i = 0; i < sx_safetensors_files(model->weights); i++) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        const char *name = sx_safetensors_file(model->weights, i, &bytes, &n);
        hash_file(state, name, bytes, n);
    }
    hash_file(state, TOKENIZER, tokenizer, n_tokenizer);
    hash = XXH3_128bits_digest(state);
    snprintf(model->fingerprint, sizeof model->fingerprint, "%016llx%016llx",
             (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    XXH3_freeState(state);
    return 0;
}

/* config.json's "name", else the directory's; printable ASCII. */
static void name_model(sx_model *model, const char *dir, const json_t *root)
{
    const char *name = json_string_value(json_object_get(root, "name"));
    char real[PATH_MAX];
    size_t i = 0;

    if (!name || !*name) {
        name = realpath(dir, real) ? real : dir;
        name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    }
    for (; name[i] && i + 1 < sizeof model->name; i++)
        model->name[i] = name[i] >= 0x20 && name[i] < 0x7f ? name[i] : '?';
    model->name[i] = 0;
}

int sx_model_open(sx_model **out, const char *dir, char *err, size_t errlen)
{
    sx_json_source json = {"E-MODEL-JSON", CONFIG, err, errlen};
    sx_json_source source = {"E-HPARAM", CONFIG, err, errlen};
    sx_model *model = calloc(1, sizeof *model);
    uint8_t *config = NULL, *tokenizer = NULL;
    size_t n_config = 0, n_tokenizer = 0;
    json_t *root = NULL;
    int dirfd = -1, rc;

    *out = NULL;
    if (!model) {
        rc = sx_fail(err, errlen, -ENOMEM, "E-RAM: model; nothing was loaded; free memory");
        goto out;
    }
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        rc = sx_fail(err, errlen, -EBADMSG,
                     "E-MODEL-FILE: %s, %s; nothing was loaded; check --model", strerror(errno),
                     sx_show(dir).s);
        goto out;
    }
    if ((rc = sx_file_read(dirfd, CONFIG, MAX_CONFIG, &config, &n_config, err, errlen)) < 0 ||
        (rc = sx_json_parse(&root, config, n_config, MAX_VALUES, &json)) < 0 ||
        (rc = read_config(model, root, &source)) < 0 ||
        (rc = sx_safetensors_open(&model->weights, dir, err, errlen)) < 0 ||
        (rc = find_weights(model, err, errlen)) < 0 ||
        (rc = sx_file_read(dirfd, TOKENIZER, SX_MAX_TOKENIZER, &tokenizer, &n_tokenizer, err,
                           errlen)) < 0 ||
        (rc = fingerprint(model, config, n_config, tokenizer, n_tokenizer, err, errlen)) < 0)
        goto out;
    name_model(model, dir, root);
    *out = model;
    model = NULL;
out:
    json_decref(root);
    free(config);
    free(tokenizer);
    if (dirfd >= 0)
        close(dirfd);
    sx_model_close(model);
    return rc;
}

void sx_model_close(sx_model *model)
{
    if (!model)
        return;
    sx_safetensors_close(model->weights);
    free(model->layers);
    free(model);
}
