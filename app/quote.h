/* quote.h: is what the model wrote a quotation of the source? Then the source's own lines are
 * printed, never the model's copy of them (it miscopies bytes and stops in the middle of a line).
 *
 * The text is compared with the bytes of the spans it may come from, white space folded and comment
 * leaders at the beginning of a line skipped. It is a quotation of lines if at least 16 bytes, or
 * its whole first line, agree from its beginning on; what diverges later does not matter. In spans
 * behind the first, three quarters of the first line must agree. A shorter
 * text that stands as a whole word in a span is a value, and the line it stands in is its proof.
 * Pure: bytes in, offsets out. */
#ifndef SX_APP_QUOTE_H
#define SX_APP_QUOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_quote_source { /* one span, best first; offsets are checked by the caller */
    const uint8_t *bytes;        /* the whole blob */
    size_t n;
    uint32_t doc_start, doc_end; /* equal: none */
    uint32_t start, end;         /* the definition, or the block's bytes */
    uint32_t signature_end;      /* start where there is none */
} sx_quote_source;

typedef enum sx_quote_kind {
    SX_QUOTE_UNDECIDED, /* too short to tell, and more may come */
    SX_QUOTE_LINES,
    SX_QUOTE_VALUE,
    SX_QUOTE_NONE
} sx_quote_kind;

typedef struct sx_quote {
    sx_quote_kind kind;
    size_t source;       /* index of the source, for LINES and VALUE */
    uint32_t start, end; /* whole lines of its blob, last newline not included */
} sx_quote;

#define SX_QUOTE_MAX_LINES 40

/* finished: no more text will come. */
sx_quote sx_quote_find(const char *text, size_t n, bool finished, const sx_quote_source *sources,
                       size_t n_sources);
/* The lines by which a span is shown where nothing quotes it: the doc comment in front and the
 * signature, or its first line; the last newline not included. */
void sx_quote_head(const sx_quote_source *source, uint32_t *start, uint32_t *end);

#endif
