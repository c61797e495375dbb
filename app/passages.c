/* passages.c: blocks -> what each is read with when a question is to say of it alone how well it
 * answers. A block of 64 tokens seldom holds a whole function, and does not know whose it is: it is
 * read with the first blocks of the definition that it belongs to, as far as that lies in its
 * segment, with the block in which the definition around that one begins (a method's class), and
 * with the end of its path. data/training/data.py (together) teaches the same. */
#include "app/session_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The innermost definition around number `of`, or -1. */
static int32_t around(const sx_details *d, int32_t of)
{
    const sx_rank_definition *inner = &d->ranked[of];

    for (int32_t i = of - 1; i >= 0 && d->ranked[i].file == inner->file; i--)
        if (d->ranked[i].start_byte <= inner->start_byte &&
            d->ranked[i].end_byte >= inner->end_byte)
            return i;
    return -1;
}

static bool holds(const sx_passage *p, uint32_t block)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->blocks[i] == block)
            return true;
    return p->around >= 0 && (uint32_t)p->around == block;
}

/* The definition that owns block b of a piece and begins in that piece, or -1. */
static int32_t owner_of(const sx_session *s, const sx_details *d, const sx_context_piece *piece,
                        uint32_t b)
{
    const uint32_t *bytes = s->block_bytes + piece->first_block;
    sx_rank_block block = sx_session_rank_block(s, piece, b);
    int32_t owner = sx_rank_owner(&block, d->ranked, d->n, "");

    if (owner >= 0 &&
        (d->ranked[owner].start_byte < bytes[0] || d->ranked[owner].start_byte >= piece->byte_end))
        return -1;
    return owner;
}

/* Block `b` of a piece whose blocks are owned by owner[]. */
static void make_passage(sx_passage *out, const sx_session *s, const sx_details *d,
                         const sx_context_piece *piece, const int32_t *owner, uint32_t b,
                         uint32_t n_header)
{
    uint32_t most = s->info->read_blocks - 1, first = b, end = b + 1, block;
    const sx_context_file *file = &s->files[piece->file];
    int32_t outer = owner[b] >= 0 ? around(d, owner[b]) : -1;

    while (owner[b] >= 0 && first > 0 && owner[first - 1] == owner[b])
        first--;
    while (owner[b] >= 0 && end < piece->n_blocks && owner[end] == owner[b])
        end++;
    *out = (sx_passage){.around = -1};
    while (out->n < most && first + out->n < end) {
        out->blocks[out->n] = piece->first_block + first + out->n;
        out->n++;
    }
    if (!holds(out, piece->first_block + b))
        out->blocks[out->n - 1] = piece->first_block + b;
    if (outer >= 0 &&
        sx_session_blocks(s, file, d->ranked[outer].start_byte, d->ranked[outer].start_byte + 1,
                          &block, 1) == 1 &&
        !holds(out, block))
        out->around = (int32_t)block;
    out->path = piece->first_block;
    if (!holds(out, out->path)) {
        out->path_tokens = n_header < s->info->read_path ? n_header : s->info->read_path;
        out->path_first = n_header - out->path_tokens;
    }
}

/* Tokens of the header in front of every segment of a file; 0 if memory is short. */
static uint32_t header_tokens(const sx_session *s, const char *path)
{
    size_t n = strlen(path) + 1, most = s->info->header_tokens, tokens = 0;
    uint32_t *ids = malloc(n * sizeof *ids);
    uint8_t *line = malloc(n);

    if (ids != NULL && line != NULL) {
        memcpy(line, path, n - 1);
        line[n - 1] = '\n';
        tokens = sx_engine_tokenize(s->engine, line, n, ids, NULL) + 1; /* SIZE_MAX: no memory */
    }
    free(ids);
    free(line);
    return (uint32_t)(tokens < most ? tokens : most);
}

typedef struct wanted {
    uint32_t piece, block, at; /* block of the piece; place in blocks[] */
} wanted;

static int by_piece(const void *pa, const void *pb)
{
    const wanted *a = pa, *b = pb;

    if (a->piece != b->piece)
        return a->piece < b->piece ? -1 : 1;
    return a->block < b->block ? -1 : a->block > b->block;
}

int sx_session_passages(sx_session *s, sx_passage *out, const uint32_t *blocks, size_t n,
                        const sx_rank_input *in, sx_failure *failure)
{
    wanted *order = calloc(n + 1, sizeof *order);
    uint32_t *files = calloc(n + 1, sizeof *files), n_header = 0;
    int32_t *owner = NULL;
    sx_rank_input known = in != NULL ? *in : (sx_rank_input){0};
    sx_details d = {0};
    int rc = -ENOMEM;

    if (order == NULL || files == NULL)
        goto out;
    for (size_t i = 0; i < n; i++) {
        sx_context_locate(s->context, blocks[i], &order[i].piece, &order[i].block);
        order[i].at = (uint32_t)i;
        files[i] = s->pieces[order[i].piece].file;
    }
    if ((rc = sx_session_details(&d, s, files, n, failure)) < 0)
        goto out;
    known.definitions = d.ranked;
    known.n_definitions = d.n;
    qsort(order, n, sizeof *order, by_piece);
    for (size_t i = 0; i < n; i++) {
        const sx_context_piece *piece = &s->pieces[order[i].piece];

        if (i == 0 || s->pieces[order[i - 1].piece].file != piece->file)
            n_header = header_tokens(s, s->files[piece->file].path);
        if (i == 0 || order[i - 1].piece != order[i].piece) {
            int32_t *more = reallocarray(owner, piece->n_blocks, sizeof *owner);

            rc = -ENOMEM;
            if (more == NULL)
                goto out;
            owner = more;
            for (uint32_t b = 0; b < piece->n_blocks; b++)
                owner[b] = owner_of(s, &d, piece, b);
        }
        make_passage(&out[order[i].at], s, &d, piece, owner, order[i].block, n_header);
        if (in != NULL) {
            sx_rank_block block = sx_session_rank_block(s, piece, order[i].block);
            out[order[i].at].prior = sx_rank_prior(&block, &known);
        }
    }
    rc = 0;
out:
    if (rc == -ENOMEM)
        sx_failed_with(failure, SX_DOMAIN_MODEL, rc);
    sx_details_clear(&d);
    free(owner);
    free(files);
    free(order);
    return rc;
}
