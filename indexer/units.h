/* units.h: a blob and its definitions -> its units with their words, packed (pack.h). A unit is
 *
 *   a definition's own text: it and its doc comment, without the definitions inside it and their
 *   doc comments. Each byte is of one definition: where several share their text (int a, b;), the
 *   last has it and the others are found by their names
 *   or at most 40 lines between definitions, or of a file that has none
 *
 * and has words, or it is none. Of each term it holds
 *
 *   head   8 for each time in the name, 2 in the signature, 1 in the doc comment, 1 in the names of
 *          the definitions around it
 *   body   1 for each time in the rest
 *
 * both at most 255, and of itself what sort of text it is (pack.h). A unit that is full
 * (SX_UNIT_WORDS) is continued in another. In all, words cost no more than the text and as much
 * again of names of definitions around.
 *
 * Knows no git, no SQL, no trees. */
#ifndef SX_UNITS_H
#define SX_UNITS_H

#include "indexer/definitions.h"
#include "indexer/pack.h"

/* Appends the units, by start_byte, outer before inner. 0 or -ENOMEM. */
int sx_units_pack(sx_bytes *out, const uint8_t *bytes, size_t n, const sx_parse *parse);

#endif
