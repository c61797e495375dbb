/* associations.c: see associations.h. The table is text in the program and is searched as it is. */
#include "indexer/associations.h"

#include "indexer/terms.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern const char sx_association_table[];

/* Bytes up to the next blank, line's end or end. */
static size_t word_length(const char *at)
{
    return strcspn(at, " \n");
}

static int compare(const uint8_t *term, size_t n, const char *line)
{
    size_t length = word_length(line);
    int order = memcmp(term, line, n < length ? n : length);

    return order ? order : (n > length) - (n < length);
}

/* The line of the term, or NULL. */
static const char *find_line(const uint8_t *term, size_t n)
{
    size_t low = 0, high = strlen(sx_association_table); /* both where a line starts */

    while (low < high) {
        size_t line = low + (high - low) / 2;
        int order;

        while (line > low && sx_association_table[line - 1] != '\n')
            line--;
        order = compare(term, n, sx_association_table + line);
        if (order == 0)
            return sx_association_table + line;
        if (order < 0) {
            high = line;
        } else {
            const char *end = strchr(sx_association_table + line, '\n');

            low = end ? (size_t)(end - sx_association_table) + 1 : high;
        }
    }
    return NULL;
}

size_t sx_associations_of(const uint8_t *term, size_t n, sx_association others[SX_ASSOCIATIONS],
                          float *weight)
{
    const char *at = find_line(term, n);
    char *behind;
    size_t found = 0;

    *weight = 0;
    if (!at)
        return 0;
    at += word_length(at);
    *weight = (float)strtol(at, &behind, 10) / 100;
    for (at = behind; *at == ' ' && found < SX_ASSOCIATIONS; at = behind) {
        size_t length = word_length(++at);

        others[found].hash = sx_term_hash((const uint8_t *)at, length, false);
        others[found++].strength = (float)strtol(at + length, &behind, 10) / 100;
    }
    return found;
}
