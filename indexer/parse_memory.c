/* parse_memory.c: a region allocator with free lists, bounded, that jumps out instead of failing.
 * Small blocks are carved from 1 MiB chunks in steps of 16 bytes; large ones hang in a list.
 * A block's header holds its size; what is behind the asked size is poisoned for AddressSanitizer.
 */
#include "indexer/parse_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SX_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SX_WITH_ASAN 1
#endif
#endif
#ifdef SX_WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, n)   ((void)(start), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(start, n) ((void)(start), (void)(n))
#endif

#define CHUNK ((size_t)1 << 20)

typedef struct sx_parse_chunk {
    struct sx_parse_chunk *next;
    uint64_t padding; /* blocks start 16 bytes into the chunk, their payload 8 further */
} sx_parse_chunk;

typedef struct sx_parse_large {
    struct sx_parse_large *previous, *next;
    uint64_t padding;
    uint64_t size; /* the header of the block, in the place where small blocks have it */
} sx_parse_large;

static _Thread_local sx_parse_memory *current;

void sx_parse_memory_init(sx_parse_memory *memory, size_t limit, size_t keep)
{
    memset(memory, 0, sizeof *memory);
    memory->limit = limit;
    memory->keep = keep;
}

void sx_parse_memory_enter(sx_parse_memory *memory)
{
    current = memory;
}

static _Noreturn void escape(const char *why)
{
    current->why = why;
    longjmp(current->escape, 1);
}

static void account(sx_parse_memory *memory, size_t n)
{
    if (n > memory->limit - memory->used)
        escape("memory");
    memory->used += n;
}

void sx_parse_memory_reset(sx_parse_memory *memory)
{
    size_t kept = 0;

    while (memory->large) {
        sx_parse_large *next = memory->large->next;
        free(memory->large);
        memory->large = next;
    }
    for (sx_parse_chunk *c = memory->spare; c; c = c->next)
        kept += CHUNK;
    while (memory->chunks) {
        sx_parse_chunk *chunk = memory->chunks;
        memory->chunks = chunk->next;
        ASAN_UNPOISON_MEMORY_REGION(chunk, CHUNK);
        if (kept + CHUNK <= memory->keep) {
            kept += CHUNK;
            chunk->next = memory->spare;
            memory->spare = chunk;
        } else {
            munmap(chunk, CHUNK);
        }
    }
    memset(memory->unused, 0, sizeof memory->unused);
    memory->at = memory->end = NULL;
    memory->used = 0;
}

void sx_parse_memory_free(sx_parse_memory *memory)
{
    memory->keep = 0;
    sx_parse_memory_reset(memory);
    while (memory->spare) {
        sx_parse_chunk *chunk = memory->spare;
        memory->spare = chunk->next;
        munmap(chunk, CHUNK);
    }
}

static void chunk_take(sx_parse_memory *memory)
{
    sx_parse_chunk *chunk = memory->spare;

    account(memory, CHUNK);
    if (chunk) {
        memory->spare = chunk->next;
    } else {
        chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED)
            escape("no-memory");
    }
    chunk->next = memory->chunks;
    memory->chunks = chunk;
    memory->at = (uint8_t *)(chunk + 1);
    memory->end = (uint8_t *)chunk + CHUNK;
    ASAN_POISON_MEMORY_REGION(memory->at, (size_t)(memory->end - memory->at));
}

/* Where a block's size stands: the 8 bytes in front of it. */
static uint64_t *block_size(void *block)
{
    return (uint64_t *)block - 1;
}

static void *small_alloc(sx_parse_memory *memory, size_t n)
{
    size_t step = (n + sizeof(uint64_t) + 15) / 16; /* of 16 bytes, header included */
    uint8_t *block = memory->unused[step];

    if (block) {
        ASAN_UNPOISON_MEMORY_REGION(block, n);
        memcpy(&memory->unused[step], block, sizeof(void *));
    } else {
        if ((size_t)(memory->end - memory->at) < step * 16)
            chunk_take(memory);
        block = memory->at + sizeof(uint64_t);
        memory->at += step * 16;
        ASAN_UNPOISON_MEMORY_REGION(block - sizeof(uint64_t), sizeof(uint64_t) + n);
    }
    *block_size(block) = n;
    return block;
}

static void large_link(sx_parse_memory *memory, sx_parse_large *large, size_t n)
{
    large->size = n;
    large->previous = NULL;
    large->next = memory->large;
    if (large->next)
        large->next->previous = large;
    memory->large = large;
}

static void large_unlink(sx_parse_memory *memory, sx_parse_large *large)
{
    if (large->previous)
        large->previous->next = large->next;
    else
        memory->large = large->next;
    if (large->next)
        large->next->previous = large->previous;
    memory->used -= large->size;
}

void *sx_parse_malloc(size_t n)
{
    sx_parse_memory *memory = current;
    sx_parse_large *large;

    if (n < 16)
        n = 16; /* some scanners ask for nothing and write to it */
    if (n <= SX_PARSE_SMALL)
        return small_alloc(memory, n);
    account(memory, n);
    if (n > SIZE_MAX - sizeof *large || !(large = malloc(sizeof *large + n)))
        escape("no-memory");
    large_link(memory, large, n);
    return large + 1;
}

void *sx_parse_calloc(size_t count, size_t n)
{
    void *block;

    if (__builtin_mul_overflow(count, n, &n))
        escape("memory");
    block = sx_parse_malloc(n);
    memset(block, 0, n < 16 ? 16 : n);
    return block;
}

void sx_parse_dealloc(void *block)
{
    sx_parse_memory *memory = current;
    uint64_t n;

    if (!block)
        return;
    n = *block_size(block);
    if (n > SX_PARSE_SMALL) {
        sx_parse_large *large = (sx_parse_large *)block - 1;
        large_unlink(memory, large);
        free(large);
        return;
    }
    size_t step = (n + sizeof(uint64_t) + 15) / 16;
    memcpy(block, &memory->unused[step], sizeof(void *));
    memory->unused[step] = block;
    ASAN_POISON_MEMORY_REGION(block, n);
}

void *sx_parse_realloc(void *block, size_t n)
{
    sx_parse_memory *memory = current;
    uint64_t had;
    void *grown;

    if (!block)
        return sx_parse_malloc(n);
    had = *block_size(block);
    if (had > SX_PARSE_SMALL && n > SX_PARSE_SMALL) {
        sx_parse_large *large = (sx_parse_large *)block - 1, *moved;
        if (n > had)
            account(memory, n - had); /* before it moves: a jump leaves the list whole */
        else
            memory->used -= had - n;
        large_unlink(memory, large);
        memory->used += had;
        if (n > SIZE_MAX - sizeof *large || !(moved = realloc(large, sizeof *large + n))) {
            large_link(memory, large, had);
            escape("no-memory");
        }
        large_link(memory, moved, n);
        return moved + 1;
    }
    grown = sx_parse_malloc(n);
    memcpy(grown, block, had < n ? had : n);
    sx_parse_dealloc(block);
    return grown;
}

_Noreturn void sx_parse_abort(void)
{
    escape("assertion");
}

_Noreturn void sx_parse_assert_fail(const char *expression, const char *file, unsigned line,
                                    const char *function)
{
    (void)expression, (void)file, (void)line, (void)function;
    escape("assertion");
}
