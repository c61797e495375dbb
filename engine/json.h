/* json.h: thin wrappers over the JSON library: bounded documents, required keys, bounded numbers,
 * one error sentence. Knows no key by name. */
#ifndef SX_JSON_H
#define SX_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define SX_JSON_DEPTH  32
#define SX_JSON_OBJECT 8 /* values that an object counts for, by what the library takes for one */
#define SX_JSON_ARRAY  4

typedef struct sx_json_source { /* who is asking, for error lines */
    const char *code;           /* "E-HPARAM" */
    const char *file;           /* "config.json" */
    char *err;
    size_t errlen;
} sx_json_source;

/* -EBADMSG and the source's error line. */
int sx_json_fail(const sx_json_source *source, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One JSON object in UTF-8, no key twice, at most SX_JSON_DEPTH deep and `max_values` values: both
 * are counted before the library sees the bytes, so that a small file cannot ask for much memory.
 * *out is the caller's, for json_decref(). */
int sx_json_parse(json_t **out, const uint8_t *bytes, size_t n, size_t max_values,
                  const sx_json_source *source);

/* Required members of `object`; on success 0, otherwise -EBADMSG and a line that names the key and
 * its legal range. Integers must be written as integers. */
int sx_json_u32(const json_t *object, const char *key, uint32_t low, uint32_t high, uint32_t *out,
                const sx_json_source *source);
int sx_json_float(const json_t *object, const char *key, double low, double high, float *out,
                  const sx_json_source *source);
int sx_json_array(const json_t *object, const char *key, const json_t **out,
                  const sx_json_source *source);
int sx_json_object(const json_t *object, const char *key, const json_t **out,
                   const sx_json_source *source);
int sx_json_string(const json_t *object, const char *key, const char **out,
                   const sx_json_source *source);

#endif
