/* check.h: the smallest test harness: count, say what failed, go on. */
#ifndef SX_CHECK_H
#define SX_CHECK_H

#include <stdio.h>

static int sx_passed, sx_failed;

#define SX_CHECK(condition)                                                                        \
    do {                                                                                           \
        if (condition) {                                                                           \
            sx_passed++;                                                                           \
        } else {                                                                                   \
            sx_failed++;                                                                           \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                         \
        }                                                                                          \
    } while (0)

/* The last line of a test program; its exit status. A program that checked nothing has failed. */
static inline int sx_check_end(void)
{
    printf("%d passed, %d failed\n", sx_passed, sx_failed);
    return sx_failed || !sx_passed;
}

#endif
