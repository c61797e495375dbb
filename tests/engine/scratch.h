/* scratch.h: a folder of a test's own for the files it makes. */
#ifndef SX_SCRATCH_H
#define SX_SCRATCH_H

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[64];

/* malloc that a test need not check */
static inline void *room(size_t n)
{
    void *p = malloc(n ? n : 1);

    if (!p)
        exit(2);
    return p;
}

/* Prints at text + n, where there is room for it; where it ends. */
static inline size_t __attribute__((format(printf, 3, 4)))
add(char *text, size_t n, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    n += (size_t)vsprintf(text + n, format, args);
    va_end(args);
    return n;
}

static inline const char *scratch_path(const char *name)
{
    static char path[400];

    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static inline void scratch_make(void)
{
    strcpy(scratch, "/tmp/sparsex-test-XXXXXX");
    if (!mkdtemp(scratch))
        exit(2);
}

static inline void scratch_write(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(scratch_path(name), "wb");

    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        exit(2);
}

static inline void scratch_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text));
}

/* One byte of a file there is. */
static inline void scratch_poke(const char *name, size_t at, uint8_t byte)
{
    int fd = open(scratch_path(name), O_WRONLY);

    if (fd < 0 || pwrite(fd, &byte, 1, (off_t)at) != 1 || close(fd) != 0)
        exit(2);
}

static inline void scratch_cut(const char *name, size_t n)
{
    if (truncate(scratch_path(name), (off_t)n) != 0)
        exit(2);
}

static inline void scratch_empty(void)
{
    DIR *dir = opendir(scratch);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlink(scratch_path(entry->d_name));
    if (dir)
        closedir(dir);
}

static inline void scratch_remove(void)
{
    scratch_empty();
    rmdir(scratch);
}

#endif
