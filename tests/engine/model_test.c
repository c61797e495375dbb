/* model_test.c: what config.json and weights must be to each other. A tiny model is opened whole,
 * then with one thing wrong at a time, then cut at every byte and with every byte of its headers
 * changed. argv: folder of the bundled model. */
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/tiny.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>

static char err[1024];

/* The error line's code, or "" when it opened. */
static const char *verdict(void)
{
    static char code[40];
    sx_model *model = NULL;
    int rc;

    err[0] = 0;
    rc = sx_model_open(&model, scratch, err, sizeof err);
    sx_model_close(model);
    if ((rc == 0) != (model != NULL) || (rc < 0 && rc != -EBADMSG))
        return "wrong return value";
    snprintf(code, sizeof code, "%.*s", (int)strcspn(err, ":"), err);
    return code;
}

/* Refused with `want`, and the line names `word`. */
#define CHECK_REFUSED(want, word)                                                                  \
    do {                                                                                           \
        const char *g = verdict();                                                                 \
        SX_CHECK(strcmp(g, want) == 0 && strstr(err, word));                                       \
        if (strcmp(g, want) != 0 || !strstr(err, word))                                            \
            fprintf(stderr, "    got %s, want %s with %s (%s)\n", g, want, word, err);             \
    } while (0)

/* One legal range a row: a key as tiny_config has it, and what may not stand there. */
static const struct {
    const char *from, *to, *word;
} config_cases[] = {
    {"\"vocab_size\": 272", "\"vocab_size\": 0", "vocab_size"},
    {"\"vocab_size\": 272", "\"vocab_size\": 271", "emb.weight"},
    {"\"vocab_size\": 272", "\"vocab_size\": 4294967568", "vocab_size"},
    {"\"vocab_size\": 272", "\"vocab_size\": -1", "vocab_size"},
    {"\"vocab_size\": 272", "\"vocab_size\": 2147483648", "vocab_size"},
    {"\"vocab_size\": 272", "\"vocab_size\": \"272\"", "vocab_size"},
    {"\"vocab_size\": 272", "\"vocab_size\": 272.0", "vocab_size"},
    {"\"vocab_size\": 272,", "", "vocab_size"},
    {"\"hidden_size\": 8", "\"hidden_size\": 0", "hidden_size"},
    {"\"hidden_size\": 8", "\"hidden_size\": 16", "emb.weight"},
    {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", "num_hidden_layers"},
    {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 513", "num_hidden_layers"},
    {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2147483648", "num_hidden_layers"},
    {"\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "num_attention_heads"},
    {"\"num_attention_heads\": 2", "\"num_attention_heads\": 4", "layers.0.wq.weight"},
    {"\"num_key_value_heads\": 1", "\"num_key_value_heads\": 0", "num_key_value_heads"},
    {"\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3", "num_key_value_heads"},
    {"\"num_key_value_heads\": 1", "\"num_key_value_heads\": 2", "layers.0.wk.weight"},
    {"\"num_attention_heads\": 2, \"num_key_value_heads\": 1",
     "\"num_attention_heads\": 3, \"num_key_value_heads\": 2", "num_key_value_heads"},
    {"\"head_dim\": 4", "\"head_dim\": 0", "head_dim"},
    {"\"head_dim\": 4", "\"head_dim\": 5", "head_dim"},
    {"\"head_dim\": 4", "\"head_dim\": 1026", "head_dim"},
    {"\"head_dim\": 4", "\"head_dim\": 1048576", "head_dim"},
    {"\"intermediate_size\": 6", "\"intermediate_size\": 0", "intermediate_size"},
    {"\"intermediate_size\": 6", "\"intermediate_size\": 7", "layers.0.w1.weight"},
    {"\"sliding_window\": 16", "\"sliding_window\": 0", "sliding_window"},
    {"\"sliding_window\": 16", "\"sliding_window\": 1048577", "sliding_window"},
    {"\"landmark_dim\": 4", "\"landmark_dim\": 0", "landmark_dim"},
    {"\"landmark_dim\": 4", "\"landmark_dim\": 5", "layers.1.iq.weight"},
    {"\"segment_tokens\": 64", "\"segment_tokens\": 0", "segment_tokens"},
    {"\"segment_tokens\": 64", "\"segment_tokens\": 7", "block_tokens"},
    {"\"block_tokens\": 8", "\"block_tokens\": 0", "block_tokens"},
    {"\"block_tokens\": 8", "\"block_tokens\": 65", "block_tokens"},
    {"\"top_k_blocks\": 4", "\"top_k_blocks\": 0", "top_k_blocks"},
    {"\"global_layers\": [1]", "\"global_layers\": []", "global_layers"},
    {"\"global_layers\": [1]", "\"global_layers\": 1", "global_layers"},
    {"\"global_layers\": [1]", "\"global_layers\": [2]", "global_layers"},
    {"\"global_layers\": [1]", "\"global_layers\": [-1]", "global_layers"},
    {"\"global_layers\": [1]", "\"global_layers\": [1, 0]", "global_layers"},
    {"\"global_layers\": [1]", "\"global_layers\": [1, 1]", "global_layers"},
    {"\"global_layers\": [1]", "\"global_layers\": [0, 1, 2]", "global_layers"},
    {"\"global_layers\": [1]", "\"global_layers\": [\"1\"]", "global_layers"},
    {"\"rope_theta\": 10000.0", "\"rope_theta\": 0", "rope_theta"},
    {"\"rope_theta\": 10000.0", "\"rope_theta\": -1.0", "rope_theta"},
    {"\"rope_theta\": 10000.0", "\"rope_theta\": 1e300", "rope_theta"},
    {"\"rope_theta\": 10000.0", "\"rope_theta\": null", "rope_theta"},
    {"\"rms_norm_eps\": 1e-6", "\"rms_norm_eps\": 0.0", "rms_norm_eps"},
    {"\"rms_norm_eps\": 1e-6", "\"rms_norm_eps\": -1e-6", "rms_norm_eps"},
    {"\"rms_norm_eps\": 1e-6", "\"rms_norm_eps\": 1", "rms_norm_eps"},
    {"\"rms_norm_eps\": 1e-6", "\"rms_norm_eps\": 1e-400", "rms_norm_eps"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": -1.0", "logit_softcap"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": \"x\"", "logit_softcap"},
    {"\"late_tokens\": 6", "\"late_tokens\": 0", "late_tokens"},
    {"\"late_tokens\": 6", "\"late_tokens\": 513", "late_tokens"},
    {"\"late_tokens\": 6", "\"late_tokens\": \"6\"", "late_tokens"},
    {"\"read_tokens\": 9", "\"read_tokens\": 0", "read_tokens"},
    {"\"read_tokens\": 9", "\"read_tokens\": 513", "read_tokens"},
    {"\"read_tokens\": 9", "\"read_tokens\": null", "read_tokens"},
    {"\"read_tokens\": 9", "\"read_tokens\": 9, \"read_path\": 65", "read_path"},
    {"\"read_tokens\": 9", "\"read_tokens\": 9, \"read_blocks\": 1", "read_blocks"},
    {"\"read_tokens\": 9", "\"read_tokens\": 9, \"read_null_weight\": -1", "read_null_weight"},
    {"\"read_tokens\": 9", "\"read_tokens\": 9, \"read_null_weight\": 1", "read_null_score"},
    {"\"read_tokens\": 9", "\"read_tokens\": 9, \"read_blocks\": 6", "read_blocks"},
    {"\"word_rows\": 16, ", "", "word_rows"},
    {"\"word_rows\": 16", "\"word_rows\": 0", "word_rows"},
    {"\"word_rows\": 16", "\"word_rows\": 24", "word_rows"},
    {"\"word_rows\": 16", "\"word_rows\": 131072", "word_rows"},
    {"\"word_rows\": 16", "\"word_rows\": null", "word_rows"},
    {"\"word_rows\": 16", "\"word_rows\": 32", "words.weight"},
    {"\"word_dim\": 32, ", "", "word_dim"},
    {"\"word_dim\": 32", "\"word_dim\": 0", "word_dim"},
    {"\"word_dim\": 32", "\"word_dim\": 4097", "word_dim"},
    {"\"word_dim\": 32", "\"word_dim\": 32.0", "word_dim"},
    {"\"word_dim\": 32", "\"word_dim\": 16", "words.weight"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"rank_weights\": 1", "rank_weights"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"rank_weights\": [1, 2]",
     "rank_weights"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"rank_weights\": [\"1\"]",
     "rank_weights"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"rank_weights\": [101]", "rank_weights"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"null_scores\": []", "null_scores"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"null_scores\": [-11]", "null_scores"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"lexical_weight\": -1",
     "lexical_weight"},
    {"\"logit_softcap\": 20.0", "\"logit_softcap\": 20.0, \"lexical_weight\": [1]",
     "lexical_weight"},
    {"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "tie_word_embeddings"},
    {"\"eos_token_id\": 4", "\"eos_token_id\": 5", "eos_token_id"},
    {"\"eos_token_id\": 4", "\"eos_token_id\": 272", "eos_token_id"},
    {"\"pad_token_id\": 0", "\"pad_token_id\": -1", "pad_token_id"},
    {"\"pad_token_id\": 0", "\"pad_token_id\": 1", "special_tokens"},
    {"\"answer\": 3", "\"answer\": 272", "answer"},
    {"\"answer\": 3", "\"answer\": 2", "special_tokens"},
    {"\"file\": 1, ", "", "file"},
};

static void test_config(void)
{
    char *text;

    tiny_write();
    for (size_t i = 0; i < sizeof config_cases / sizeof config_cases[0]; i++) {
        text = tiny_replace(tiny_config, config_cases[i].from, config_cases[i].to);
        scratch_text("config.json", text);
        CHECK_REFUSED("E-HPARAM", config_cases[i].word);
        free(text);
    }
    text = tiny_replace(tiny_config, "sparsex", "llama");
    scratch_text("config.json", text);
    CHECK_REFUSED("E-MODEL-KIND", "llama");
    free(text);
    text = tiny_replace(tiny_config, "\"model_type\": \"sparsex\",", "");
    scratch_text("config.json", text);
    CHECK_REFUSED("E-MODEL-KIND", "model_type");
    free(text);
    /* no JSON number is NaN or infinite, and no key may stand twice */
    text = tiny_replace(tiny_config, "10000.0", "NaN");
    scratch_text("config.json", text);
    CHECK_REFUSED("E-MODEL-JSON", "config.json");
    free(text);
    text = tiny_replace(tiny_config, "10000.0", "1e999");
    scratch_text("config.json", text);
    CHECK_REFUSED("E-MODEL-JSON", "config.json");
    free(text);
    text = tiny_replace(tiny_config, "\"head_dim\": 4", "\"head_dim\": 4, \"head_dim\": 4");
    scratch_text("config.json", text);
    CHECK_REFUSED("E-MODEL-JSON", "duplicate");
    free(text);
    /* a template in it is text */
    text = tiny_replace(tiny_config, "{\"model_type\"",
                        "{\"chat_template\": \"{% macro x() %}{{ x() }}{% endmacro %}{{ x() }}\", "
                        "\"name\": \"tiny\\u001b[2J\", \"model_type\"");
    scratch_text("config.json", text);
    SX_CHECK(strcmp(verdict(), "") == 0);
    free(text);
    text = room((1 << 20) + 10);
    memset(text, ' ', (1 << 20) + 1);
    text[(1 << 20) + 1] = 0;
    scratch_text("config.json", text);
    CHECK_REFUSED("E-MODEL-FILE", "config.json");
    free(text);
    scratch_text("config.json", tiny_config);
    SX_CHECK(strcmp(verdict(), "") == 0);
}

static void test_files(void)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors"};

    for (size_t i = 0; i < 3; i++) {
        tiny_write();
        unlink(scratch_path(names[i]));
        CHECK_REFUSED("E-MODEL-FILE", names[i]);
        SX_CHECK(mkfifo(scratch_path(names[i]), 0600) == 0);
        CHECK_REFUSED("E-MODEL-FILE", "regular");
        unlink(scratch_path(names[i]));
        SX_CHECK(symlink("/dev/null", scratch_path(names[i])) == 0);
        CHECK_REFUSED("E-MODEL-FILE", "link");
        unlink(scratch_path(names[i]));
        scratch_text(names[i], "");
        /* what is in tokenizer.json is the tokenizer's to check */
        SX_CHECK((strcmp(verdict(), "") == 0) == (i == 1));
    }
    scratch_empty();
    SX_CHECK(sx_model_open(&(sx_model *){NULL}, "/nonexistent/model", err, sizeof err) == -EBADMSG);
    SX_CHECK(strncmp(err, "E-MODEL-FILE:", 13) == 0);
    SX_CHECK(sx_model_open(&(sx_model *){NULL}, "/nonexistent/model", NULL, 0) == -EBADMSG);
}

/* Each tensor missing, of another shape, of a type we do not calculate with, not finite. */
static void test_tensors(void)
{
    tiny_tensor tensors[TINY_TENSORS];
    size_t n = 0;
    uint8_t *file;

    tiny_write();
    for (size_t i = 0; i < TINY_TENSORS; i++) {
        const char *name = tiny_tensors[i].name;
        bool is_scale = strstr(name, ".scale") != NULL;
        bool is_i8 = strcmp(tiny_tensors[i].dtype, "I8") == 0;
        bool is_u8 = strcmp(tiny_tensors[i].dtype, "U8") == 0;
        bool is_group = strstr(name, ".group") != NULL;
        char shape[32];

        memcpy(tensors, tiny_tensors, sizeof tensors);
        tensors[i].name = "other";
        file = tiny_weights(tensors, TINY_TENSORS, &n);
        scratch_write("model.safetensors", file, n);
        free(file);
        /* an I8 matrix remains, by its own or the other name, without scales */
        if (is_scale || is_i8)
            CHECK_REFUSED("E-ST-SCALE", is_scale ? name : "other");
        else /* a matrix of bytes without groups is nothing that we calculate with */
            CHECK_REFUSED("E-MODEL-TENSOR", is_group ? "words.weight is not" : name);

        memcpy(tensors, tiny_tensors, sizeof tensors);
        tensors[i].dtype = is_u8                                  ? "BOOL"
                           : is_i8                                ? "U8"
                           : strcmp(tensors[i].dtype, "F32") == 0 ? "I32"
                                                                  : "I16";
        file = tiny_weights(tensors, TINY_TENSORS, &n);
        scratch_write("model.safetensors", file, n);
        free(file);
        if (is_scale || is_group)
            CHECK_REFUSED(is_group ? "E-ST-GROUP" : "E-ST-SCALE", name);
        else
            CHECK_REFUSED("E-MODEL-TENSOR", name);

        if (!is_scale && !is_i8 && !is_u8) {
            memcpy(tensors, tiny_tensors, sizeof tensors); /* one dimension of 1 more: same bytes */
            snprintf(shape, sizeof shape, "[1%s%s", strlen(tiny_tensors[i].shape) > 2 ? "," : "",
                     tiny_tensors[i].shape + 1);
            tensors[i].shape = shape;
            file = tiny_weights(tensors, TINY_TENSORS, &n);
            scratch_write("model.safetensors", file, n);
            free(file);
            CHECK_REFUSED("E-HPARAM", name);
        }
        if (!is_i8 && !is_u8) { /* all ones: NaN in F32, F16 and BF16 */
            size_t at = 0, header;
            file = tiny_weights(tiny_tensors, TINY_TENSORS, &n);
            header = 8 + file[0] + 256u * file[1];
            for (size_t k = 0; k < i; k++)
                at += tiny_tensors[k].bytes;
            memset(file + header + at + tiny_tensors[i].bytes - 4, 0xff, 4);
            scratch_write("model.safetensors", file, n);
            free(file);
            if (is_scale) {
                char matrix[64];
                snprintf(matrix, sizeof matrix, "%.*s", (int)(strlen(name) - 6), name);
                CHECK_REFUSED("E-NONFINITE", matrix);
            } else
                CHECK_REFUSED("E-NONFINITE", name);
        }
    }
}

/* Whatever was accepted: every number of every tensor can be read. */
static bool holds(const sx_model *m)
{
    bool good = m->config.n_global >= 1 && m->emb->shape[0] == m->config.vocab_size;
    float sum = 0;

    for (size_t i = 0; i < sx_safetensors_count(m->weights); i++) {
        const sx_tensor *t = sx_safetensors_at(m->weights, i);
        uint64_t rows = t->n_dims >= 2 ? t->shape[0] : 1;
        float *out;
        if (t->dtype == SX_DTYPE_OTHER || (t->dtype == SX_DTYPE_I8 && !t->scale) ||
            t->n_elements == 0)
            continue;
        out = room(t->n_elements * sizeof *out);
        sx_tensor_rows(t, 0, rows, out);
        for (uint64_t k = 0; k < t->n_elements; k++)
            sum += fabsf(out[k]);
        free(out);
    }
    return good && !isnan(sum);
}

/* 1: opened and holds; 0: refused in order; -1: neither. */
static int outcome(void)
{
    sx_model *m = NULL;
    int rc = sx_model_open(&m, scratch, err, sizeof err), good;

    if (rc < 0)
        return rc == -EBADMSG && !m && strncmp(err, "E-", 2) == 0 ? 0 : -1;
    good = holds(m) ? 1 : -1;
    sx_model_close(m);
    return good;
}

static void test_sweep(void)
{
    static const char *const names[] = {"model.safetensors", "config.json"};
    size_t n = 0;
    unsigned accepted = 0;

    for (int which = 0; which < 2; which++) {
        uint8_t *file;
        size_t header, broken = 0;
        tiny_write();
        SX_CHECK(outcome() == 1);
        if (which == 0) {
            file = tiny_weights(tiny_tensors, TINY_TENSORS, &n);
            header = 8 + file[0] + 256u * file[1];
        } else {
            n = header = strlen(tiny_config);
            file = (uint8_t *)strdup(tiny_config);
        }
        for (size_t cut = n - 1; cut < n; cut--) { /* down to 0 */
            scratch_cut(names[which], cut);
            /* config.json ends in a line end that it can lose */
            if (outcome() != 0 && !(which == 1 && cut == n - 1))
                broken++;
        }
        SX_CHECK(broken == 0);
        scratch_write(names[which], file, n);
        for (size_t i = 0; i < n; i += i < header ? 1 : 61) {
            const uint8_t changed[3] = {0, 255, file[i] ^ 0x80};
            for (int k = 0; k < 3; k++) {
                int result;
                scratch_poke(names[which], i, changed[k]);
                result = outcome();
                broken += result < 0;
                accepted += result > 0;
            }
            scratch_poke(names[which], i, file[i]);
        }
        SX_CHECK(broken == 0);
        free(file);
    }
    SX_CHECK(accepted > 0); /* weights may change; the sweep does reach opened models */
}

static void test_names(const char *bundled)
{
    sx_model *a = NULL, *b = NULL;
    char *text;

    tiny_write();
    SX_CHECK(sx_model_open(&a, scratch, err, sizeof err) == 0);
    SX_CHECK(strcmp(a->name, strrchr(scratch, '/') + 1) == 0);
    text = tiny_replace(tiny_config, "{", "{\"name\": \"ti\\u00e9ny\\u001b\", ");
    scratch_text("config.json", text);
    free(text);
    SX_CHECK(sx_model_open(&b, scratch, err, sizeof err) == 0);
    SX_CHECK(strcmp(b->name, "ti??ny?") == 0);
    SX_CHECK(strlen(a->fingerprint) == 32 && strcmp(a->fingerprint, b->fingerprint) != 0);
    sx_model_close(b);
    scratch_text("config.json", tiny_config);
    SX_CHECK(sx_model_open(&b, scratch, err, sizeof err) == 0);
    SX_CHECK(strcmp(a->fingerprint, b->fingerprint) == 0);
    sx_model_close(b);
    scratch_text("tokenizer.json", "{}");
    SX_CHECK(sx_model_open(&b, scratch, err, sizeof err) == 0);
    SX_CHECK(strcmp(a->fingerprint, b->fingerprint) != 0);
    SX_CHECK(a->layers[0].iq == NULL && a->layers[1].iq && a->layers[1].it->n_elements == 1);
    SX_CHECK(a->config.n_global == 1 && a->config.global_layers[0] == 1);
    sx_model_close(b);
    /* what ranks is optional */
    SX_CHECK(a->config.rank_weight[0] == 1 && !a->config.has_null_scores &&
             a->config.lexical_weight == 0);
    text = tiny_replace(
        tiny_config, "\"logit_softcap\": 20.0",
        "\"logit_softcap\": 20.0, \"rank_weights\": [0.5], \"null_scores\": [-0.25], "
        "\"lexical_weight\": 7");
    scratch_text("config.json", text);
    free(text);
    SX_CHECK(sx_model_open(&b, scratch, err, sizeof err) == 0);
    SX_CHECK(b->config.rank_weight[0] == 0.5f && b->config.has_null_scores &&
             b->config.null_score[0] == -0.25f && b->config.lexical_weight == 7);
    sx_model_close(b);
    SX_CHECK(a->config.late_tokens == 6 && a->layers[1].lq && !a->layers[0].lq);
    SX_CHECK(a->config.read_tokens == 9 && a->read);
    SX_CHECK(a->config.word_rows == 16 && a->config.word_dim == 32 && a->wp);
    SX_CHECK(a->words && a->words->dtype == SX_DTYPE_I4 && a->words->n_elements == 16 * 32);
    text = tiny_replace(tiny_config,
                        "\"late_tokens\": 6, \"read_tokens\": 9, "
                        "\"word_rows\": 16, \"word_dim\": 32, ",
                        "");
    scratch_text("config.json", text);
    free(text);
    SX_CHECK(sx_model_open(&b, scratch, err, sizeof err) == 0);
    SX_CHECK(b->config.late_tokens == 0 && !b->layers[1].lq);
    SX_CHECK(b->config.read_tokens == 0 && !b->read);
    SX_CHECK(b->config.word_rows == 0 && b->config.word_dim == 0 && !b->words && !b->wp);
    sx_model_close(b);
    sx_model_close(a);

    SX_CHECK(sx_model_open(&a, bundled, err, sizeof err) == 0);
    SX_CHECK(a && holds(a) && a->config.num_hidden_layers == 16 && a->config.n_global == 3);
    sx_model_close(a);
    sx_model_close(NULL);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    scratch_make();
    test_names(argv[1]);
    test_config();
    test_files();
    test_tensors();
    test_sweep();
    scratch_remove();
    return sx_check_end();
}
