/* segments_test.c: segments and blocks against a table made with the model's Python reference.
 *   segments_test segments_cases.txt
 * The tokenizer is a toy: a run of small letters is a token, and every other byte. */
#include "indexer/segments.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

#define MANY 4096

static size_t toy_tokenize(void *user, const uint8_t *bytes, size_t n, uint32_t *ids,
                           uint32_t *ends)
{
    size_t n_ids = 0;

    (void)user;
    for (size_t i = 0; i < n;) {
        size_t start = i++;
        if (bytes[start] >= 'a' && bytes[start] <= 'z')
            while (i < n && bytes[i] >= 'a' && bytes[i] <= 'z')
                i++;
        ids[n_ids] = 100 + bytes[start];
        ends[n_ids++] = (uint32_t)i;
    }
    return n_ids;
}

static size_t read_numbers(const char *text, uint32_t *out)
{
    size_t n = 0;
    char *end;

    for (;;) {
        unsigned long value = strtoul(text, &end, 10);
        if (end == text || n == MANY)
            return n;
        out[n++] = (uint32_t)value;
        text = end;
    }
}

static bool same(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    return n == m && !memcmp(a, b, n * sizeof *a);
}

static void check_cut(char kind, const char *head, const char *boundaries, const char *expected)
{
    uint32_t b[MANY], want[MANY], found[MANY];
    unsigned n = 0, size = 0;
    size_t n_b = read_numbers(boundaries, b), n_want = read_numbers(expected, want), n_found;

    SX_CHECK(sscanf(head, "%u %u", &n, &size) == 2);
    n_found = kind == 'S' ? sx_cut_segments(n, b, n_b, size, found)
                          : sx_cut_blocks(n, b, n_b, size, found);
    if (!same(found, n_found, want, n_want))
        printf("%c %s| %s: differs\n", kind, head, boundaries);
    SX_CHECK(same(found, n_found, want, n_want));
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n';
}

/* Where a block's first token of text starts in the file; first: the segment's first token of text.
 */
static uint32_t start_of(const sx_block_row *row, size_t first, size_t n_header,
                         const uint32_t *ends)
{
    size_t at = first + (row->token > n_header ? row->token - n_header : 0);
    return at ? ends[at - 1] : 0;
}

/* A whole file: segments and blocks as the table has them, and tokens that are header and text. */
static void check_file(const char *head, const char *boundaries, const char *expected)
{
    static const char alphabet[] = "abc  \n(){};xyz";
    uint32_t b[MANY], ids[MANY], ends[MANY], seed = 0, x;
    unsigned n = 0, segment = 0, block = 0, header = 0;
    char path[64] = "", *found = NULL;
    uint8_t *bytes;
    sx_segments s;
    size_t n_b = read_numbers(boundaries, b), size, token = 0, n_tokens;

    SX_CHECK(sscanf(head, "%u %u %u %u %u %63s", &seed, &n, &segment, &block, &header, path) == 6);
    sx_text_model text = {.file_token = 1,
                          .segment_tokens = segment,
                          .block_tokens = block,
                          .header_tokens = header,
                          .tokenize = toy_tokenize};
    bytes = malloc(n + 1);
    if (!bytes || n > MANY)
        return;
    x = seed;
    for (unsigned i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)alphabet[(x >> 16) % (sizeof alphabet - 1)];
    }
    n_tokens = toy_tokenize(NULL, bytes, n, ids, ends);
    SX_CHECK(sx_segments_make(&s, &text, path, bytes, n, b, n_b) == 0);

    FILE *out = open_memstream(&found, &size);
    for (size_t i = 0; out && i < s.n_segments; i++) {
        const sx_segment *one = &s.segments[i];
        uint32_t path_ids[64], path_ends[64];
        size_t n_path = toy_tokenize(NULL, (const uint8_t *)path, strlen(path), path_ids,
                                     path_ends);
        size_t n_header = n_path + 2 < header ? n_path + 2 : header;

        fprintf(out, "%s%u %u..%u", i ? "; " : "", one->n_tokens, one->byte_start, one->byte_end);
        for (uint32_t k = 0; k < one->n_blocks; k++) {
            const sx_block_row *row = &one->blocks[k];
            uint32_t start = start_of(row, token, n_header, ends);
            uint32_t next = k + 1 < one->n_blocks ? start_of(row + 1, token, n_header, ends)
                                                  : one->byte_end;

            fprintf(out, " %u@%u", row->token,
                    start); /* the table's place; ours is behind blanks */
            SX_CHECK(row->byte == start || (row->byte > start && row->byte < next));
            for (uint32_t c = start; c < row->byte; c++)
                SX_CHECK(is_blank(bytes[c]));
            SX_CHECK(row->byte + 1 >= next || !is_blank(bytes[row->byte]));
        }
        SX_CHECK(one->tokens[0] == 1);
        SX_CHECK(!memcmp(one->tokens + 1, path_ids,
                         (n_header - 1 < n_path ? n_header - 1 : n_path) * sizeof *path_ids));
        SX_CHECK(n_header <= n_path + 1 || one->tokens[n_header - 1] == 100 + '\n');
        for (size_t k = n_header; k < one->n_tokens; k++)
            SX_CHECK(token < n_tokens && one->tokens[k] == ids[token++]);
    }
    if (out)
        fclose(out);
    SX_CHECK(token == n_tokens);
    SX_CHECK(found && !strcmp(found, expected));
    if (found && strcmp(found, expected))
        printf("M %s:\n  expected %s\n  found    %s\n", head, expected, found);
    free(found);
    free(bytes);
    sx_segments_free(&s);
}

int main(int argc, char **argv)
{
    static char line[1 << 16];
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    int cases = 0;

    if (!file) {
        fprintf(stderr, "usage: segments_test segments_cases.txt\n");
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        char *head = line + 2, *boundaries, *expected;

        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#')
            continue;
        boundaries = strchr(line, '|');
        expected = boundaries ? strchr(boundaries + 1, '|') : NULL;
        if (!expected)
            continue;
        *boundaries++ = *expected++ = '\0';
        if (*expected == ' ')
            expected++;
        if (line[0] == 'M')
            check_file(head, boundaries, expected);
        else
            check_cut(line[0], head, boundaries, expected);
        cases++;
    }
    fclose(file);
    SX_CHECK(cases > 200);
    return sx_check_end();
}
