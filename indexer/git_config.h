/* git_config.h: the syntax of git's configuration files, for preflight.c, which must know where one
 * leads before libgit2 reads it. Knows no file system: bytes in, settings out. */
#ifndef SX_GIT_CONFIG_H
#define SX_GIT_CONFIG_H

#include <stddef.h>

typedef struct sx_git_setting { /* strings live until the callback returns */
    const char *section;        /* lower case */
    const char *subsection;     /* as written, "" if none */
    const char *key;            /* lower case */
    const char *value;          /* unquoted; NULL: a key without "=" */
} sx_git_setting;
typedef int (*sx_git_setting_fn)(const sx_git_setting *setting, void *user);

/* Calls fn for every setting in order; a non-zero result of it ends the walk and is returned.
 * -EILSEQ where the bytes are no git configuration, -ENOMEM. */
int sx_git_config_parse(const char *text, size_t n, sx_git_setting_fn fn, void *user);

#endif
