/* preflight.h: finds the git directory of a path and looks at its control files before libgit2
 * does, which would wait for ever on a FIFO and follow a configuration anywhere. Opens nothing that
 * is not a regular file; knows no libgit2. */
#ifndef SX_PREFLIGHT_H
#define SX_PREFLIGHT_H

#include "indexer/indexer.h"

typedef struct sx_git_dirs { /* real paths, malloc'ed, without a final slash */
    char *git_dir;
    char *common_dir; /* git_dir itself unless it is that of a linked work tree */
    char *work_tree;  /* the directory that holds .git; NULL: bare */
    bool trusted;     /* another user's, but safe.directory in this user's own git configuration
                       * names it */
} sx_git_dirs;

/* Looks upwards from `path` for a git directory, up to the root of the file system, and checks it:
 *   E-NOREPO          there is none, or what is there is not whole
 *   E-OWNER           it is somebody else's (-EACCES)
 *   E-GITDIR-SPECIAL  a control file is a FIFO, a device, a socket or a directory
 *   E-GITDIR-SIZE     a control file is over the size that one may have
 *   E-GITDIR-CONFIG   a configuration file is none
 *   E-OUTSIDE         something leads out of the repository (-EACCES); allow_outside lets it
 *   E-SHA256, E-REFTABLE  formats this version does not read
 * all -EBADMSG unless said. Out of the repository means: neither below the work tree nor below the
 * common git directory, except
 *   - from a linked work tree to its repository, if that has it registered (its gitdir file names
 * it),
 *   - from a submodule to its git directory, if that names the submodule as core.worktree.
 * Alternates (git clone --shared, --reference) do lead out and need allow_outside. */
int sx_preflight(sx_git_dirs *out, const char *path, bool allow_outside, char *err, size_t errlen);
void sx_git_dirs_clear(sx_git_dirs *dirs);

/* True if `path` is `directory` or below it; both real paths. */
bool sx_path_inside(const char *path, const char *directory);

#endif
