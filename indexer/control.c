/* control.c: see control.h. */
#include "indexer/control.h"

#include "indexer/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *sx_path_join(const char *directory, const char *name)
{
    char *path = NULL;

    if (name[0] == '/')
        return strdup(name);
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

char *sx_path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');

    return !slash || slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

bool sx_path_inside(const char *path, const char *directory)
{
    size_t n = strlen(directory);

    if (n == 1 && directory[0] == '/')
        return true;
    return strncmp(path, directory, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool sx_control_inside(const sx_control *control, const char *real)
{
    const sx_git_dirs *dirs = control->dirs;

    return sx_path_inside(real, dirs->common_dir) || sx_path_inside(real, dirs->git_dir) ||
           (dirs->work_tree && sx_path_inside(real, dirs->work_tree));
}

int sx_control_no_memory(const sx_control *control)
{
    return sx_index_fail(
        control->err, control->errlen, -ENOMEM,
        "E-RAM: no memory while looking at the repository; nothing was read; free some");
}

int sx_control_outside(const sx_control *control, const char *what, const char *from,
                       const char *to)
{
    return sx_index_fail(control->err, control->errlen, -EACCES,
                         "E-OUTSIDE: %s in %s leads out of the repository to %s; nothing was read; "
                         "--allow-outside follows it",
                         what, SX_SHOW(from), SX_SHOW(to));
}

int sx_control_check(const sx_control *control, const char *path, off_t cap)
{
    struct stat st;
    char *real = NULL;
    int rc = 0;

    if (lstat(path, &st) < 0)
        goto out; /* absent, or not ours to see: then libgit2 sees nothing either */
    if (S_ISLNK(st.st_mode)) {
        real = realpath(path, NULL);
        if (!real || stat(real, &st) < 0)
            goto out;
        if (S_ISREG(st.st_mode) && !sx_control_inside(control, real) && !control->allow_outside) {
            rc = sx_control_outside(control, "the link", path, real);
            goto out;
        }
    }
    if (!S_ISREG(st.st_mode))
        rc = sx_index_fail(
            control->err, control->errlen, -EBADMSG,
            "E-GITDIR-SPECIAL: %s is no regular file; nothing was read; remove it or use "
            "a fresh clone",
            SX_SHOW(path));
    else if (st.st_size > cap)
        rc = sx_index_fail(
            control->err, control->errlen, -EBADMSG,
            "E-GITDIR-SIZE: %s has %lld bytes, more than such a file may have; nothing was "
            "read; use a fresh clone",
            SX_SHOW(path), (long long)st.st_size);
    else
        rc = 1;
out:
    free(real);
    return rc;
}

int sx_control_read(const sx_control *control, const char *path, off_t cap, char **text, size_t *n)
{
    struct stat st;
    char *buffer = NULL;
    int fd = -1, rc;

    *text = NULL;
    *n = 0;
    if ((rc = sx_control_check(control, path, cap)) <= 0)
        goto out;
    /* It may be another file by now: O_NONBLOCK keeps a FIFO from holding us, fstat says the rest.
     */
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        rc = sx_index_fail(
            control->err, control->errlen, -EBADMSG,
            "E-GITDIR-SPECIAL: %s cannot be read; nothing was kept; look at its permissions",
            SX_SHOW(path));
        goto out;
    }
    if (!(buffer = malloc((size_t)cap + 1))) {
        rc = sx_control_no_memory(control);
        goto out;
    }
    while (*n < (size_t)cap) {
        ssize_t got = read(fd, buffer + *n, (size_t)cap - *n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        *n += (size_t)got;
    }
    buffer[*n] = '\0';
    *text = buffer;
    buffer = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(buffer);
    return rc;
}

int sx_control_pointer(const sx_control *control, const char *path, const char *prefix,
                       const char *base, char **real)
{
    char *text = NULL, *target = NULL;
    size_t n = 0;
    int rc;

    *real = NULL;
    if ((rc = sx_control_read(control, path, SX_POINTER_CAP, &text, &n)) <= 0)
        goto out;
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        text[--n] = '\0';
    rc = 0;
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        goto out;
    if (!(target = sx_path_join(base, text + strlen(prefix)))) {
        rc = sx_control_no_memory(control);
        goto out;
    }
    if ((*real = realpath(target, NULL)))
        rc = 1;
out:
    free(text);
    free(target);
    return rc;
}
