/* json.c: thin wrappers over the JSON library: bounded documents, required keys, bounded numbers,
 * one error sentence. Knows no key by name. */
#include "engine/json.h"

#include "engine/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

int sx_json_fail(const sx_json_source *source, const char *format, ...)
{
    char what[400];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return sx_fail(source->err, source->errlen, -EBADMSG,
                   "%s: %s, %s; nothing was loaded; use a complete, unchanged model", source->code,
                   what, sx_show(source->file).s);
}

/* Depth and number of values of a text that may or may not be JSON: commas and brackets outside
 * strings bound them. */
static int check_size(const uint8_t *bytes, size_t n, size_t max_values,
                      const sx_json_source *source)
{
    size_t depth = 0, values = 1;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = bytes[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '{' || c == '[') {
            if (++depth > SX_JSON_DEPTH)
                return sx_json_fail(source, "JSON nested deeper than %d at byte %zu", SX_JSON_DEPTH,
                                    i);
            values += c == '{' ? SX_JSON_OBJECT : SX_JSON_ARRAY;
        } else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        else if (c == ',')
            values++;
        if (values > max_values)
            return sx_json_fail(source, "more than %zu JSON values", max_values);
    }
    return 0;
}

int sx_json_parse(json_t **out, const uint8_t *bytes, size_t n, size_t max_values,
                  const sx_json_source *source)
{
    json_error_t error;
    json_t *root;
    int rc;

    *out = NULL;
    if ((rc = check_size(bytes, n, max_values, source)) < 0)
        return rc;
    root = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return sx_fail(source->err, source->errlen, -ENOMEM,
                           "E-RAM: no memory for %s; nothing was loaded; free memory",
                           sx_show(source->file).s);
        return sx_json_fail(source, "no valid JSON: %s (line %d)", sx_show(error.text).s,
                            error.line);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return sx_json_fail(source, "the JSON is not an object");
    }
    *out = root;
    return 0;
}

static int wrong(const char *key, const char *kind, const json_t *value,
                 const sx_json_source *source)
{
    return sx_json_fail(source, "%s %s, must be %s", sx_show(key).s,
                        value ? "is of another kind" : "is missing", kind);
}

int sx_json_u32(const json_t *object, const char *key, uint32_t low, uint32_t high, uint32_t *out,
                const sx_json_source *source)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number;

    if (!json_is_integer(value)) {
        char kind[64];
        snprintf(kind, sizeof kind, "an integer from %u to %u", low, high);
        return wrong(key, kind, value, source);
    }
    number = json_integer_value(value);
    if (number < (json_int_t)low || number > (json_int_t)high)
        return sx_json_fail(source, "%s is %lld, must be from %u to %u", sx_show(key).s,
                            (long long)number, low, high);
    *out = (uint32_t)number;
    return 0;
}

int sx_json_float(const json_t *object, const char *key, double low, double high, float *out,
                  const sx_json_source *source)
{
    const json_t *value = json_object_get(object, key);
    double number;

    if (!json_is_number(value)) {
        char kind[64];
        snprintf(kind, sizeof kind, "a number from %g to %g", low, high);
        return wrong(key, kind, value, source);
    }
    number = json_number_value(value);
    if (!(number >= low && number <= high))
        return sx_json_fail(source, "%s is %g, must be from %g to %g", sx_show(key).s, number, low,
                            high);
    *out = (float)number;
    return 0;
}

int sx_json_array(const json_t *object, const char *key, const json_t **out,
                  const sx_json_source *source)
{
    *out = json_object_get(object, key);
    return json_is_array(*out) ? 0 : wrong(key, "an array", *out, source);
}

int sx_json_object(const json_t *object, const char *key, const json_t **out,
                   const sx_json_source *source)
{
    *out = json_object_get(object, key);
    return json_is_object(*out) ? 0 : wrong(key, "an object", *out, source);
}

int sx_json_string(const json_t *object, const char *key, const char **out,
                   const sx_json_source *source)
{
    const json_t *value = json_object_get(object, key);

    *out = json_string_value(value);
    return *out ? 0 : wrong(key, "a string", value, source);
}
