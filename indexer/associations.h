/* associations.h: what the words of questions are called in code, and how much each tells. The
 * table is data/associations.txt, made by data/training/associate.py; one line a term, in byte
 * order:
 *
 *   term weight other strength other strength ...      in hundredths, strongest first
 *
 * Terms are pieces as terms.h makes them. Knows no git, no SQL, no files. */
#ifndef SX_ASSOCIATIONS_H
#define SX_ASSOCIATIONS_H

#include <stddef.h>
#include <stdint.h>

enum { SX_ASSOCIATIONS = 8 }; /* most of one term */

typedef struct sx_association {
    uint32_t hash;  /* of a term that stands in code for what was asked */
    float strength; /* 0 .. 1: what it counts beside the term itself */
} sx_association;

/* How many others there are for a piece, and what to add to its idf. Unknown: none, and 0. */
size_t sx_associations_of(const uint8_t *term, size_t n, sx_association others[SX_ASSOCIATIONS],
                          float *weight);

#endif
