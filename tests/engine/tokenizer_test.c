/* tokenizer_test.c: ids equal to the reference's, any bytes survive, control tokens never come from
 * text, hostile vocabularies are refused. argv: tokenizer.json of the bundled model, folder of
 * parity vectors. */
#include "engine/file.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "engine/tokenizer.h"
#include "tests/check.h"
#include "tests/engine/tiny.h"

#include <errno.h>

#define VOCAB 16384

static char err[512];

static json_t *load_json(const char *dir, const char *name)
{
    char path[600];
    json_t *root;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    root = json_load_file(path, JSON_ALLOW_NUL, NULL);
    SX_CHECK(root != NULL);
    return root;
}

/* decode(encode(x)) == x; ends ascend to n and fit the tokens' bytes; nothing is a control token.
 */
static bool round_trips(const sx_tokenizer *t, const uint8_t *bytes, size_t n)
{
    uint32_t *ids = room((n + 1) * sizeof *ids), *ends = room((n + 1) * sizeof *ends);
    size_t count = sx_tokenizer_encode(t, bytes, n, ids, ends), at = 0;
    bool good = count <= n;

    for (size_t i = 0; good && i < count; i++) {
        size_t length = 0;
        const uint8_t *token = sx_tokenizer_bytes(t, ids[i], &length);
        good = length > 0 && at + length <= n && memcmp(bytes + at, token, length) == 0 &&
               ends[i] == at + length && !sx_tokenizer_is_control(t, ids[i]);
        at += length;
    }
    free(ids);
    free(ends);
    return good && at == n;
}

static void test_vectors(const sx_tokenizer *t, const char *dir)
{
    json_t *root = load_json(dir, "tokenizer_vectors.json"), *vector;
    size_t i;

    SX_CHECK(json_array_size(root) == 18);
    json_array_foreach(root, i, vector) {
        const json_t *text = json_object_get(vector, "text"),
                     *want = json_object_get(vector, "ids");
        size_t n = json_string_length(text), count;
        uint32_t *ids = room((n + 1) * sizeof *ids);
        bool equal;
        count = sx_tokenizer_encode(t, (const uint8_t *)json_string_value(text), n, ids, NULL);
        equal = count == json_array_size(want);
        for (size_t k = 0; equal && k < count; k++)
            equal = ids[k] == (uint32_t)json_integer_value(json_array_get(want, k));
        SX_CHECK(equal);
        SX_CHECK(round_trips(t, (const uint8_t *)json_string_value(text), n));
        free(ids);
    }
    json_decref(root);
}

/* A segment of the parity files: <file>, its path and a line end, its range of the file's tokens.
 */
static void test_segments(const sx_tokenizer *t, const char *dir)
{
    json_t *root = load_json(dir, "parity.json"), *segment;
    json_t *files = json_object_get(root, "files"), *segments = json_object_get(root, "segments");
    sx_safetensors *st = NULL;
    const sx_tensor *want, *lengths;
    uint32_t *ids, *ends, header[300];
    size_t at = 0, i;
    char path[600];

    snprintf(path, sizeof path, "%s/parity.safetensors", dir);
    SX_CHECK(sx_safetensors_open_file(&st, path, err, sizeof err) == 0);
    want = sx_safetensors_find(st, "tokens");
    lengths = sx_safetensors_find(st, "segment_len");
    SX_CHECK(want && lengths && lengths->n_elements == json_array_size(segments));
    json_array_foreach(segments, i, segment) {
        const char *name = json_string_value(json_object_get(segment, "path"));
        const json_t *text = json_object_get(files, name);
        const json_t *range = json_object_get(segment, "tokens");
        const json_t *bytes = json_object_get(segment, "bytes");
        size_t first = (size_t)json_integer_value(json_array_get(range, 0));
        size_t last = (size_t)json_integer_value(json_array_get(range, 1));
        size_t n = json_string_length(text), count, n_header;
        uint32_t length;
        bool equal;
        ids = room(n * sizeof *ids);
        ends = room(n * sizeof *ends);
        count = sx_tokenizer_encode(t, (const uint8_t *)json_string_value(text), n, ids, ends);
        snprintf(path, sizeof path, "%s\n", name);
        header[0] = 1; /* <file> */
        n_header = 1 +
                   sx_tokenizer_encode(t, (const uint8_t *)path, strlen(path), header + 1, NULL);
        memcpy(&length, (const uint8_t *)lengths->data + 4 * i, 4);
        SX_CHECK(last <= count && n_header + last - first == length);
        equal = at + length <= want->n_elements &&
                memcmp(header, (const uint8_t *)want->data + 4 * at, 4 * n_header) == 0 &&
                memcmp(ids + first, (const uint8_t *)want->data + 4 * (at + n_header),
                       4 * (last - first)) == 0;
        SX_CHECK(equal);
        SX_CHECK((first ? ends[first - 1] : 0) ==
                 (uint32_t)json_integer_value(json_array_get(bytes, 0)));
        SX_CHECK(ends[last - 1] == (uint32_t)json_integer_value(json_array_get(bytes, 1)));
        at += length;
        free(ids);
        free(ends);
    }
    SX_CHECK(at == want->n_elements);
    sx_safetensors_close(st);
    json_decref(root);
}

/* ---- hostile and long texts ------------------------------------------------------------ */

static uint64_t seed = 7;

static uint64_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 33;
}

static void test_any_bytes(const sx_tokenizer *t)
{
    uint8_t bytes[4096];
    bool good = true;

    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    SX_CHECK(round_trips(t, bytes, 256));
    for (int round = 0; round < 1000; round++) {
        size_t n = draw() % sizeof bytes;
        int kind = (int)(draw() % 3);
        for (size_t i = 0; i < n; i++) {
            if (kind == 0)
                bytes[i] = (uint8_t)draw();
            else if (kind == 1)
                bytes[i] = (uint8_t)(0x80 + draw() % 128);
            else
                bytes[i] = (uint8_t) " \t\n\raZ'.9\xc3\xa9\xed\xa0\xe2\x80\xa8"[draw() % 16];
        }
        good = good && round_trips(t, bytes, n);
    }
    SX_CHECK(good);
}

/* Text that spells a control token is text. */
static void test_control(const sx_tokenizer *t)
{
    static const char text[] = "<a><q> <file>x<eos><pad><|im_start|>[INST]<nl1><r1><r2>";
    size_t n = 1;

    SX_CHECK(round_trips(t, (const uint8_t *)text, sizeof text - 1));
    for (uint32_t id = 0; id < 8; id++) {
        SX_CHECK(sx_tokenizer_is_control(t, id));
        sx_tokenizer_bytes(t, id, &n);
        SX_CHECK(n == 0);
    }
    SX_CHECK(!sx_tokenizer_is_control(t, 8) && !sx_tokenizer_is_control(t, UINT32_MAX));
    sx_tokenizer_bytes(t, VOCAB, &n);
    SX_CHECK(n == 0);
    SX_CHECK(sx_tokenizer_encode(t, NULL, 0, NULL, NULL) == 0);
}

/* Runs that break recursive, backtracking or quadratic tokenizers. */
static void test_long_runs(const sx_tokenizer *t)
{
    static const struct {
        const char *unit;
        size_t n;
    } runs[] = {{"Z", 131072},    {"A", 43000},   {"Z", 1000000},           {"^", 1000000},
                {"\n", 100000},   {" ", 1000000}, {" \n", 100000},          {"\t \r", 100000},
                {"\xff", 500000}, {"日", 300000}, {"\xed\xa0\x80", 100000}, {"'s", 100000},
                {"ab", 300000}};

    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        size_t unit = strlen(runs[i].unit), n = unit * runs[i].n;
        uint8_t *bytes = room(n);
        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)runs[i].unit[k % unit];
        SX_CHECK(round_trips(t, bytes, n));
        free(bytes);
    }
}

/* The merges as the file says, by looking for the best pair again and again: letters only, so that
 * a text is one piece and its bytes are their own names. */
static size_t merge_slowly(const json_t *ranks, const json_t *vocab, const char *text,
                           uint32_t *ids)
{
    size_t n = strlen(text), *start = room((n + 1) * sizeof *start);
    char pair[2100];

    for (size_t i = 0; i <= n; i++)
        start[i] = i;
    for (;;) {
        size_t best = n;
        json_int_t least = INT64_MAX;
        for (size_t i = 0; i + 1 < n; i++) {
            const json_t *rank;
            snprintf(pair, sizeof pair, "%.*s %.*s", (int)(start[i + 1] - start[i]),
                     text + start[i], (int)(start[i + 2] - start[i + 1]), text + start[i + 1]);
            rank = json_object_get(ranks, pair);
            if (rank && json_integer_value(rank) < least) {
                least = json_integer_value(rank);
                best = i;
            }
        }
        if (best == n)
            break;
        memmove(start + best + 1, start + best + 2, (n - best - 1) * sizeof *start);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(pair, sizeof pair, "%.*s", (int)(start[i + 1] - start[i]), text + start[i]);
        ids[i] = (uint32_t)json_integer_value(json_object_get(vocab, pair));
    }
    free(start);
    return n;
}

/* Both ways of merging (up to 64 bytes, and more) against the slow one. */
static void test_merges(const sx_tokenizer *t, const char *path)
{
    static const char *const letters[] = {"abcdefghijklmnopqrstuvwxyz", "etaoinsr", "ab", "Zz",
                                          "eeet"};
    json_t *root = json_load_file(path, 0, NULL), *model = json_object_get(root, "model"), *pair;
    json_t *vocab = json_object_get(model, "vocab"), *ranks = json_object();
    size_t i;

    SX_CHECK(vocab != NULL);
    json_array_foreach(json_object_get(model, "merges"), i, pair) {
        char name[2100];
        snprintf(name, sizeof name, "%s %s", json_string_value(json_array_get(pair, 0)),
                 json_string_value(json_array_get(pair, 1)));
        json_object_set_new(ranks, name, json_integer((json_int_t)i));
    }
    for (int round = 0; round < 300; round++) {
        const char *from = letters[draw() % 5];
        char text[400];
        uint32_t want[400], got[400];
        size_t n = 1 + draw() % (round % 2 ? 80 : 399), n_want, n_got;
        for (size_t k = 0; k < n; k++)
            text[k] = from[draw() % strlen(from)];
        text[n] = 0;
        n_want = merge_slowly(ranks, vocab, text, want);
        n_got = sx_tokenizer_encode(t, (const uint8_t *)text, n, got, NULL);
        SX_CHECK(n_got == n_want && memcmp(got, want, n_got * sizeof *got) == 0);
    }
    json_decref(ranks);
    json_decref(root);
}

/* ---- hostile vocabularies -------------------------------------------------------------- */

/* The tiny tokenizer with `from` replaced: refused as E-VOCAB, the line says `word`; or, where word
 * is NULL, accepted, and fit for any text. */
static const struct {
    const char *from, *to, *word;
} vocab_cases[] = {
    {"\"version\"", "\"version\"", NULL},
    {"\"\\u0120 a\"", "[\"\\u0120\", \"a\"]", NULL},
    {"\"post_processor\":null", "\"post_processor\":{\"type\":\"ByteLevel\"}", NULL},
    {"[\"a\",\"b\"],[\"ab\",\"c\"]", "[\"ab\",\"c\"],[\"a\",\"b\"]", NULL},
    {",\"\\u0120a\":266", ",\"\\u0120a\":266,\"zz\":268", NULL}, /* a token that no merge makes */
    {"'(?i:[sdmt]|ll|ve|re)|", "(a+)+|", "pattern: unsupported"},
    {"\"Isolated\"", "\"Removed\"", "unsupported"},
    {"\"invert\":false", "\"invert\":true", "unsupported"},
    {"\"type\":\"Sequence\"", "\"type\":\"Whitespace\"", "unsupported"},
    {"\"use_regex\":false", "\"use_regex\":true", "unsupported"},
    {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "unsupported"},
    {"\"type\":\"Split\"", "\"type\":\"Punctuation\"", "unsupported"},
    {"\"normalizer\":null",
     "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA\"}",
     "normalizer: unsupported"},
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", "unsupported"},
    {"\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "unsupported"},
    {"\"dropout\":null", "\"dropout\":0.1", "dropout"},
    {"\"dropout\":null", "\"byte_fallback\":true", "byte_fallback"},
    {"\"dropout\":null", "\"ignore_merges\":true", "ignore_merges"},
    {"\"unk_token\":null", "\"unk_token\":\"<pad>\"", "unk_token"},
    {"\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":{\"type\":\"Metaspace\"}", "decoder"},
    {"\"truncation\":null", "\"truncation\":{\"max_length\":8}", "truncation"},
    {"\"content\":\"<eos>\",\"special\":true", "\"content\":\"<eos>\",\"special\":false",
     "not special"},
    {"{\"id\":4,", "{\"id\":3,", "twice"},
    {"{\"id\":4,", "{\"id\":272,", "id"},
    {"{\"id\":4,", "{\"id\":2147483648,", "id"},
    {"{\"id\":4,", "{\"id\":-1,", "id"},
    {"{\"id\":4,\"content\":\"<eos>\"", "{\"id\":4,\"content\":\"ab\"", "twice"},
    {"\"added_tokens\":[", "\"added_tokens\":[1,", "id"},
    {"\"added_tokens\":[", "\"added\":[", "added_tokens"},
    {"\"ab\":264", "\"ab\":-1", "ab"},
    {"\"ab\":264", "\"ab\":272", "ab"},
    {"\"ab\":264", "\"ab\":2147483648", "ab"},
    {"\"ab\":264", "\"ab\":4294967560", "ab"},
    {"\"ab\":264", "\"ab\":264.0", "ab"},
    {"\"ab\":264", "\"ab\":\"264\"", "ab"},
    {"\"ab\":264", "\"ab\":265", "two tokens"},
    {"\"ab\":264", "\"\":264", "empty"},
    {"\"ab\":264", "\"a b\":264", "not written in bytes"},
    {"\"ab\":264", "\"<0xZZ>\\u65e5\":264", "not written in bytes"},
    {"\"ab\":264", "\"ab\":264,\"ab\":267", "duplicate"},
    {"\"ab\":264", "\"a\\u0000b\":264", "JSON"},
    {"\"ab\":264", "\"\xff\":264", "JSON"},
    {"\"ab\":264", "\"\\ud800\":264", "JSON"},
    {"\"ab\":264", "\"aab\":264", "merge 0"},
    {"\"\\u007a\":", "\"zy\":", "byte 0x7a"},
    {"\"vocab\":{", "\"vocab\":[],\"v\":{", "vocab"},
    {"[\"a\",\"b\"]", "[\"a\",\"nowhere\"]", "merge 0"},
    {"[\"a\",\"b\"]", "[\"a\"]", "merge 0"},
    {"[\"a\",\"b\"]", "[\"a\",\"b\",\"c\"]", "merge 0"},
    {"[\"a\",\"b\"]", "[\"a\",1]", "merge 0"},
    {"[\"a\",\"b\"]", "\"ab\"", "merge 0"},
    {"[\"a\",\"b\"]", "\"a b c\"", "merge 0"},
    {"[\"a\",\"b\"]", "7", "merge 0"},
    {"[\"a\",\"b\"]", "[\"a\",\"c\"]", "merge 0"}, /* "ac" is no token */
    {"[\"ab\",\"c\"]", "[\"a\",\"b\"]", "twice"},
    {"[\"ab\",\"c\"]", "[\"<a\",\">\"]", "merge 1"},
    {"\"merges\":[", "\"merges\":1,\"m\":[", "merges"},
    /* a control token as a part or as the outcome of a merge would come from text */
    {"[\"ab\",\"c\"]", "[\"<pad>\",\"a\"]", "merge 1"},
    {"\"ab\":264,\"abc\":265", "\"ab\":264,\"abc\":265,\"<a\":269,\"pad>\":270", NULL},
    {"\"ab\":264,\"abc\":265,\"\\u0120a\":266},\"merges\":[",
     "\"ab\":264,\"abc\":265,\"<a\":269,\"\\u0120a\":266},\"merges\":[[\"<\",\"a\"],[\"<a\",\">\"]"
     ",",
     "merge 1"},
};

static void test_vocabularies(void)
{
    sx_tokenizer *t = NULL;
    char *good = tiny_tokenizer(), *text, *token;

    for (size_t i = 0; i < sizeof vocab_cases / sizeof vocab_cases[0]; i++) {
        int rc;
        bool as_wanted;
        text = tiny_replace(good, vocab_cases[i].from, vocab_cases[i].to);
        scratch_text("tokenizer.json", text);
        rc = sx_tokenizer_open(&t, scratch_path("tokenizer.json"), TINY_VOCAB, err, sizeof err);
        if (vocab_cases[i].word)
            as_wanted = rc == -EBADMSG && !t && strncmp(err, "E-VOCAB:", 8) == 0 &&
                        strstr(err, vocab_cases[i].word);
        else
            as_wanted = rc == 0 && t;
        SX_CHECK(as_wanted);
        if (!as_wanted)
            fprintf(stderr, "    %s: %d %s\n", vocab_cases[i].to, rc, rc < 0 ? err : "");
        if (t) {
            test_any_bytes(t);
            sx_tokenizer_close(t);
        }
        free(text);
    }

    /* a token of a megabyte */
    token = room((1 << 20) + 20);
    memset(token, 'z', 1 << 20);
    token[0] = '"';
    strcpy(token + (1 << 20), "\":267,\"ab\":264");
    text = tiny_replace(good, "\"ab\":264", token);
    scratch_text("tokenizer.json", text);
    SX_CHECK(sx_tokenizer_open(&t, scratch_path("tokenizer.json"), TINY_VOCAB, err, sizeof err) ==
             -EBADMSG);
    SX_CHECK(strstr(err, "longer than 1024 bytes") != NULL);
    free(text);
    free(token);

    /* a vocabulary of one, and limits of vocab_size itself */
    scratch_text("tokenizer.json", good);
    SX_CHECK(sx_tokenizer_open(&t, scratch_path("tokenizer.json"), 1, err, sizeof err) == -EBADMSG);
    SX_CHECK(sx_tokenizer_open(&t, scratch_path("tokenizer.json"), 0, err, sizeof err) == -EBADMSG);
    SX_CHECK(sx_tokenizer_open(&t, scratch_path("tokenizer.json"), UINT32_MAX, NULL, 0) ==
             -EBADMSG);
    SX_CHECK(sx_tokenizer_open(&t, scratch_path("none.json"), TINY_VOCAB, err, sizeof err) ==
             -EBADMSG);
    SX_CHECK(strncmp(err, "E-MODEL-FILE:", 13) == 0);
    free(good);
}

/* The tiny tokenizer cut at every byte, and with bytes changed: refused, or fit for any text. */
static void test_sweep(void)
{
    char *good = tiny_tokenizer();
    size_t n = strlen(good);
    unsigned accepted = 0, broken = 0;
    sx_tokenizer *t = NULL;

    scratch_write("tokenizer.json", good, n);
    for (size_t cut = n - 2; cut < n; cut--) { /* down to 0; the last byte is a line end */
        scratch_cut("tokenizer.json", cut);
        broken += sx_tokenizer_open(&t, scratch_path("tokenizer.json"), TINY_VOCAB, err,
                                    sizeof err) != -EBADMSG;
    }
    SX_CHECK(broken == 0);
    scratch_write("tokenizer.json", good, n);
    for (size_t i = 0; i < n; i += 5) {
        scratch_poke("tokenizer.json", i, (uint8_t)good[i] ^ (i % 2 ? 0x80 : 1));
        if (sx_tokenizer_open(&t, scratch_path("tokenizer.json"), TINY_VOCAB, err, sizeof err) ==
            0) {
            accepted++;
            broken += !round_trips(t, (const uint8_t *)"abc <a> abcab\n\xff", 15);
            sx_tokenizer_close(t);
        }
        scratch_poke("tokenizer.json", i, (uint8_t)good[i]);
    }
    SX_CHECK(broken == 0 && accepted > 0);
    free(good);
}

int main(int argc, char **argv)
{
    sx_tokenizer *t = NULL;

    if (argc != 3)
        return 2;
    SX_CHECK(sx_tokenizer_open(&t, argv[1], VOCAB, err, sizeof err) == 0);
    if (!t) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    SX_CHECK(strlen(sx_tokenizer_fingerprint(t)) == 32);
    test_vectors(t, argv[2]);
    test_segments(t, argv[2]);
    test_any_bytes(t);
    test_control(t);
    test_long_runs(t);
    test_merges(t, argv[1]);
    sx_tokenizer_close(t);
    sx_tokenizer_close(NULL);
    scratch_make();
    test_vocabularies();
    test_sweep();
    scratch_remove();
    return sx_check_end();
}
