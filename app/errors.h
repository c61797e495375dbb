/* errors.h: a module's negative errno and one error line -> the program's exit code.
 * Knows what each exit code of the command line means; prints nothing. */
#ifndef SX_APP_ERRORS_H
#define SX_APP_ERRORS_H

typedef enum sx_exit {
    SX_EXIT_OK = 0,
    SX_EXIT_USAGE = 2,
    SX_EXIT_SKIPPED = 3,    /* done, but something of the repository could not be read */
    SX_EXIT_REPOSITORY = 4, /* the repository is refused */
    SX_EXIT_MODEL = 5,      /* the model is refused */
    SX_EXIT_STORAGE = 6,
    SX_EXIT_ROOM = 7, /* memory or disk short */
    SX_EXIT_CANCELLED = 8,
    SX_EXIT_BUSY = 9,
    SX_EXIT_BUG = 70
} sx_exit;

/* Who failed: the same errno means different things from different modules. */
typedef enum sx_domain {
    SX_DOMAIN_PROGRAM,    /* arguments and files named on the command line */
    SX_DOMAIN_REPOSITORY, /* opening and reading the repository and its catalogue */
    SX_DOMAIN_LOOKUP,     /* a revision or name inside an open repository */
    SX_DOMAIN_MODEL       /* model, encoding, slabs, answering */
} sx_domain;

typedef struct sx_failure {
    int exit_code;   /* an sx_exit */
    char text[1024]; /* "E-NAME: what; what was kept; what to do", names escaped */
} sx_failure;

int sx_exit_code(sx_domain domain, int rc);
/* Fills in the exit code for rc, and a text where the module left none. Returns rc. */
int sx_failed_with(sx_failure *failure, sx_domain domain, int rc);
/* The same with a text of our own. */
int sx_failed_saying(sx_failure *failure, sx_domain domain, int rc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
