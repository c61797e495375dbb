/* tokenizer_test.c: ids equal to the reference's, any bytes survive, control tokens never come from text,
 * hostile vocabularies are refused. argv: tokenizer.json of the bundled model, folder of parity vectors. */
#include "engine/file.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "engine/tokenizer.h"
#include "tests/check.h"
#include "tests/engine/scratch.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

/* decode(encode(x)) == x; ends ascend to n and fit the tokens' bytes; nothing is a control token. */
static bool round_trips(const sx_tokenizer *t, const uint8_t *bytes, size_t n)
{
    uint32_t *ids = malloc((n + 1) * sizeof *ids), *ends = malloc((n + 1) * sizeof *ends);
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
        const json_t *text = json_object_get(vector, "text"), *want = json_object_get(vector, "ids");
        size_t n = json_string_length(text), count;
        uint32_t *ids = malloc((n + 1) * sizeof *ids);
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

/* A segment of the parity files: <file>, its path and a line end, its range of the file's tokens. */
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
        ids = malloc(n * sizeof *ids);
        ends = malloc(n * sizeof *ends);
        count = sx_tokenizer_encode(t, (const uint8_t *)json_string_value(text), n, ids, ends);
        snprintf(path, sizeof path, "%s\n", name);
        header[0] = 1;            /* <file> */
        n_header = 1 + sx_tokenizer_encode(t, (const uint8_t *)path, strlen(path), header + 1, NULL);
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
    test_vectors(t, argv[2]);
    test_segments(t, argv[2]);
    sx_tokenizer_close(t);
    return sx_check_done();
}
