/* word_test.c: the word that tokens spell, and that a model with a table of words gives the same
 * however its tokens are pushed, cut into calls or taken back. The numbers of states and rows are
 * those of a program of its own that walks the bytes one by one. */
#include "engine/attention.h"
#include "engine/engine_private.h"
#include "tests/check.h"
#include "tests/engine/tiny.h"

#include <math.h>

static char err[1024];

/* The hash behind each token; "" is a control token. */
static const struct {
    const char *token[5];
    uint32_t hash[4];
} spelled[] = {
    {{"load", "Rows"}, {0xcb507f8a, 0x5ab8d5fd}},
    {{"lo", "ad", "R", "ows"}, {0x6d00ac07, 0xcb507f8a, 0x00000073, 0x5ab8d5fd}},
    {{"loadR", "ows"}, {0x00000073, 0x5ab8d5fd}},
    {{"LOAD", "_", "ROWS"}, {0xcb507f8a, 0, 0x5ab8d5fd}},
    {{"load", "_rows"}, {0xcb507f8a, 0x5ab8d5fd}},
    {{"x1", "y"}, {0, 0x0000007a}},
    {{"HTML", "Parser"}, {0x99c22957, 0x03299b7e}}, /* capitals go on */
    {{"par", "ser"}, {0x2918a312, 0xc18974df}},
    {{" the", " Word", "s"}, {0xc82297ae, 0x903a4e86, 0x91c99d66}},
    {{"caf", "\xc3", "\xa9", "s"}, {0x3af86bb1, 0x86118867, 0x7499bacf, 0x5d011451}},
    {{"caf\xc3\x89"}, {0x7499baaf}}, /* only ASCII has small letters */
    {{"a", "", "b"}, {0x00000062, 0, 0x00000063}},
    {{"aB", "", "B", "b"}, {0x00000063, 0, 0x00000063, 0x63009c3c}},
    {{"lower", "", "Upper"}, {0xdeef4d4a, 0, 0xe552df4f}},
    {{"1", "A"}, {0, 0x00000062}},
    {{"a\n", "B"}, {0, 0x00000063}},
    {{"\xff", "A"}, {0x00000100, 0x00019362}},
    {{"i", "OS"}, {0x0000006a, 0x7000b0c4}},
    {{"", "a"}, {0, 0x00000062}},
};

static void test_states(void)
{
    for (size_t i = 0; i < sizeof spelled / sizeof spelled[0]; i++) {
        sx_word word = {0};

        for (int k = 0; spelled[i].token[k]; k++) {
            const char *token = spelled[i].token[k];

            word = sx_word_after(word, (const uint8_t *)token, strlen(token));
            SX_CHECK(word.hash == spelled[i].hash[k]);
            if (word.hash != spelled[i].hash[k])
                fprintf(stderr, "    case %zu, token %d: 0x%08x\n", i, k, word.hash);
        }
    }
}

static void test_rows(void)
{
    static const struct {
        uint32_t hash, most[2], few[2];
    } rows[] = {
        {0x5ab8d5fd, {34834, 14851}, {2, 3}},   {0xcb507f8a, {13519, 21077}, {15, 5}},
        {0x00000001, {10423, 20814}, {7, 14}},  {0xffffffff, {28473, 33265}, {9, 1}},
        {0x12345678, {53692, 58236}, {12, 12}},
    };
    uint32_t row[2];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sx_word word = {.hash = rows[i].hash};

        SX_CHECK(sx_word_rows(word, 1 << 16, row) && !memcmp(row, rows[i].most, sizeof row));
        SX_CHECK(sx_word_rows(word, 16, row) && !memcmp(row, rows[i].few, sizeof row));
        SX_CHECK(sx_word_rows(word, 1, row) && row[0] == 0 && row[1] == 0);
    }
    SX_CHECK(!sx_word_rows((sx_word){0, true}, 16, row));
}

/* ---- a model -------------------------------------------------------------------------- */

/* The tiny model with numbers that differ; without the keys of words in config.json, or with a
 * table of zeros. */
static void write_model(bool with_keys, bool zero_words)
{
    size_t n = 0, header;
    uint8_t *file = tiny_weights(tiny_tensors, TINY_TENSORS, &n), *at;
    uint32_t random = 7;
    char *config = with_keys
                       ? strdup(tiny_config)
                       : tiny_replace(tiny_config, "\"word_rows\": 16, \"word_dim\": 32, ", "");

    tiny_write();
    header = 8 + file[0] + 256u * file[1];
    at = file + header;
    for (size_t i = 0; i < TINY_TENSORS; i++) {
        const tiny_tensor *t = &tiny_tensors[i];
        bool is_scale = strstr(t->name, ".scale") != NULL;
        unsigned size = !strcmp(t->dtype, "F32") ? 4 : strstr(t->dtype, "16") ? 2 : 1;

        for (unsigned k = 0; k < t->bytes; k += size, at += size) {
            random = random * 1664525u + 1013904223u;
            float value = is_scale ? 0.01f : (float)(random >> 8) / (1 << 23) - 1.0f;
            uint16_t half = (uint16_t)(random >> 16);

            if (is_scale && zero_words && !strncmp(t->name, "words", 5))
                value = 0.0f;
            /* halves from 1/8 to 1/2 */
            half = !strcmp(t->dtype, "F16") ? 0x3000 | (half & 0x87ff) : 0x3e00 | (half & 0x80ff);
            if (size == 4)
                memcpy(at, &value, 4);
            else if (size == 2)
                memcpy(at, &half, 2);
            else
                *at = (uint8_t)(random >> 24);
        }
    }
    scratch_text("config.json", config);
    scratch_write("model.safetensors", file, n);
    free(file);
    free(config);
}

static sx_engine *open_engine(void)
{
    sx_engine *engine = NULL;
    sx_engine_options options = {.model_dir = scratch, .threads = 1};
    int rc = sx_engine_open(&engine, &options, err, sizeof err);

    SX_CHECK(rc == 0);
    if (rc < 0) {
        fprintf(stderr, "    %s\n", err);
        exit(1);
    }
    return engine;
}

/* <file> or <q>, then the text's tokens. */
static int tokens_of(const sx_engine *engine, uint32_t first, const char *text, uint32_t *ids)
{
    ids[0] = first;
    return 1 + (int)sx_engine_tokenize(engine, (const uint8_t *)text, strlen(text), ids + 1, NULL);
}

/* What tokens enter with, against the definition in plain loops. */
static void test_embed(void)
{
    static const char text[] = "loadRows LOAD_rows caf\xc3\xa9 x9ab abc  a";
    sx_engine *engine = open_engine();
    const sx_transformer *t = engine->transformer;
    sx_model *model = NULL;
    uint32_t ids[64];
    int n = tokens_of(engine, t->config.token_file, text, ids), words = 0;
    sx_word word[65] = {{0}}, state = {0};
    float *x = sx_transformer_rows(n, 8), *part = sx_transformer_rows(n, 32);
    float emb[272][8], table[16][32], wp[8][32];

    SX_CHECK(sx_model_open(&model, scratch, err, sizeof err) == 0);
    sx_tensor_rows(model->emb, 0, 272, &emb[0][0]);
    sx_tensor_rows(model->words, 0, 16, &table[0][0]);
    sx_tensor_rows(model->wp, 0, 8, &wp[0][0]);
    SX_CHECK(sx_transformer_embed(t, x, part, word, ids, n));
    for (int i = 0; i < n; i++) {
        double squares = 0, worst = 0;
        uint32_t row[2] = {0, 0};
        size_t length;
        const uint8_t *bytes = sx_tokenizer_bytes(engine->tokenizer, ids[i], &length);
        bool has;

        if (!length)
            state = (sx_word){0};
        for (size_t b = 0; b < length; b++)
            state = sx_word_after(state, bytes + b, 1);
        SX_CHECK(state.hash == word[i + 1].hash && state.small == word[i + 1].small);
        has = sx_word_rows(state, 16, row);
        words += has;
        for (int j = 0; j < 8; j++)
            squares += (double)emb[ids[i]][j] * emb[ids[i]][j];
        for (int j = 0; j < 8; j++) {
            double want = emb[ids[i]][j] / sqrt(squares / 8 + 1e-6);

            for (int k = 0; has && k < 32; k++)
                want += (double)wp[j][k] * (table[row[0]][k] + table[row[1]][k]);
            worst = fmax(worst, fabs(want - x[i * 8 + j]));
        }
        SX_CHECK(worst < 1e-5);
    }
    SX_CHECK(words > 20 && words < n);
    free(x);
    free(part);
    sx_model_close(model);
    sx_engine_close(engine);
}

/* ---- a question ------------------------------------------------------------------------ */

#define SEGMENTS 2
typedef struct store { /* two segments of the same tokens, which end inside a word */
    uint32_t ids[64], starts[8];
    int n, n_blocks, next;
    float landmarks[SEGMENTS][8 * 4];
    char kv[SEGMENTS][64 * 64];
    const sx_engine_info *info;
} store;

static int source(sx_encode_input *in, void *user)
{
    store *s = user;

    if (s->next == SEGMENTS)
        return 0;
    *in = (sx_encode_input){.id = s->next++,
                            .n_tokens = (uint32_t)s->n,
                            .n_blocks = (uint32_t)s->n_blocks,
                            .tokens = room(sizeof s->ids),
                            .block_starts = room(sizeof s->starts)};
    memcpy(in->tokens, s->ids, sizeof s->ids);
    memcpy(in->block_starts, s->starts, sizeof s->starts);
    return 1;
}

static int sink(const sx_encode_output *out, void *user)
{
    store *s = user;

    SX_CHECK(s->info->landmark_row * out->n_blocks <= sizeof s->landmarks[0] &&
             s->info->kv_row * out->n_tokens <= sizeof s->kv[0]);
    memcpy(s->landmarks[out->id], out->landmarks, s->info->landmark_row * out->n_blocks);
    memcpy(s->kv[out->id], out->kv, s->info->kv_row * out->n_tokens);
    return 0;
}

static sx_context *context_of(sx_engine *engine, store *s)
{
    sx_context *context = NULL;

    *s = (store){.info = sx_engine_get_info(engine)};
    s->n = tokens_of(engine, s->info->file_token,
                     "rows.c\nint loadRows(int LoadedRows) { return lo", s->ids);
    for (int at = 0; at < s->n; at += 8)
        s->starts[s->n_blocks++] = (uint32_t)at;
    SX_CHECK(sx_encode(engine, source, sink, s, NULL, err, sizeof err) == 0);
    SX_CHECK(!memcmp(s->landmarks[0], s->landmarks[1], sizeof s->landmarks[0]));
    SX_CHECK(!memcmp(s->kv[0], s->kv[1], sizeof s->kv[0]));
    SX_CHECK(sx_context_new(&context, engine, err, sizeof err) == 0);
    for (int i = 0; i < SEGMENTS; i++) {
        sx_context_segment segment = {i,         (uint32_t)s->n,  (uint32_t)s->n_blocks,
                                      s->starts, s->landmarks[i], s->kv[i]};
        SX_CHECK(sx_context_add(context, &segment, err, sizeof err) == 0);
    }
    return context;
}

static sx_question *new_question(sx_context *context)
{
    sx_question *question = NULL;

    SX_CHECK(sx_question_new(&question, context, 80, &(sx_ask_options){0}, err, sizeof err) == 0);
    return question;
}

/* Pushes ids[from .. to) in calls of at most `call` tokens. */
static void push(sx_question *question, const uint32_t *ids, int from, int to, int call)
{
    for (int at = from; at < to; at += call)
        SX_CHECK(sx_question_push(question, ids + at, to - at < call ? to - at : call, NULL, NULL,
                                  err, sizeof err) == 0);
}

static double distance(const float *a, const float *b)
{
    double most = 0;

    for (int i = 0; i < TINY_VOCAB; i++)
        most = fmax(most, isfinite(a[i]) ? fabs((double)a[i] - b[i]) : INFINITY);
    return most;
}

/* Logits behind the question, pushed at once, into `out`; every other way must give the same. */
static void test_question(float *out)
{
    static const char text[] = "which function calls TheLongLoader, loadRows";
    static const int calls[] = {1, 3, 31, 32, 33};
    sx_engine *engine = open_engine();
    store s;
    sx_context *context = context_of(engine, &s);
    uint32_t ids[80], others[80];
    int n = tokens_of(engine, engine->transformer->config.token_question, text, ids);
    int n_others = tokens_of(engine, ids[n - 4], "yMapper", others);
    sx_question *question = new_question(context);

    SX_CHECK(n == (int)strlen(text) + 1); /* 32 tokens are a chunk: inside "LongLoader" */
    push(question, ids, 0, n, n);
    memcpy(out, sx_question_logits(question), sizeof *out * TINY_VOCAB);
    sx_question_free(question);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        question = new_question(context);
        push(question, ids, 0, n, calls[i]);
        SX_CHECK(distance(out, sx_question_logits(question)) < 1e-5);
        sx_question_free(question);
    }
    /* taken back: tokens pushed one by one, as an answer's are, and some of the question with them;
     * what stays ends inside "Rows" */
    for (int back = 0; back < 2; back++) {
        int stays = n - 3, most = back ? n : stays;

        question = new_question(context);
        push(question, ids, 0, most, most);
        push(question, others, 1, n_others, 1);
        SX_CHECK(distance(out, sx_question_logits(question)) > 1e-4);
        sx_question_take_back(question, most + n_others - 1 - stays);
        push(question, ids, stays, n, back ? 1 : 3);
        SX_CHECK(distance(out, sx_question_logits(question)) < 1e-5);
        sx_question_free(question);
    }
    sx_context_free(context);
    sx_engine_close(engine);
}

static void test_model(const char *isa)
{
    float with[TINY_VOCAB], without[TINY_VOCAB], zero[TINY_VOCAB];

    setenv("SPARSEX_ISA", isa, 1);
    write_model(true, false);
    test_embed();
    test_question(with);
    write_model(false, false); /* tensors that nobody asks for are not read */
    test_question(without);
    write_model(true, true);
    test_question(zero);
    SX_CHECK(distance(with, without) > 1e-3);
    SX_CHECK(memcmp(zero, without, sizeof zero) == 0);
}

int main(void)
{
    static const char *const isa[] = {"c", "avx2", "avx512"};

    test_states();
    test_rows();
    scratch_make();
    unsetenv("SPARSEX_ISA");
    for (int i = sx_isa_detect(); i >= SX_ISA_C; i--)
        test_model(isa[i]);
    scratch_remove();
    return sx_check_end();
}
