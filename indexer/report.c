/* report.c: error lines, names that are safe to show, and the names of enumerations. */
#include "indexer/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int sx_index_fail(char *err, size_t errlen, int rc, const char *format, ...)
{
    va_list args;

    if (err && errlen) {
        va_start(args, format);
        vsnprintf(err, errlen, format, args);
        va_end(args);
    }
    return rc;
}

/* Length of the well-formed UTF-8 sequence at s and its code point; 0 where it is not well-formed
 * (overlong forms and surrogates included). Reads no byte behind the NUL. */
static size_t utf8_length(const unsigned char *s, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;

    *code = n == 1 ? s[0] : n == 2 ? s[0] & 0x1f : n == 3 ? s[0] & 0x0f : s[0] & 0x07;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (s[i] & 0x3f);
    }
    if (n > 1 && (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)))
        return 0;
    return n;
}

/* Characters that are not seen or that turn the order of others around. */
static bool is_deceptive(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
           (code >= 0xfff0 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe0fff);
}

const char *sx_display_name(char *out, size_t outlen, const char *bytes)
{
    const unsigned char *s = (const unsigned char *)bytes;
    size_t at = 0;

    if (!outlen)
        return out;
    while (s && *s) {
        char piece[16];
        uint32_t code;
        size_t n = utf8_length(s, &code), length;

        if (n == 0 || code < 0x80) {
            if (n == 0 || is_deceptive(code))
                length = (size_t)snprintf(piece, sizeof piece, "\\x%02x", s[0]);
            else
                length = (size_t)snprintf(piece, sizeof piece, "%c", s[0]);
            n = 1;
        } else if (is_deceptive(code)) {
            length = (size_t)snprintf(piece, sizeof piece, "\\u{%x}", (unsigned)code);
        } else {
            memcpy(piece, s, n);
            length = n;
        }
        if (length >= outlen - at)
            break;
        memcpy(out + at, piece, length);
        at += length;
        s += n;
    }
    out[at] = '\0';
    return out;
}

const char *sx_skip_name(sx_skip skip)
{
    static const char *const names[SX_SKIP_COUNT] = {
        [SX_SKIP_NONE] = "none",
        [SX_SKIP_EMPTY] = "empty",
        [SX_SKIP_BINARY] = "binary",
        [SX_SKIP_TOO_LARGE] = "too-large",
        [SX_SKIP_LFS_POINTER] = "lfs-pointer",
        [SX_SKIP_SUBMODULE] = "submodule",
        [SX_SKIP_SYMLINK] = "symlink",
        [SX_SKIP_GENERATED] = "generated",
        [SX_SKIP_ENCODING] = "encoding",
        [SX_SKIP_SECRET] = "secret",
        [SX_SKIP_MISSING] = "missing",
        [SX_SKIP_CORRUPT] = "corrupt",
        [SX_SKIP_TREE_DEEP] = "tree-deep",
        [SX_SKIP_TREE_HUGE] = "tree-huge",
        [SX_SKIP_PATH_LONG] = "path-long",
        [SX_SKIP_COPIES] = "copies",
    };
    return (unsigned)skip < SX_SKIP_COUNT ? names[skip] : "unknown";
}

sx_skip sx_skip_named(const char *name)
{
    for (int i = SX_SKIP_NONE + 1; name && i < SX_SKIP_COUNT; i++)
        if (strcmp(name, sx_skip_name((sx_skip)i)) == 0)
            return (sx_skip)i;
    return name ? SX_SKIP_CORRUPT : SX_SKIP_NONE;
}

const char *sx_file_class_name(sx_file_class file_class)
{
    static const char *const names[SX_CLASS_COUNT] = {
        [SX_CLASS_SOURCE] = "source",
        [SX_CLASS_TEST] = "test",
        [SX_CLASS_VENDORED] = "vendored",
        [SX_CLASS_DOCUMENT] = "document",
    };
    return (unsigned)file_class < SX_CLASS_COUNT ? names[file_class] : "unknown";
}
