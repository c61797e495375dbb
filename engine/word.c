/* word.c: bytes of tokens -> hash of the running word -> rows of a table. Models are trained with
 * these very numbers. */
#include "engine/word.h"

sx_word sx_word_after(sx_word word, const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return (sx_word){0};
    for (size_t i = 0; i < n; i++) {
        uint8_t c = bytes[i];
        bool small = c >= 'a' && c <= 'z', capital = c >= 'A' && c <= 'Z';

        if (!small && !capital && c < 0x80)
            word.hash = 0;
        else {
            if (capital && word.small)
                word.hash = 0;
            word.hash = word.hash * 0x01000193u + (capital ? c + 32u : c) + 1u;
        }
        word.small = small;
    }
    return word;
}

bool sx_word_rows(sx_word word, uint32_t n_rows, uint32_t row[2])
{
    uint32_t x = word.hash;

    if (x == 0)
        return false;
    x ^= x >> 16; /* every bit into every other: the finalizer of MurmurHash3 */
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    x ^= x >> 16;
    row[0] = x % n_rows;
    row[1] = (x >> 16) % n_rows;
    return true;
}
