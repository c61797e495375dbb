/* tokenizer.h: bytes <-> tokens. Byte-level BPE as written in a Hugging Face tokenizer.json: merges
 * by rank inside the pieces of a hand-written linear pre-tokenizer (pretokenize.h). Any bytes are
 * accepted, control tokens never come from text, decode(encode(x)) == x. Read-only once open,
 * thread-safe. */
#ifndef SX_TOKENIZER_H
#define SX_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#define SX_MAX_VOCAB     (1u << 20)
#define SX_MAX_TOKENIZER (64u << 20) /* bytes of tokenizer.json */

typedef struct sx_tokenizer sx_tokenizer;

/* vocab_size: ids at or above it are refused. What a file may not ask for (another model than BPE
 * on bytes, a normalizer, an unknown pattern, added tokens that are not special) is refused too,
 * never approximated: -EBADMSG and E-VOCAB, or E-MODEL-FILE. *out is the caller's. */
int sx_tokenizer_open(sx_tokenizer **out, const char *path, uint32_t vocab_size, char *err,
                      size_t errlen);
void sx_tokenizer_close(sx_tokenizer *tokenizer);
/* ids, ends: room for n each (a token is at least one byte); ends may be NULL. Returns how many.
 * ends[i] is the offset of the byte behind token i. Time n, or n log n inside a piece (a run
 * without a boundary) above 64 bytes, which also takes about 17 bytes of memory for each of its
 * own; no other allocation. Returns SIZE_MAX only when memory is short or n is 4 GiB or more. */
size_t sx_tokenizer_encode(const sx_tokenizer *tokenizer, const uint8_t *bytes, size_t n,
                           uint32_t *ids, uint32_t *ends);
/* The bytes a token stands for (none for a control token or an id without one); in the tokenizer.
 */
const uint8_t *sx_tokenizer_bytes(const sx_tokenizer *tokenizer, uint32_t id, size_t *n);
/* Control tokens (`special` in tokenizer.json) are never produced by encode. */
int sx_tokenizer_is_control(const sx_tokenizer *tokenizer, uint32_t id);
const char *sx_tokenizer_fingerprint(const sx_tokenizer *tokenizer); /* hex XXH3-128 of the file */

#endif
