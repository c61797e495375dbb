/* file.c: opens a model's files without trusting them, and words what is wrong with them. Knows no
 * format. */
#include "engine/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

int sx_fail(char *err, size_t errlen, int rc, const char *format, ...)
{
    va_list args;

    if (err && errlen) {
        va_start(args, format);
        vsnprintf(err, errlen, format, args);
        va_end(args);
    }
    return rc;
}

size_t sx_utf8_decode(const uint8_t *bytes, size_t n, size_t at, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = bytes + at;
    size_t left = n - at, length;
    uint32_t c = p[0];

    if (c < 0x80) {
        *code = c;
        return 1;
    }
    if (c >= 0xf8 || c < 0xc2)
        return 0;
    length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    c &= 0x7fu >> length;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *code = c;
    return length;
}

sx_shown sx_show(const char *name)
{
    const uint8_t *bytes = (const uint8_t *)name;
    size_t n = strlen(name), used = 0;
    sx_shown shown;

    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        size_t length = sx_utf8_decode(bytes, n, i, &code);
        if (used + 4 > 200) {
            memcpy(shown.s + used, "...", 3);
            used += 3;
            break;
        }
        /* control characters and those that reorder or hide text are shown as bytes */
        if (!length || code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad ||
            (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
            (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || code >= 0xe0000) {
            used += (size_t)sprintf(shown.s + used, "\\x%02x", bytes[i]);
            i++;
            continue;
        }
        memcpy(shown.s + used, bytes + i, length);
        used += length;
        i += length;
    }
    shown.s[used] = 0;
    return shown;
}

int sx_file_id_of(int fd, sx_file_id *id)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    *id = (sx_file_id){(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size, st.st_mtim};
    return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

int sx_file_open(int dirfd, const char *name, sx_file_id *id, char *err, size_t errlen)
{
    int fd, rc;

    /* O_NONBLOCK: a FIFO must not hold us; it has no effect on regular files */
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        rc = errno;
        return sx_fail(err, errlen, -EBADMSG, "E-MODEL-FILE: %s, %s; nothing was loaded; %s",
                       rc == ELOOP ? "a symbolic link instead of a file" : strerror(rc),
                       sx_show(name).s,
                       rc == ELOOP ? "put the file itself there" : "check --model");
    }
    rc = sx_file_id_of(fd, id);
    if (rc < 0) {
        close(fd);
        return sx_fail(err, errlen, -EBADMSG,
                       "E-MODEL-FILE: not a regular file, %s; nothing was loaded; check --model",
                       sx_show(name).s);
    }
    return fd;
}

int sx_file_read(int dirfd, const char *name, size_t cap, uint8_t **bytes, size_t *n, char *err,
                 size_t errlen)
{
    sx_file_id id = {0};
    uint8_t *room = NULL;
    size_t got = 0, size;
    int fd, rc = 0;

    *bytes = NULL;
    *n = 0;
    fd = sx_file_open(dirfd, name, &id, err, errlen);
    if (fd < 0)
        return fd;
    if (id.size > cap) {
        rc = sx_fail(err, errlen, -EBADMSG,
                     "E-MODEL-FILE: larger than %zu bytes, %s; nothing was loaded; check --model",
                     cap, sx_show(name).s);
        goto out;
    }
    size = (size_t)id.size;
    room = malloc(size + 1);
    if (!room) {
        rc = sx_fail(err, errlen, -ENOMEM,
                     "E-RAM: %zu bytes for %s; nothing was loaded; free memory", size,
                     sx_show(name).s);
        goto out;
    }
    while (got < size) {
        ssize_t r = read(fd, room + got, size - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) {
            rc = sx_fail(
                err, errlen, -EBADMSG, "E-MODEL-FILE: %s, %s; nothing was loaded; try again",
                r < 0 ? strerror(errno) : "became shorter while it was read", sx_show(name).s);
            goto out;
        }
        got += (size_t)r;
    }
    room[size] = 0;
    *bytes = room;
    *n = size;
    room = NULL;
out:
    free(room);
    close(fd);
    return rc;
}

void sx_hash_hex(const void *bytes, size_t n, char hex[33])
{
    XXH128_hash_t hash = XXH3_128bits(bytes, n);

    snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}
