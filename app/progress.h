/* progress.h: what long work reports while it runs. */
#ifndef SX_APP_PROGRESS_H
#define SX_APP_PROGRESS_H

#include <stdint.h>

typedef struct sx_progress { /* a total of zero is not known, or does not matter */
    const char *step;        /* static string */
    uint64_t files_done, files_total;
    uint64_t bytes_done, bytes_total;
    uint64_t tokens_done, tokens_total;
} sx_progress;
/* From one thread at a time. */
typedef void (*sx_progress_fn)(const sx_progress *progress, void *user);

#endif
