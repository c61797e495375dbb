/* file.h: opens a model's files without trusting them, and words what is wrong with them. Knows no
 * format. A model's file is a regular file of its own (no link, no FIFO, no device). */
#ifndef SX_FILE_H
#define SX_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Writes the line to err[] (may be NULL) and returns rc. */
int sx_fail(char *err, size_t errlen, int rc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define SX_SHOWN 256
typedef struct sx_shown {
    char s[SX_SHOWN];
} sx_shown;
/* A name out of a file as it may be shown: printable ASCII and whole UTF-8 characters stay, the
 * rest becomes \xNN; cut at 200 bytes. */
sx_shown sx_show(const char *name);

typedef struct sx_file_id { /* what tells that a file is still the one that was opened */
    uint64_t device, inode, size;
    struct timespec modified;
} sx_file_id;
int sx_file_id_of(int fd, sx_file_id *id); /* 0 or a negative errno; -EINVAL: no regular file */

/* Opens `name` in the directory `dirfd` (or AT_FDCWD) for reading. The descriptor, the caller's; or
 * -EBADMSG with E-MODEL-FILE. Never blocks, never follows a link in the last part of the name. */
int sx_file_open(int dirfd, const char *name, sx_file_id *id, char *err, size_t errlen);

/* Reads a whole file of at most `cap` bytes. *bytes is malloc'ed and NUL-terminated behind *n, the
 * caller's. */
int sx_file_read(int dirfd, const char *name, size_t cap, uint8_t **bytes, size_t *n, char *err,
                 size_t errlen);

/* hex XXH3-128 */
void sx_hash_hex(const void *bytes, size_t n, char hex[33]);

/* Length of the UTF-8 character at `at` (at < n) and its code point; 0 if there is none: overlong
 * forms, surrogates, values above U+10FFFF and cut sequences are no characters. */
size_t sx_utf8_decode(const uint8_t *bytes, size_t n, size_t at, uint32_t *code);

#endif
