/* scan.h: is everything below a directory a directory or a regular file? Opens only directories. */
#ifndef SX_SCAN_H
#define SX_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* 0 also where `top` does not exist. E-GITDIR-SPECIAL (-EBADMSG) names the first FIFO, device or
 * socket; a link that leads out of `top` is E-OUTSIDE (-EACCES) unless allowed, and is not entered.
 */
int sx_scan_directory(const char *top, bool allow_outside, char *err, size_t errlen);

#endif
