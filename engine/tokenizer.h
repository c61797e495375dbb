/* tokenizer.h: bytes <-> tokens. Byte-level BPE as written in a Hugging Face tokenizer.json: merges by
 * rank inside the pieces of a hand-written linear pre-tokenizer (pretokenize.h). Any bytes are accepted,
 * control tokens never come from text, decode(encode(x)) == x. Read-only once open, thread-safe. */
#ifndef SX_TOKENIZER_H
#define SX_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

typedef struct sx_tokenizer sx_tokenizer;

/* vocab_size: ids at or above it are refused (E-VOCAB). *out is the caller's. */
int sx_tokenizer_open(sx_tokenizer **out, const char *path, uint32_t vocab_size, char *err,
                      size_t errlen);
void sx_tokenizer_close(sx_tokenizer *tokenizer);
/* ids, ends: room for n each (a token is at least one byte); ends may be NULL. Returns how many.
 * ends[i] is the offset of the byte behind token i. Linear in n. No allocation for pieces of usual
 * length. Returns SIZE_MAX only when memory is short. */
size_t sx_tokenizer_encode(const sx_tokenizer *tokenizer, const uint8_t *bytes, size_t n, uint32_t *ids,
                           uint32_t *ends);
/* The bytes a token stands for (none for a control token or an id without one); in the tokenizer. */
const uint8_t *sx_tokenizer_bytes(const sx_tokenizer *tokenizer, uint32_t id, size_t *n);
/* Control tokens (`special` in tokenizer.json) are never produced by encode. */
int sx_tokenizer_is_control(const sx_tokenizer *tokenizer, uint32_t id);
const char *sx_tokenizer_fingerprint(const sx_tokenizer *tokenizer); /* hex XXH3-128 of the file */

#endif
