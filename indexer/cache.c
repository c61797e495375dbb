/* cache.c: see cache.h. */
#include "indexer/cache.h"

#include "indexer/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_NAME "lock"

static int io_error(const char *what, const char *path, char *err, size_t errlen)
{
    int rc = errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;

    return sx_index_fail(err, errlen, rc,
                         "E-IO: %s %s: %s; nothing was changed; look at the disk and permissions",
                         what, SX_SHOW(path), strerror(errno));
}

static int make_directories(const char *path, char *err, size_t errlen)
{
    char *copy = strdup(path);
    int rc = copy ? 0 : -ENOMEM;

    for (char *at = copy ? copy + 1 : NULL; rc == 0 && at; at++) {
        char c = *at;

        if (c != '/' && c != '\0')
            continue;
        *at = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            rc = io_error("cannot make the directory", copy, err, errlen);
        *at = c;
        if (c == '\0')
            break;
    }
    free(copy);
    return rc;
}

static int refuse(const char *path, const char *why, char *err, size_t errlen)
{
    return sx_index_fail(
        err, errlen, -EIO,
        "E-CACHE: %s %s; nothing was written there; remove it or name another with --cache",
        SX_SHOW(path), why);
}

/* The standard's first line; tools that make backups leave such a directory out. */
static int write_tag(int dir_fd, const char *path, char *err, size_t errlen)
{
    static const char tag[] =
        "Signature: 8a477f597d28d172789f06886806bc55\n"
        "# Made by sparsex from a git repository; it may be deleted at any time.\n";
    int fd = openat(dir_fd, "CACHEDIR.TAG", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    int rc = 0;

    if (fd < 0)
        return errno == EEXIST ? 0 : io_error("cannot write into", path, err, errlen);
    fchmod(fd, 0600);
    if (write(fd, tag, sizeof tag - 1) != (ssize_t)(sizeof tag - 1))
        rc = io_error("cannot write into", path, err, errlen);
    close(fd);
    return rc;
}

static int default_root(char **root, char *err, size_t errlen)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;

    if (xdg && xdg[0] == '/')
        n = asprintf(root, "%s/sparsex", xdg);
    else if (home && home[0] == '/')
        n = asprintf(root, "%s/.cache/sparsex", home);
    else
        return sx_index_fail(
            err, errlen, -EIO,
            "E-CACHE: neither XDG_CACHE_HOME nor HOME is set; nothing was written; name a "
            "directory with --cache");
    if (n < 0) {
        *root = NULL;
        return sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a path; free some");
    }
    return 0;
}

int sx_cache_directory(char **directory, const char *root, const char *id, bool make, char *err,
                       size_t errlen)
{
    char *own_root = NULL, *real_root = NULL, *path = NULL;
    struct stat st;
    int fd = -1, rc = 0;

    *directory = NULL;
    if (!root) {
        if ((rc = default_root(&own_root, err, errlen)) < 0)
            goto out;
        root = own_root;
    }
    if (make && (rc = make_directories(root, err, errlen)) < 0)
        goto out;
    if (!(real_root = realpath(root, NULL))) {
        rc = errno == ENOENT && !make
                 ? sx_index_fail(err, errlen, -ENOENT,
                                 "E-NO-INDEX: nothing is stored in %s; nothing was changed; "
                                 "sparsex index makes it",
                                 SX_SHOW(root))
                 : io_error("cannot use the directory", root, err, errlen);
        goto out;
    }
    if (asprintf(&path, "%s/%s", real_root, id) < 0) {
        path = NULL;
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a path; free some");
        goto out;
    }
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST) {
        rc = io_error("cannot make the directory", path, err, errlen);
        goto out;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = errno == ENOENT
                 ? sx_index_fail(err, errlen, -ENOENT,
                                 "E-NO-INDEX: nothing is stored for this repository in %s; nothing "
                                 "was changed; sparsex index makes it",
                                 SX_SHOW(real_root))
             : errno == ELOOP || errno == ENOTDIR
                 ? refuse(path, "is no directory of its own", err, errlen)
                 : io_error("cannot open", path, err, errlen);
        goto out;
    }
    if (st.st_uid != geteuid())
        rc = refuse(path, "belongs to another user", err, errlen);
    else if (make && fchmod(fd, 0700) < 0)
        rc = io_error("cannot set the mode of", path, err, errlen);
    else if (make)
        rc = write_tag(fd, path, err, errlen);
    if (rc < 0)
        goto out;
    *directory = path;
    path = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(own_root);
    free(real_root);
    free(path);
    return rc;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int sx_cache_lock(const char *directory, int wait_ms, int *fd, char *err, size_t errlen)
{
    int64_t end = now_ms() + wait_ms;
    char *path = NULL;
    int rc = -EAGAIN;

    *fd = -1;
    if (asprintf(&path, "%s/" LOCK_NAME, directory) < 0)
        return sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a path; free some");
    while (rc == -EAGAIN) {
        struct stat mine, there;

        if (*fd < 0 &&
            (*fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600)) < 0) {
            rc = io_error("cannot open", path, err, errlen);
        } else if (flock(*fd, LOCK_EX | LOCK_NB) == 0) {
            /* whoever held it may have deleted the directory: then this lock is on nothing */
            if (fstat(*fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino) {
                fchmod(*fd, 0600);
                rc = 0;
            } else {
                close(*fd);
                *fd = -1;
            }
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = io_error("cannot lock", path, err, errlen);
        } else if (now_ms() >= end) {
            rc = sx_index_fail(
                err, errlen, -EBUSY,
                "E-BUSY: another process works on %s; nothing was changed; wait for it",
                SX_SHOW(directory));
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
    }
    if (rc < 0 && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    free(path);
    return rc;
}

void sx_cache_sizes(const char *directory, uint64_t *slabs, uint64_t *rest)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    struct stat st;

    *slabs = *rest = 0;
    while (dir && (entry = readdir(dir))) {
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (strncmp(entry->d_name, "landmarks.", 10) == 0 || strncmp(entry->d_name, "kv.", 3) == 0)
            *slabs += (uint64_t)st.st_blocks * 512;
        else
            *rest += (uint64_t)st.st_blocks * 512;
    }
    if (dir)
        closedir(dir);
}

int sx_cache_delete(const char *directory, uint64_t *freed, char *err, size_t errlen)
{
    DIR *dir = opendir(directory);
    uint64_t slabs, rest;
    struct dirent *entry;
    int rc = 0;

    sx_cache_sizes(directory, &slabs, &rest);
    if (!dir)
        return io_error("cannot open", directory, err, errlen);
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;

        /* the lock goes last: until then nobody else gets it */
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, LOCK_NAME) != 0)
            unlinkat(dirfd(dir), name, 0);
    }
    unlinkat(dirfd(dir), LOCK_NAME, 0);
    if (rmdir(directory) < 0)
        rc = io_error("cannot remove", directory, err, errlen);
    else if (freed)
        *freed = slabs + rest;
    closedir(dir);
    return rc;
}
