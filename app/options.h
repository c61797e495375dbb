/* options.h: argv -> one struct, every value checked. Prints nothing, opens nothing. */
#ifndef SX_APP_OPTIONS_H
#define SX_APP_OPTIONS_H

#include "app/errors.h"
#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum sx_command {
    SX_COMMAND_HELP, /* name: of the command asked about, or NULL */
    SX_COMMAND_VERSION,
    SX_COMMAND_INDEX,
    SX_COMMAND_ASK,
    SX_COMMAND_DEF,
    SX_COMMAND_REFS,
    SX_COMMAND_STATUS,
    SX_COMMAND_FORGET,
    SX_COMMAND_DOCTOR
} sx_command;

#define SX_KV_BUDGET_AUTO UINT64_MAX
#define SX_QUESTION_MAX   8192

typedef struct sx_options { /* strings are argv's or NULL */
    sx_command command;
    const char *repository; /* NULL: the one around the current directory */
    const char *question;   /* ask */
    const char *name;       /* def, refs; help */
    const char *rev, *batch, *device, *model, *cache;
    uint32_t top;       /* spans to show */
    int threads;        /* 0: all this process may use */
    int within;         /* seconds of reading before `ask` answers; 0: until all is read */
    uint64_t kv_budget; /* bytes */
    sx_attention attention;
    bool json, quiet, now, allow_outside;
} sx_options;

/* 0, or -EINVAL with a usage error in *failure. */
int sx_options_parse(sx_options *options, int argc, char **argv, sx_failure *failure);

/* Is it a question? 1 to 8192 bytes of UTF-8 without NUL. -EINVAL and a sentence if not. */
int sx_question_check(const char *question, size_t n, sx_failure *failure);

/* Text of `sparsex help [command]`; name NULL: all commands. NULL: no such command. */
const char *sx_help_text(const char *name);

#endif
