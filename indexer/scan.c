/* scan.c: see scan.h. */
#include "indexer/scan.h"

#include "indexer/preflight.h"
#include "indexer/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_CAP = 64, ENTRIES_CAP = 8 << 20 };

typedef struct scan {
    const char *top;
    char **stack; /* directories still to be read, owned */
    size_t n_stack, cap_stack;
    bool allow_outside;
    char *err;
    size_t errlen;
} scan;

static int push(scan *s, char *directory)
{
    if (s->n_stack == s->cap_stack) {
        size_t cap = s->cap_stack ? 2 * s->cap_stack : 64;
        char **grown = realloc(s->stack, cap * sizeof *grown);

        if (!grown) {
            free(directory);
            return -ENOMEM;
        }
        s->stack = grown;
        s->cap_stack = cap;
    }
    s->stack[s->n_stack++] = directory;
    return 0;
}

static size_t depth_of(const char *path)
{
    size_t depth = 0;

    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

static int special(const scan *s, const char *path)
{
    return sx_index_fail(
        s->err, s->errlen, -EBADMSG,
        "E-GITDIR-SPECIAL: %s is no regular file; nothing was read; remove it or use a "
        "fresh clone",
        SX_SHOW(path));
}

/* One entry; `path` becomes the scan's or is freed. */
static int look_at(scan *s, char *path, unsigned char type)
{
    struct stat st;
    char *real = NULL;
    int rc = 0;

    if (type == DT_UNKNOWN) {
        if (lstat(path, &st) < 0)
            goto out; /* gone meanwhile */
        type = IFTODT(st.st_mode);
    }
    if (type == DT_DIR) {
        if (depth_of(path) - depth_of(s->top) <= DEPTH_CAP) {
            rc = push(s, path);
            path = NULL;
        }
    } else if (type == DT_LNK) {
        real = realpath(path, NULL);
        if (!real || stat(real, &st) < 0)
            goto out; /* leads nowhere */
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            rc = special(s, path);
        else if (!sx_path_inside(real, s->top) && !s->allow_outside)
            rc = sx_index_fail(
                s->err, s->errlen, -EACCES,
                "E-OUTSIDE: the link %s leads out of the repository to %s; nothing was read; "
                "--allow-outside follows it",
                SX_SHOW(path), SX_SHOW(real));
    } else if (type != DT_REG) {
        rc = special(s, path);
    }
out:
    free(real);
    free(path);
    return rc;
}

int sx_scan_directory(const char *top, bool allow_outside, char *err, size_t errlen)
{
    char *real = realpath(top, NULL), *first = NULL;
    scan s = {.top = real, .allow_outside = allow_outside, .err = err, .errlen = errlen};
    size_t entries = 0;
    int rc = 0;

    if (!real)
        goto out;
    if (!(first = strdup(real)) || push(&s, first) < 0)
        rc = -ENOMEM;
    while (rc == 0 && s.n_stack) {
        char *directory = s.stack[--s.n_stack];
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;

        while (rc == 0 && dir && (entry = readdir(dir)) && ++entries < ENTRIES_CAP) {
            char *path = NULL;

            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0)
                rc = -ENOMEM;
            else
                rc = look_at(&s, path, entry->d_type);
        }
        if (dir)
            closedir(dir);
        else if (fd >= 0)
            close(fd);
        free(directory);
    }
    if (rc == -ENOMEM)
        sx_index_fail(err, errlen, rc,
                      "E-RAM: no memory while looking at %s; nothing was read; free some",
                      SX_SHOW(top));
out:
    while (s.n_stack)
        free(s.stack[--s.n_stack]);
    free(s.stack);
    free(real);
    return rc;
}
