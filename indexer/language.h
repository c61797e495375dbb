/* language.h: file name and first line -> grammar and query; the one table of languages. */
#ifndef SX_LANGUAGE_H
#define SX_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TSLanguage TSLanguage;
typedef struct sx_language {
    const char *name;                     /* "c", "cpp", ...: also data/queries/<name>.scm */
    const TSLanguage *(*grammar)(void);
} sx_language;

/* NULL: no grammar; the file is plain text. `text` may be just the beginning of the file. */
const sx_language *sx_language_of(const char *path, const uint8_t *text, size_t n);
const sx_language *sx_language_named(const char *name);
size_t sx_language_count(void);
const sx_language *sx_language_at(size_t i);

#endif
