/* lexical.c: the words of a question -> the units that hold them -> blocks of the context.
 * Landmarks rank by meaning; rare words and names are found here. Must not know how either ranks.
 */
#include "app/session_private.h"

#include <string.h>

/* The file of the context with that path, or NULL: it is not encoded yet. */
static const sx_context_file *file_named(const sx_session *s, const char *path)
{
    size_t low = 0, high = s->n_files;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(s->files[s->by_path[middle]].path, path);

        if (order == 0)
            return &s->files[s->by_path[middle]];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

sx_rank_block sx_session_rank_block(const sx_session *s, const sx_context_piece *piece, uint32_t b)
{
    const uint32_t *bytes = s->block_bytes + piece->first_block;

    return (sx_rank_block){.file = piece->file,
                           .start_byte = bytes[b],
                           .end_byte = b + 1 < piece->n_blocks ? bytes[b + 1] : piece->byte_end,
                           .aside = s->files[piece->file].aside};
}

size_t sx_session_blocks(const sx_session *s, const sx_context_file *file, uint32_t start,
                         uint32_t end, uint32_t *blocks, size_t most)
{
    size_t n = 0;

    for (size_t p = file->first_piece; p < file->first_piece + file->n_pieces; p++) {
        const sx_context_piece *piece = &s->pieces[p];

        for (uint32_t b = 0; b < piece->n_blocks && n < most; b++) {
            sx_rank_block block = sx_session_rank_block(s, piece, b);

            if (block.start_byte < end && block.end_byte > start)
                blocks[n++] = piece->first_block + b;
        }
    }
    return n;
}

int sx_session_propose(sx_session *s, const char *question, sx_rank_find *finds, size_t *n_finds,
                       uint32_t *blocks, size_t *n_blocks)
{
    enum { MOST_HITS = 1024 }; /* four of five files may be tests, of which few count */
    sx_word_hit hits[MOST_HITS];
    int n = sx_words_find(s->words, question, hits, sizeof hits / sizeof *hits, NULL, 0);
    size_t aside = 0, most_aside = sx_question_of_tests(question) ? SX_FINDS : SX_FINDS_ASIDE;

    *n_finds = *n_blocks = 0;
    for (int i = 0; i < n && *n_finds < SX_FINDS; i++) {
        const sx_context_file *file = file_named(s, hits[i].path);

        if (file == NULL || file->blob_id != hits[i].blob_id ||
            (file->aside && aside++ >= most_aside))
            continue;
        size_t found = sx_session_blocks(s, file, hits[i].start_byte, hits[i].end_byte,
                                         blocks + *n_blocks, SX_FIND_BLOCKS);
        if (found == 0)
            continue; /* that part of the file is not encoded yet */
        *n_blocks += found;
        finds[(*n_finds)++] = (sx_rank_find){(uint32_t)(file - s->files), hits[i].start_byte,
                                             hits[i].end_byte, hits[i].score};
    }
    return n < 0 ? n : 0;
}
