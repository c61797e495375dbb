/* fuzz_tokenizer.c: any bytes as a tokenizer.json (if they begin with '{') or as a text for the
 * tokenizer of $SX_TOKENIZER: refused with a line, or decode(encode(x)) == x without control
 * tokens. Built with libFuzzer where the compiler has it; otherwise replays the files given. */
#include "engine/tokenizer.h"
#include "tests/fuzz/fuzz.h"

static void round_trip(const sx_tokenizer *t, const uint8_t *bytes, size_t n)
{
    uint32_t *ids = malloc((n + 1) * sizeof *ids), *ends = malloc((n + 1) * sizeof *ends);
    size_t at = 0, count;

    if (!ids || !ends)
        abort();
    count = sx_tokenizer_encode(t, bytes, n, ids, ends);
    if (count > n)
        abort();
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        const uint8_t *token = sx_tokenizer_bytes(t, ids[i], &length);
        if (length == 0 || length > n - at || memcmp(bytes + at, token, length) != 0 ||
            ends[i] != at + length || sx_tokenizer_is_control(t, ids[i]))
            abort();
        at += length;
    }
    if (at != n)
        abort();
    free(ids);
    free(ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static sx_tokenizer *bundled;
    sx_tokenizer *t = NULL;
    char err[512] = "";

    if (!bundled) {
        const char *path = getenv("SX_TOKENIZER");
        if (!path || sx_tokenizer_open(&bundled, path, SX_MAX_VOCAB, err, sizeof err) < 0) {
            fprintf(stderr, "SX_TOKENIZER: %s\n", err);
            exit(2);
        }
    }
    round_trip(bundled, bytes, n);
    if (n == 0 || bytes[0] != '{')
        return 0;
    if (sx_tokenizer_open(&t, fuzz_file(bytes, n), 512, err, sizeof err) < 0) {
        if (t || strncmp(err, "E-", 2) != 0)
            abort();
        return 0;
    }
    round_trip(t, bytes, n);
    sx_tokenizer_close(t);
    return 0;
}
