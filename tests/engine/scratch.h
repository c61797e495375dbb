/* scratch.h: a folder of a test's own for the files it makes. */
#ifndef SX_SCRATCH_H
#define SX_SCRATCH_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[64];

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
