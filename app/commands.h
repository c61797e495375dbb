/* commands.h: the commands of the command line, one function each.
 * They print their result to standard output and return 0 or a negative errno with *failure set. */
#ifndef SX_APP_COMMANDS_H
#define SX_APP_COMMANDS_H

#include "app/options.h"
#include "app/session.h"
#include "app/terminal.h"

typedef struct sx_cli {
    sx_options options;
    sx_terminal out; /* standard output */
    sx_progress_line progress;
    char *model, *queries; /* directories; NULL: not found */
    atomic_bool *stop;
    int exit_code; /* of a command that succeeded */
    sx_failure failure;
} sx_cli;

/* Opens the session a command wants. with_weights: it is going to encode or answer. */
int sx_cli_session(sx_cli *cli, bool with_weights, sx_session **out);
/* A commit that could not be read completely: one line on standard error, exit code 3. */
void sx_cli_note_damage(sx_cli *cli, sx_session *session);

int sx_command_index(sx_cli *cli);
int sx_command_ask(sx_cli *cli);
int sx_command_def(sx_cli *cli);
int sx_command_refs(sx_cli *cli);
int sx_command_status(sx_cli *cli);
int sx_command_forget(sx_cli *cli);
int sx_command_doctor(sx_cli *cli);

#endif
