/* engine.c: a model folder -> an open engine. */
#include "engine/engine_private.h"
#include "engine/model.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* Changes when segments or blocks are cut by other rules: old ones are then not used again. */
#define TEXT_RULES "segments 2"

static int cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static void text_fingerprint(sx_engine *engine)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%s %s %u %u %u", TEXT_RULES,
                     sx_tokenizer_fingerprint(engine->tokenizer), engine->info.segment_tokens,
                     engine->info.block_tokens, engine->info.header_tokens);
    XXH128_hash_t hash = XXH3_128bits(text, (size_t)n);
    snprintf(engine->info.text, sizeof engine->info.text, "%016llx%016llx",
             (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

int sx_engine_open(sx_engine **out, const sx_engine_options *options, char *err, size_t errlen)
{
    sx_engine *engine = NULL;
    sx_model *model = NULL;
    char *path = NULL;
    int rc = -ENOMEM;

    *out = NULL;
    if (options->device && strcmp(options->device, "auto") && strcmp(options->device, "cpu")) {
        snprintf(err, err ? errlen : 0,
                 "E-DEVICE: this build has no device '%.32s'; nothing was opened; use --device cpu",
                 options->device);
        return -EINVAL;
    }
    if (!(engine = calloc(1, sizeof *engine)) ||
        asprintf(&path, "%s/tokenizer.json", options->model_dir) < 0) {
        path = NULL;
        goto out;
    }
    if ((rc = sx_model_open(&model, options->model_dir, err, errlen)) < 0 ||
        (rc = sx_tokenizer_open(&engine->tokenizer, path, model->config.vocab_size, err, errlen)) <
            0)
        goto out;

    const sx_config *c = &model->config;
    const uint32_t control[] = {c->token_file, c->token_question, c->token_answer, c->token_eos,
                                c->token_pad};
    int isa = sx_isa_detect();
    for (size_t i = 0; i < sizeof control / sizeof *control; i++)
        if (!sx_tokenizer_is_control(engine->tokenizer, control[i])) { /* text could spell it */
            rc = -EBADMSG;
            snprintf(err, err ? errlen : 0,
                     "E-VOCAB: token %u of config.json's special tokens is no special token of "
                     "tokenizer.json; "
                     "nothing was loaded; get the model again",
                     control[i]);
            goto out;
        }
    engine->threads = options->threads > 0 ? options->threads : cores();
    engine->kv_format = SX_I8;
    engine->longest = c->segment_tokens + SX_HEADER_TOKENS;
    engine->info = (sx_engine_info){
        .n_global = c->n_global,
        .segment_tokens = c->segment_tokens,
        .block_tokens = c->block_tokens,
        .header_tokens = SX_HEADER_TOKENS,
        .file_token = c->token_file,
        .top_k = c->top_k_blocks,
        .read_path = c->read_path,
        .read_blocks = c->read_blocks,
        .lexical_weight = c->lexical_weight,
        .landmark_row = sizeof(float) * c->landmark_dim,
        .kv_row = sx_kv_row_bytes(SX_I8, (int)c->num_key_value_heads, (int)c->head_dim),
    };
    memcpy(engine->info.model, model->fingerprint, sizeof engine->info.model);
    memcpy(engine->info.name, model->name, sizeof engine->info.name);
    text_fingerprint(engine);
    if (!options->tokenizer_only) {
        if ((rc = sx_transformer_open(&engine->transformer, model, engine->tokenizer, isa, err,
                                      errlen)) < 0)
            goto out;
        if (!sx_safetensors_unchanged(model->weights)) {
            rc = -EBADMSG;
            snprintf(err, err ? errlen : 0,
                     "E-MODEL-CHANGED: a weights file changed while it was read; nothing was kept; "
                     "run again");
            goto out;
        }
    }
    sx_kernels kn;
    sx_kernels_init(&kn, isa);
    snprintf(engine->info.device, sizeof engine->info.device, "cpu (%s, %d thread%s)", kn.isa_name,
             engine->threads, engine->threads == 1 ? "" : "s");
    rc = 0;
out:
    free(path);
    sx_model_close(model);
    if (rc == -ENOMEM && err && errlen)
        snprintf(err, errlen,
                 "E-MEMORY: not enough memory to open the model; nothing was changed; free memory");
    if (rc < 0) {
        sx_engine_close(engine);
        return rc;
    }
    *out = engine;
    return 0;
}

void sx_engine_close(sx_engine *engine)
{
    if (!engine)
        return;
    sx_transformer_close(engine->transformer);
    sx_tokenizer_close(engine->tokenizer);
    free(engine);
}

const sx_engine_info *sx_engine_get_info(const sx_engine *engine)
{
    return &engine->info;
}

size_t sx_engine_tokenize(const sx_engine *engine, const uint8_t *bytes, size_t n, uint32_t *ids,
                          uint32_t *ends)
{
    return sx_tokenizer_encode(engine->tokenizer, bytes, n, ids, ends);
}

void sx_engine_set_kv_format(sx_engine *engine, sx_type format)
{
    const sx_transformer *t = engine->transformer;
    engine->kv_format = format;
    engine->info.kv_row = sx_kv_row_bytes(format, t->kv_heads, t->head_dim);
}
