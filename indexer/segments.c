/* segments.c: definitions + tokens -> segments and blocks, as cut_segments and cut_blocks of the
 * model's reference have them. Knows no git, no SQL, no trees, and of the model only sx_text_model.
 */
#include "indexer/segments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Tokens: a boundary closer than this behind the start of a block may join that block. */
#define TINY 8

/* How many of the ascending `boundaries` are at most `limit`. */
static size_t count_upto(const uint32_t *boundaries, size_t n, uint64_t limit)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (boundaries[middle] <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t sx_cut_segments(uint32_t n_tokens, const uint32_t *boundaries, size_t n_boundaries,
                       uint32_t segment, uint32_t *ends)
{
    size_t n = 0;

    for (uint32_t start = 0; start < n_tokens;) {
        uint32_t end = n_tokens;
        if (n_tokens - start > segment) {
            end = start + segment;
            size_t upto = count_upto(boundaries, n_boundaries, end);
            if (upto > 0 && boundaries[upto - 1] > start + segment / 2)
                end = boundaries[upto - 1];
        }
        ends[n++] = end;
        start = end;
    }
    return n;
}

size_t sx_cut_blocks(uint32_t n_tokens, const uint32_t *boundaries, size_t n_boundaries,
                     uint32_t block, uint32_t *starts)
{
    uint32_t at = 0; /* the boundary that is looked at; 0 is always one */
    size_t n = 0, i = 0;

    while (at < n_tokens) {
        uint32_t next;
        while (i < n_boundaries && boundaries[i] <= at)
            i++;
        next = i < n_boundaries && boundaries[i] < n_tokens ? boundaries[i] : n_tokens;
        if (!(n > 0 && starts[n - 1] != 0 && at - starts[n - 1] < TINY &&
              next - starts[n - 1] <= block))
            for (uint64_t start = at; start < next; start += block)
                starts[n++] = (uint32_t)start;
        at = next;
    }
    return n;
}

static int number_ascending(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

    return (a > b) - (a < b);
}

/* Byte offsets -> indices of the first token that ends behind each; ascending, without repetition.
 * An offset behind the last byte stands for no token. */
static size_t boundaries_to_tokens(uint32_t *boundaries, size_t n_boundaries, const uint32_t *ends,
                                   size_t n_tokens)
{
    size_t n = 0, token = 0;

    if (n_boundaries > 1)
        qsort(boundaries, n_boundaries, sizeof *boundaries, number_ascending);
    for (size_t i = 0; i < n_boundaries; i++) {
        while (token < n_tokens && ends[token] <= boundaries[i])
            token++;
        if (token == n_tokens)
            break;
        if (n == 0 || boundaries[n - 1] != token)
            boundaries[n++] = (uint32_t)token;
    }
    return n;
}

/* *header: `<file>` and the tokens of `path\n`, at most header_tokens; the caller's, for free(). */
static int make_header(uint32_t **header, size_t *n_header, const sx_text_model *text,
                       const char *path)
{
    size_t n = strlen(path) + 1, room = text->header_tokens ? text->header_tokens : 1, n_ids;
    uint32_t *ids = malloc((n + 1) * sizeof *ids), *ends = malloc(n * sizeof *ends);
    uint8_t *line = malloc(n);
    int rc = -ENOMEM;

    if (!ids || !ends || !line)
        goto out;
    memcpy(line, path, n - 1);
    line[n - 1] = '\n';
    ids[0] = text->file_token;
    n_ids = text->tokenize(text->user, line, n, ids + 1, ends) + 1;
    *n_header = n_ids < room ? n_ids : room;
    *header = ids;
    ids = NULL;
    rc = 0;
out:
    free(line);
    free(ends);
    free(ids);
    return rc;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int sx_segments_make(sx_segments *out, const sx_text_model *text, const char *path,
                     const uint8_t *bytes, size_t n, uint32_t *boundaries, size_t n_boundaries)
{
    uint32_t *ids = NULL, *ends = NULL, *header = NULL, *cuts = NULL, *starts = NULL,
             *inside = NULL;
    size_t n_header = 0, n_tokens, n_cuts, room, first = 0;
    uint32_t begin = 0;
    int rc = -ENOMEM;

    memset(out, 0, sizeof *out);
    if (n == 0)
        return 0;
    if (n >= UINT32_MAX)
        return -EFBIG;
    if (text->segment_tokens < 2 || text->block_tokens < 1)
        return -EINVAL;
    if (!(ids = malloc(n * sizeof *ids)) || !(ends = malloc(n * sizeof *ends)) ||
        (rc = make_header(&header, &n_header, text, path)) < 0)
        goto out;
    rc = -ENOMEM;
    n_tokens = text->tokenize(text->user, bytes, n, ids, ends);
    n_boundaries = boundaries_to_tokens(boundaries, n_boundaries, ends, n_tokens);

    room = n_tokens / (text->segment_tokens / 2) + 2;
    if (!(cuts = malloc(room * sizeof *cuts)))
        goto out;
    n_cuts = sx_cut_segments((uint32_t)n_tokens, boundaries, n_boundaries, text->segment_tokens,
                             cuts);
    /* a block ends at a boundary, at a segment's end, or is full */
    room = (n_tokens + n_cuts * n_header) / text->block_tokens + n_boundaries + 2 * n_cuts + 1;
    starts = malloc((text->segment_tokens + n_header) * sizeof *starts);
    inside = malloc((n_boundaries + 1) * sizeof *inside);
    out->segments = calloc(n_cuts + 1, sizeof *out->segments);
    out->tokens = malloc((n_tokens + n_cuts * n_header + 1) * sizeof *out->tokens);
    out->blocks = malloc(room * sizeof *out->blocks);
    if (!starts || !inside || !out->segments || !out->tokens || !out->blocks)
        goto out;

    for (size_t i = 0; i < n_cuts; begin = cuts[i++]) {
        sx_segment *s = &out->segments[out->n_segments++];
        size_t n_inside = 0;

        s->n_tokens = (uint32_t)n_header + cuts[i] - begin;
        s->byte_start = begin ? ends[begin - 1] : 0;
        s->byte_end = ends[cuts[i] - 1];
        s->tokens = out->tokens + out->n_tokens;
        s->blocks = out->blocks + out->n_blocks;
        memcpy(s->tokens, header, n_header * sizeof *header);
        memcpy(s->tokens + n_header, ids + begin, (cuts[i] - begin) * sizeof *ids);
        for (; first < n_boundaries && boundaries[first] < cuts[i]; first++)
            inside[n_inside++] = (uint32_t)n_header + boundaries[first] - begin;
        s->n_blocks = (uint32_t)sx_cut_blocks(s->n_tokens, inside, n_inside, text->block_tokens,
                                              starts);
        for (uint32_t b = 0; b < s->n_blocks; b++) {
            uint32_t token = starts[b] > n_header ? begin + starts[b] - (uint32_t)n_header : begin;
            s->blocks[b] = (sx_block_row){starts[b], token ? ends[token - 1] : 0};
        }
        /* indentation in front of a definition is the block's first tokens, but not where it starts
         */
        for (uint32_t b = 0; b < s->n_blocks; b++) {
            uint32_t end = b + 1 < s->n_blocks ? s->blocks[b + 1].byte : s->byte_end;
            while (s->blocks[b].byte + 1 < end && is_blank(bytes[s->blocks[b].byte]))
                s->blocks[b].byte++;
        }
        out->n_tokens += s->n_tokens;
        out->n_blocks += s->n_blocks;
    }
    rc = 0;
out:
    if (rc < 0)
        sx_segments_free(out);
    free(inside);
    free(starts);
    free(cuts);
    free(header);
    free(ends);
    free(ids);
    return rc;
}

void sx_segments_free(sx_segments *segments)
{
    free(segments->segments);
    free(segments->tokens);
    free(segments->blocks);
    memset(segments, 0, sizeof *segments);
}
