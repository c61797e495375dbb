/* pack.h: rows of numbers <-> the compact bytes the catalogue stores. No SQL, no git.
 *
 *   varint    7 bits a byte, low bits first, high bit: more follows
 *   tokens    one byte, 2 or 4: bytes an id; then the ids, little endian
 *   blocks    per block: varint tokens, varint bytes since the block before (the first: since 0
 *             and byte_start)
 *   places    per reference: varint bytes, varint lines since the one before,
 *             varint definition + 1
 *   files     per file: varint of the zigzag difference to the id before
 *   units     per unit: varint bytes since the start of the one before, varint bytes,
 *             varint 4 * length + sort, varint words; then
 *             per word, by hash: varint since the hash before (the first: since 0),
 *             varint 2 * body, and 1 more if a varint head follows
 *
 * What is read back is untrusted: the readers check every bound and return -EBADMSG. */
#ifndef SX_PACK_H
#define SX_PACK_H

#include "indexer/definitions.h"
#include "indexer/indexer.h"

typedef struct sx_bytes { /* a growing buffer */
    uint8_t *at;
    size_t n, cap;
    bool failed; /* memory ran short; what was written since is lost */
} sx_bytes;
void sx_bytes_free(sx_bytes *bytes);
void sx_bytes_put(sx_bytes *bytes, const void *from, size_t n);
void sx_bytes_put_varint(sx_bytes *bytes, uint64_t value);

typedef enum sx_unit_sort {
    SX_UNIT_LINES,
    SX_UNIT_FUNCTION,
    SX_UNIT_TYPE,  /* or another definition that holds definitions: a module, a namespace */
    SX_UNIT_VALUE, /* constant, variable, property, macro */
} sx_unit_sort;

/* A part of a file that is found by its words: a definition's own text, or lines outside of any. */
typedef struct sx_unit {
    uint32_t start_byte, end_byte;
    uint32_t length; /* terms of its body, repetitions counted */
    uint32_t sort;
    uint32_t n_words;
} sx_unit;
typedef struct sx_word { /* a term of a unit; units.h says what the two numbers count */
    uint32_t hash;
    uint8_t head, body;
} sx_word;
enum { SX_UNIT_WORDS = 4096 }; /* most words of one unit */

/* All packers append to out; look at out->failed once at the end. */
void sx_pack_tokens(sx_bytes *out, const uint32_t *ids, size_t n);
void sx_pack_blocks(sx_bytes *out, const sx_block_row *blocks, size_t n, uint32_t byte_start);
void sx_pack_place(sx_bytes *out, const sx_reference *place, const sx_reference *before);
void sx_pack_file(sx_bytes *out, int64_t id, int64_t before);
/* words: [unit->n_words], by hash, no hash twice. before: start_byte of the unit before, at most
 * this one's. */
void sx_pack_unit(sx_bytes *out, const sx_unit *unit, const sx_word *words, uint32_t before);

/* ids: room for n; blocks: room for n. */
int sx_unpack_tokens(uint32_t *ids, size_t n, const uint8_t *from, size_t n_from);
int sx_unpack_blocks(sx_block_row *blocks, size_t n, uint32_t byte_start, uint32_t byte_end,
                     uint32_t n_tokens, const uint8_t *from, size_t n_from);
/* One place or file; *at moves on. 1, 0 at the end, -EBADMSG. place->end_byte is the caller's. */
int sx_unpack_place(sx_reference *place, const uint8_t *from, size_t n_from, size_t *at);
int sx_unpack_file(int64_t *id, const uint8_t *from, size_t n_from, size_t *at);
/* The next unit; the one before is in *unit, zero at first. words: room for SX_UNIT_WORDS. size: of
 * the blob. 1, 0 at the end, -EBADMSG. */
int sx_unpack_unit(sx_unit *unit, sx_word *words, int64_t size, const uint8_t *from, size_t n_from,
                   size_t *at);

#endif
