/* git_memory.h: libgit2's heap with a ceiling. The size of an object says nothing about the objects
 * it is a difference of: a pack of 5 MB can ask for many GB. */
#ifndef SX_GIT_MEMORY_H
#define SX_GIT_MEMORY_H

/* Call before git_libgit2_init(). 0 or libgit2's error. */
int sx_git_memory_init(void);

#endif
