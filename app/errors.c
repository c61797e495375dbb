/* errors.c: a module's negative errno and one error line -> the program's exit code.
 * Must not know the modules themselves, nor print. */
#include "app/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int sx_exit_code(sx_domain domain, int rc)
{
    switch (-rc) {
    case 0:
        return SX_EXIT_OK;
    case ECANCELED:
        return SX_EXIT_CANCELLED;
    case EBUSY:
        return SX_EXIT_BUSY;
    case ENOSPC:
    case ENOMEM:
        return SX_EXIT_ROOM;
    case EIO:
        return SX_EXIT_STORAGE;
    case EINVAL:
        return SX_EXIT_USAGE;
    case ENOTRECOVERABLE:
        return SX_EXIT_BUG;
    default:
        break;
    }
    switch (domain) {
    case SX_DOMAIN_PROGRAM:
        return SX_EXIT_USAGE;
    case SX_DOMAIN_LOOKUP:
        return rc == -ENOENT ? SX_EXIT_USAGE : SX_EXIT_REPOSITORY;
    case SX_DOMAIN_REPOSITORY:
        return SX_EXIT_REPOSITORY;
    case SX_DOMAIN_MODEL:
        return SX_EXIT_MODEL;
    }
    return SX_EXIT_BUG;
}

int sx_failed_with(sx_failure *failure, sx_domain domain, int rc)
{
    failure->exit_code = sx_exit_code(domain, rc);
    if (failure->text[0] == '\0')
        snprintf(failure->text, sizeof failure->text, "E-%s: %s",
                 failure->exit_code == SX_EXIT_CANCELLED ? "CANCELLED" : "FAILED", strerror(-rc));
    return rc;
}

int sx_failed_saying(sx_failure *failure, sx_domain domain, int rc, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return sx_failed_with(failure, domain, rc);
}
