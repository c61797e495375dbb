/* bpe.h: byte-pair merging inside one piece. Knows ids and ranks only: no bytes of tokens, no file.
 * Read-only once filled. */
#ifndef SX_BPE_H
#define SX_BPE_H

#include <stddef.h>
#include <stdint.h>

#define SX_NONE       UINT32_MAX /* no token */
#define SX_MAX_MERGES ((1u << 24) - 2)

typedef struct sx_bpe {
    uint32_t byte_id[256]; /* the token of a single byte; SX_NONE until set */
    uint32_t *merged;      /* rank -> id of the join */
    /* hash table, slot = left << 44 | right << 24 | rank: ids below 2^20,
     * ranks below SX_MAX_MERGES */
    uint64_t *slots;
    unsigned shift; /* 64 - log2(number of slots) */
} sx_bpe;

/* Room for merges of rank 0 to n - 1. 0 or -ENOMEM. */
int sx_bpe_init(sx_bpe *bpe, size_t n);
void sx_bpe_clear(sx_bpe *bpe);
/* Neighbours left, right become `joined`; the lower the rank, the earlier. -EEXIST: the pair has a
 * rank. */
int sx_bpe_add(sx_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t joined);

/* ids: room for n (n > 0). Returns how many tokens; SIZE_MAX only when memory is short, which a
 * piece of up to 64 bytes never asks for; a longer one takes about 17 bytes a byte and O(n log n).
 */
size_t sx_bpe_merge(const sx_bpe *bpe, const uint8_t *bytes, size_t n, uint32_t *ids);

#endif
