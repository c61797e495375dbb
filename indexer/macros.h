/* macros.h: what a C preprocessor would have removed and a parser stumbles over:
 *   QT_BEGIN_NAMESPACE     alone on a line, around declarations
 *   class LIB_API Name {   between the keyword and the name
 * Knows bytes and lines, no trees. */
#ifndef SX_MACROS_H
#define SX_MACROS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool sx_macros_any(const uint8_t *text, size_t n);
/* Overwrites them with spaces; every offset stays what it was. */
void sx_macros_blank(uint8_t *text, size_t n);

#endif
