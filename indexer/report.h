/* report.h: the one way the git and catalogue side says what went wrong. */
#ifndef SX_REPORT_H
#define SX_REPORT_H

#include "indexer/indexer.h"

/* Writes the line to err[] (may be NULL) and returns rc. */
int sx_index_fail(char *err, size_t errlen, int rc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A name from outside, safe inside an error line; lives until the enclosing block ends. */
#define SX_SHOW(bytes) sx_display_name((char[320]){0}, 320, (bytes))

/* The skip of that name; SX_SKIP_NONE for NULL, SX_SKIP_CORRUPT for a name that is none of ours. */
sx_skip sx_skip_named(const char *name);

#endif
