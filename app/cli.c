/* cli.c: argv -> command -> exit code. The program without a window begins here.
 * Must not know how anything is done: it opens sessions, catches signals and prints errors. */
#include "app/commands.h"
#include "app/paths.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_bool stop;
static volatile sig_atomic_t quiet, on_tty;

/* The first signal is acknowledged from here, so at once; the second ends the program, which is
 * safe at any moment (encoder.c, the catalogue's transactions). */
static void on_signal(int number)
{
    static const char tty[] = "\r\x1b[Kstopping, what is done is kept\n";
    static const char plain[] = "stopping, what is done is kept\n";
    int saved = errno;
    ssize_t n = 0;

    if (atomic_exchange(&stop, true))
        _exit(SX_EXIT_CANCELLED);
    if (!quiet)
        n = on_tty ? write(STDERR_FILENO, tty, sizeof tty - 1)
                   : write(STDERR_FILENO, plain, sizeof plain - 1);
    (void)n; /* nothing to be done about a closed standard error */
    errno = saved;
}

static void catch_signals(const sx_cli *cli)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    quiet = cli->options.quiet;
    on_tty = cli->progress.terminal.tty;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void show_progress(const sx_progress *progress, void *user)
{
    sx_cli *cli = user;

    if (!atomic_load(cli->stop)) /* the acknowledgement stays the last word */
        sx_progress_show(&cli->progress, progress);
}

int sx_cli_session(sx_cli *cli, bool with_weights, sx_session **out)
{
    const sx_options *o = &cli->options;
    sx_session_options session = {
        .index = {.repository = o->repository != NULL ? o->repository : ".",
                  .cache_root = o->cache,
                  .queries_dir = cli->queries,
                  .allow_outside = o->allow_outside,
                  .threads = o->threads},
        .engine = {.model_dir = cli->model,
                   .threads = o->threads,
                   .device = o->device,
                   .tokenizer_only = !with_weights},
        .kv_budget = o->kv_budget,
        .encode_ms = o->within * 1000.0,
        .confine = true,
        .stop = cli->stop,
        .progress = show_progress,
        .user = cli};

    if (cli->model == NULL)
        return sx_failed_saying(
            &cli->failure, SX_DOMAIN_MODEL, -ENOENT,
            "E-MODEL-MISSING: no model was found; nothing was done; install one or give "
            "--model DIR");
    if (cli->queries == NULL)
        return sx_failed_saying(&cli->failure, SX_DOMAIN_MODEL, -EIO,
                                "E-QUERIES-MISSING: the program's queries "
                                "were not found; nothing was done; install it again");
    return sx_session_open(out, &session, &cli->failure);
}

static int run(sx_cli *cli)
{
    static int (*const commands[])(sx_cli *) = {
        [SX_COMMAND_INDEX] = sx_command_index,   [SX_COMMAND_ASK] = sx_command_ask,
        [SX_COMMAND_DEF] = sx_command_def,       [SX_COMMAND_REFS] = sx_command_refs,
        [SX_COMMAND_STATUS] = sx_command_status, [SX_COMMAND_FORGET] = sx_command_forget,
        [SX_COMMAND_DOCTOR] = sx_command_doctor};

    switch (cli->options.command) {
    case SX_COMMAND_HELP:
        fputs(sx_help_text(cli->options.name), stdout);
        return 0;
    case SX_COMMAND_VERSION:
        puts("sparsex " SX_VERSION);
        return 0;
    default:
        break;
    }
    cli->model = sx_model_directory(cli->options.model);
    cli->queries = sx_queries_directory();
    return commands[cli->options.command](cli);
}

int main(int argc, char **argv)
{
    sx_cli cli = {.stop = &stop};
    int rc = sx_options_parse(&cli.options, argc, argv, &cli.failure);

    sx_terminal_init(&cli.out, stdout);
    sx_progress_init(&cli.progress, cli.options.quiet);
    catch_signals(&cli);
    if (rc == 0)
        rc = run(&cli);
    sx_progress_clear(&cli.progress);
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = sx_failed_saying(
            &cli.failure, SX_DOMAIN_PROGRAM, -EIO,
            "E-OUTPUT: standard output could not be written: %s; what was read is kept; "
            "make room",
            strerror(errno));
    if (rc < 0) {
        fflush(stdout);
        fprintf(stderr, "sparsex: %s\n", cli.failure.text);
        cli.exit_code = cli.failure.exit_code;
    }
    free(cli.model);
    free(cli.queries);
    return cli.exit_code;
}
