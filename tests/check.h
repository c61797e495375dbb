/* check.h: what a test needs: count, say what failed, end with one line. */
#ifndef SX_CHECK_H
#define SX_CHECK_H

#include <stdio.h>

static int sx_passed, sx_failed;

#define SX_CHECK(condition)                                                      \
    do {                                                                         \
        if (condition) {                                                         \
            sx_passed++;                                                         \
        } else {                                                                 \
            sx_failed++;                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                        \
    } while (0)

static inline int sx_check_done(void)
{
    printf("%d passed, %d failed\n", sx_passed, sx_failed);
    return sx_failed || !sx_passed;
}

#endif
