/* private.h: between kernelcheck.c and harness.c. */
#ifndef SX_HARNESS_PRIVATE_H
#define SX_HARNESS_PRIVATE_H

#include <stdint.h>

extern int checks_passed, checks_failed;
extern double worst_share; /* the largest error of an operation, as a share of what was allowed */

void random_seed(uint64_t seed);
void begin_operation(const char *name);

#endif
