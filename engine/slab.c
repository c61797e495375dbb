/* slab.c: append-only files of fixed-size rows, behind a page that says what they are.
 * Rows are written with pwrite and read through a mapping that grows when rows behind it are asked
 * for; older mappings stay until close, so addresses given out stay good. */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES 4096
static const char magic[16] = "sparsex slab 1\n";

typedef struct slab_head {
    char magic[16];
    uint64_t row_bytes;
} slab_head;

typedef struct slab_map {
    struct slab_map *older;
    char *base;
    size_t bytes;
} slab_map;

struct sx_slab {
    int fd;
    size_t row_bytes;
    slab_map *maps; /* newest, largest first */
    char path[];
};

static int failed(const sx_slab *slab, const char *what, char *err, size_t errlen)
{
    int code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -ENOSPC : -EIO;
    snprintf(err, err ? errlen : 0, "%s: cannot %s %s (%s); what was stored before is kept; %s",
             code == -ENOSPC ? "E-DISK-FULL" : "E-IO", what, slab->path, strerror(errno),
             code == -ENOSPC ? "free some space and run again" : "check the disk and run again");
    return code;
}

static int bad(const sx_slab *slab, const char *why, char *err, size_t errlen)
{
    snprintf(err, err ? errlen : 0,
             "E-SLAB-BAD: %s %s; the catalogue is kept; run `sparsex forget` on the repository to "
             "rebuild",
             slab->path, why);
    return -EIO;
}

int sx_slab_open(sx_slab **out, const char *path, size_t row_bytes, bool writable, char *err,
                 size_t errlen)
{
    sx_slab *slab = calloc(1, sizeof *slab + strlen(path) + 1);
    struct stat st;
    slab_head head = {.row_bytes = row_bytes};
    int rc = -ENOMEM;

    *out = NULL;
    if (!slab)
        return rc;
    strcpy(slab->path, path);
    slab->row_bytes = row_bytes;
    memcpy(head.magic, magic, sizeof magic);
    slab->fd = open(
        path, (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (slab->fd < 0 || fstat(slab->fd, &st) < 0) {
        rc = failed(slab, "open", err, errlen);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = bad(slab, "is no regular file", err, errlen);
        goto out;
    }
    if (st.st_size < HEAD_BYTES &&
        writable) { /* new, or cut short while new: no row can be referenced */
        if (pwrite(slab->fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
            ftruncate(slab->fd, HEAD_BYTES) < 0) {
            rc = failed(slab, "write", err, errlen);
            goto out;
        }
    } else {
        slab_head found;
        if (pread(slab->fd, &found, sizeof found, 0) != (ssize_t)sizeof found ||
            memcmp(found.magic, magic, sizeof magic) || found.row_bytes != row_bytes) {
            rc = bad(slab, "is not a slab of this model", err, errlen);
            goto out;
        }
    }
    rc = 0;
out:
    if (rc < 0) {
        sx_slab_close(slab);
        return rc;
    }
    *out = slab;
    return 0;
}

void sx_slab_close(sx_slab *slab)
{
    if (!slab)
        return;
    while (slab->maps) {
        slab_map *older = slab->maps->older;
        munmap(slab->maps->base, slab->maps->bytes);
        free(slab->maps);
        slab->maps = older;
    }
    if (slab->fd >= 0)
        close(slab->fd);
    free(slab);
}

int sx_slab_write(sx_slab *slab, int64_t row, const void *rows, size_t n, char *err, size_t errlen)
{
    const char *from = rows;
    size_t left;
    int64_t at;

    if (row < 0 || __builtin_mul_overflow(n, slab->row_bytes, &left) ||
        __builtin_mul_overflow(row, (int64_t)slab->row_bytes, &at) ||
        __builtin_add_overflow(at, (int64_t)HEAD_BYTES, &at)) {
        errno = EFBIG;
        return failed(slab, "write", err, errlen);
    }
    while (left) {
        ssize_t done = pwrite(slab->fd, from, left, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return failed(slab, "write", err, errlen);
        from += done;
        at += done;
        left -= (size_t)done;
    }
    return 0;
}

int sx_slab_sync(sx_slab *slab, char *err, size_t errlen)
{
    if (fdatasync(slab->fd) < 0)
        return failed(slab, "sync", err, errlen);
    return 0;
}

const void *sx_slab_rows(sx_slab *slab, int64_t row, size_t n)
{
    struct stat st;
    uint64_t begin, end, bytes;

    if (row < 0 || __builtin_mul_overflow((uint64_t)row, (uint64_t)slab->row_bytes, &begin) ||
        __builtin_mul_overflow((uint64_t)n, (uint64_t)slab->row_bytes, &bytes) ||
        __builtin_add_overflow(begin, (uint64_t)HEAD_BYTES, &begin) ||
        __builtin_add_overflow(begin, bytes, &end) || end > SIZE_MAX)
        return NULL;
    if (!slab->maps || slab->maps->bytes < end) {
        if (fstat(slab->fd, &st) < 0 || (uint64_t)st.st_size < end)
            return NULL;
        slab_map *map = malloc(sizeof *map);
        if (!map)
            return NULL;
        map->bytes = (size_t)st.st_size;
        map->base = mmap(NULL, map->bytes, PROT_READ, MAP_SHARED, slab->fd, 0);
        if (map->base == MAP_FAILED) {
            free(map);
            return NULL;
        }
        map->older = slab->maps;
        slab->maps = map;
    }
    return slab->maps->base + begin;
}
