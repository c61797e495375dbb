/* git_memory.c: see git_memory.h. Past the ceiling an allocation fails, libgit2 gives the object
 * up, and it is recorded as corrupt. */
#include "indexer/git_memory.h"

#include <git2.h>
#include <git2/sys/alloc.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ONE_CAP ((size_t)160 << 20) /* one allocation */
#define ALL_CAP ((size_t)512 << 20) /* all that lives at one time */

static atomic_size_t in_use;

static void *heap_realloc(void *old, size_t size, const char *file, int line)
{
    size_t before = malloc_usable_size(old); /* 0 for NULL */
    void *now = NULL;

    if (size <= ONE_CAP && (size <= before || atomic_load(&in_use) + (size - before) <= ALL_CAP))
        now = realloc(old, size ? size : 1);
    if (now) {
        atomic_fetch_add(&in_use, malloc_usable_size(now));
        atomic_fetch_sub(&in_use, before);
    } else {
        git_error_set_oom();
    }
    return now;
}

static void *heap_malloc(size_t size, const char *file, int line)
{
    return heap_realloc(NULL, size, file, line);
}

static void *heap_realloc_array(void *old, size_t n, size_t size, const char *file, int line)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total))
        total = SIZE_MAX;
    return heap_realloc(old, total, file, line);
}

static void *heap_malloc_array(size_t n, size_t size, const char *file, int line)
{
    return heap_realloc_array(NULL, n, size, file, line);
}

static void *heap_calloc(size_t n, size_t size, const char *file, int line)
{
    void *now = heap_realloc_array(NULL, n, size, file, line);

    if (now)
        memset(now, 0, n * size);
    return now;
}

static char *heap_substrdup(const char *string, size_t n, const char *file, int line)
{
    char *copy = n < SIZE_MAX ? heap_malloc(n + 1, file, line) : NULL;

    if (copy) {
        memcpy(copy, string, n);
        copy[n] = '\0';
    }
    return copy;
}

static char *heap_strndup(const char *string, size_t n, const char *file, int line)
{
    return heap_substrdup(string, strnlen(string, n), file, line);
}

static char *heap_strdup(const char *string, const char *file, int line)
{
    return heap_substrdup(string, strlen(string), file, line);
}

static void heap_free(void *old)
{
    atomic_fetch_sub(&in_use, malloc_usable_size(old));
    free(old);
}

int sx_git_memory_init(void)
{
    static git_allocator heap = {
        .gmalloc = heap_malloc,
        .gcalloc = heap_calloc,
        .gstrdup = heap_strdup,
        .gstrndup = heap_strndup,
        .gsubstrdup = heap_substrdup,
        .grealloc = heap_realloc,
        .greallocarray = heap_realloc_array,
        .gmallocarray = heap_malloc_array,
        .gfree = heap_free,
    };

    return git_libgit2_opts(GIT_OPT_SET_ALLOCATOR, &heap);
}
