/* words.h: a text model for tests of the indexer, which must not know the engine: a token is up to
 * four letters or digits, or one other byte; its id is a hash. */
#ifndef SX_TEST_WORDS_H
#define SX_TEST_WORDS_H

#include "indexer/indexer.h"

#include <ctype.h>

static inline size_t words_tokenize(void *user, const uint8_t *bytes, size_t n, uint32_t *ids,
                                    uint32_t *ends)
{
    size_t count = 0;

    for (size_t i = 0; i < n;) {
        uint32_t hash = 2166136261u;
        size_t start = i;

        do
            hash = (hash ^ bytes[i++]) * 16777619u;
        while (i < n && i - start < 4 && isalnum(bytes[i - 1]) && isalnum(bytes[i]));
        ids[count] = 8 + hash % 16376;
        ends[count++] = (uint32_t)i;
    }
    return count;
}

static inline sx_text_model words_model(const char *fingerprint)
{
    sx_text_model model = {.file_token = 1,
                           .segment_tokens = 1536,
                           .block_tokens = 64,
                           .header_tokens = 64,
                           .tokenize = words_tokenize};

    for (size_t i = 0; i < sizeof model.fingerprint - 1 && fingerprint[i]; i++)
        model.fingerprint[i] = fingerprint[i];
    return model;
}

#endif
