/* segments.h: definitions + tokens -> segments and blocks (design.md section 3, reference
 * cut_segments and cut_blocks). No git, no SQL, no tree-sitter. */
#ifndef SX_SEGMENTS_H
#define SX_SEGMENTS_H

#include "indexer/indexer.h"

/* Cuts [0, n_tokens) at the last boundary in the second half of each `segment` tokens.
 * boundaries: token indices, ascending. ends: room for n_tokens / (segment / 2) + 2; returns how
 * many segments; segment i is [ends[i-1], ends[i]). */
size_t sx_cut_segments(uint32_t n_tokens, const uint32_t *boundaries, size_t n_boundaries,
                       uint32_t segment, uint32_t *ends);

/* Block starts of a segment of n_tokens: 0, every boundary, every `block` tokens after those; a
 * boundary less than 8 tokens behind the previous start joins that block if the whole still fits
 * (never the first block). starts: room for n_tokens; returns how many. */
size_t sx_cut_blocks(uint32_t n_tokens, const uint32_t *boundaries, size_t n_boundaries,
                     uint32_t block, uint32_t *starts);

/* A whole file: path, bytes and the byte offsets of its boundaries -> segments with tokens, header
 * included, and blocks. */
typedef struct sx_segment {
    uint32_t n_tokens, n_blocks, byte_start, byte_end;
    uint32_t *tokens;     /* into sx_segments.tokens */
    sx_block_row *blocks; /* into sx_segments.blocks */
} sx_segment;
typedef struct sx_segments {
    sx_segment *segments;
    size_t n_segments;
    uint32_t *tokens;
    sx_block_row *blocks;
    size_t n_tokens, n_blocks; /* of the file, all segments, headers included */
} sx_segments;
/* boundaries: byte offsets, any order, duplicates allowed, those behind the text (SX_NO_BOUNDARY)
 * mean nothing; overwritten. 0, -ENOMEM, -EFBIG for 4 GiB and more, -EINVAL for a text model that
 * leaves no room in a segment. */
int sx_segments_make(sx_segments *out, const sx_text_model *text, const char *path,
                     const uint8_t *bytes, size_t n, uint32_t *boundaries, size_t n_boundaries);
void sx_segments_free(sx_segments *segments); /* frees the arrays, not the struct */

#endif
