/* pack.h: rows of numbers <-> the compact bytes the catalogue stores. No SQL, no git.
 *
 *   varint    7 bits a byte, low bits first, high bit: more follows
 *   tokens    one byte, 2 or 4: bytes an id; then the ids, little endian
 *   blocks    per block: varint tokens, varint bytes since the block before (since 0 and
 * byte_start) places    per reference: varint bytes, varint lines since the one before, varint
 * definition + 1 files     per file: varint of the zigzag difference to the id before
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

/* All packers append to out; look at out->failed once at the end. */
void sx_pack_tokens(sx_bytes *out, const uint32_t *ids, size_t n);
void sx_pack_blocks(sx_bytes *out, const sx_block_row *blocks, size_t n, uint32_t byte_start);
void sx_pack_place(sx_bytes *out, const sx_reference *place, const sx_reference *before);
void sx_pack_file(sx_bytes *out, int64_t id, int64_t before);

/* ids: room for n; blocks: room for n. */
int sx_unpack_tokens(uint32_t *ids, size_t n, const uint8_t *from, size_t n_from);
int sx_unpack_blocks(sx_block_row *blocks, size_t n, uint32_t byte_start, uint32_t byte_end,
                     uint32_t n_tokens, const uint8_t *from, size_t n_from);
/* One place or file; *at moves on. 1, 0 at the end, -EBADMSG. place->end_byte is the caller's. */
int sx_unpack_place(sx_reference *place, const uint8_t *from, size_t n_from, size_t *at);
int sx_unpack_file(int64_t *id, const uint8_t *from, size_t n_from, size_t *at);

#endif
