/* parse_memory.h: the heap that tree-sitter and its grammars get, one region a file.
 *
 * The core and the scanners are compiled with malloc, calloc, realloc, free, abort and a failing
 * assert() renamed to the functions below (indexer/grammars/meson.build). They take from the region
 * that is current on their thread. Two things follow which tree-sitter alone cannot give: a file
 * that needs more than its limit, or makes a grammar's assertion fail, ends in a longjmp to the
 * caller and not in the death of the process; and everything a file used goes back in one step,
 * also after such a jump. Knows nothing of syntax. */
#ifndef SX_PARSE_MEMORY_H
#define SX_PARSE_MEMORY_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SX_PARSE_SMALL   2048 /* bytes; larger blocks come from the C library one by one */
#define SX_PARSE_CLASSES (SX_PARSE_SMALL / 16 + 2) /* a block has a header of 8 bytes */

typedef struct sx_parse_memory {
    size_t limit, used;             /* bytes taken from the system */
    size_t keep;                    /* this much stays mapped for the next file */
    struct sx_parse_chunk *chunks;  /* in use, newest first */
    struct sx_parse_chunk *spare;   /* mapped, not in use */
    uint8_t *at, *end;              /* what is left of the newest chunk */
    void *unused[SX_PARSE_CLASSES]; /* freed blocks by size, header included, in steps of 16 */
    struct sx_parse_large *large;
    jmp_buf escape;  /* set by the caller before entering */
    const char *why; /* after a jump: "memory", "no-memory" or "assertion" */
} sx_parse_memory;

void sx_parse_memory_init(sx_parse_memory *memory, size_t limit, size_t keep);
/* Makes the region current on this thread. memory->escape must be set; NULL: none is current. */
void sx_parse_memory_enter(sx_parse_memory *memory);
/* Takes back every block at once. */
void sx_parse_memory_reset(sx_parse_memory *memory);
void sx_parse_memory_free(sx_parse_memory *memory); /* reset, and keeps nothing */

/* What the compiled sources of others call. Without a current region they must not be called. */
void *sx_parse_malloc(size_t n);
void *sx_parse_calloc(size_t count, size_t n);
void *sx_parse_realloc(void *block, size_t n);
void sx_parse_dealloc(void *block);
_Noreturn void sx_parse_abort(void);
_Noreturn void sx_parse_assert_fail(const char *expression, const char *file, unsigned line,
                                    const char *function);

#endif
