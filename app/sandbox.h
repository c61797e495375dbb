/* sandbox.h: confine this process before it reads what others wrote.
 * No network, no new programs, no looking into other processes (seccomp); the repository, the model
 * and the system read-only, the cache read-write, nothing else (Landlock). Where the kernel lacks
 * one of them, work goes on without it: `sparsex doctor` says so. SPARSEX_SANDBOX=off leaves all
 * rights (debuggers and leak checkers need them). */
#ifndef SX_APP_SANDBOX_H
#define SX_APP_SANDBOX_H

#include "app/errors.h"
#include "indexer/indexer.h"

#include <stdbool.h>

/* For the calling thread and those it starts later. `outside`: the user lets the repository lead
 * elsewhere, so every file may be read. 0, or negative where rights could not be given up although
 * the kernel can. */
int sx_sandbox_enter(const sx_index *index, const char *model_dir, const char *queries_dir,
                     bool outside, sx_failure *failure);

int sx_sandbox_landlock_abi(void); /* 0: the kernel has no Landlock */
bool sx_sandbox_has_seccomp(void);
bool sx_sandbox_wanted(void); /* false: switched off by the environment */

#endif
