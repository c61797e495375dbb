/* control.h: reading the control files of a git directory so that nothing hostile in their place
 * blocks us or leads us away. What preflight.c looks through. */
#ifndef SX_CONTROL_H
#define SX_CONTROL_H

#include "indexer/preflight.h"

#include <sys/types.h>

#define SX_POINTER_CAP                                                                             \
    (64 << 10) /* bytes of a file that names a path: HEAD, commondir, .git, ... */

typedef struct sx_control {
    const sx_git_dirs *dirs; /* what counts as inside */
    bool allow_outside;
    char *err;
    size_t errlen;
} sx_control;

/* Is the control file at `path` there, regular and at most `cap` bytes? 1, 0 (absent), or refused.
 */
int sx_control_check(const sx_control *control, const char *path, off_t cap);
/* Reads it: 1 and *text (NUL-terminated, the caller's), 0 if absent, or refused. */
int sx_control_read(const sx_control *control, const char *path, off_t cap, char **text, size_t *n);
/* Reads a file that holds one path after `prefix`, relative to `base`: 1 and its real path (the
 * caller's), 0 if the file is absent or leads nowhere, or refused. */
int sx_control_pointer(const sx_control *control, const char *path, const char *prefix,
                       const char *base, char **real);
bool sx_control_inside(const sx_control *control, const char *real);
/* Write the error and return its errno. */
int sx_control_outside(const sx_control *control, const char *what, const char *from,
                       const char *to);
int sx_control_no_memory(const sx_control *control);

/* malloc'ed; NULL: no memory. An absolute name stands for itself. */
char *sx_path_join(const char *directory, const char *name);
char *sx_path_parent(const char *path);

#endif
