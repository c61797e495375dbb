/* language.h: file name and first line -> grammar and query; the one table of languages. */
#ifndef SX_LANGUAGE_H
#define SX_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TSLanguage TSLanguage;
/* A new language is a row of the table in language.c, a package in package.json with its line in
 * indexer/grammars/meson.build, and data/queries/<name>.scm. */
typedef struct sx_language {
    const char *name; /* "c", "cpp", ...: also data/queries/<name>.scm */
    const TSLanguage *(*grammar)(void);
    /* Words between single spaces, a space at both ends. */
    const char *suffixes;     /* behind the last dot, lower case: " c h " */
    const char *file_names;   /* whole names: " Rakefile Gemfile " */
    const char *interpreters; /* of a "#!" line, without version: " python pypy " */
    bool preprocessed;        /* C and its kin: macros may stand where grammar does not */
} sx_language;

/* NULL: no grammar; the file is plain text. `text` may be just the beginning of the file; 64 KiB of
 * it decide. */
const sx_language *sx_language_of(const char *path, const uint8_t *text, size_t n);
const sx_language *sx_language_named(const char *name);
size_t sx_language_count(void);
const sx_language *sx_language_at(size_t i);

#endif
