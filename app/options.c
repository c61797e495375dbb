/* options.c: argv -> one struct, every value checked, and the help texts that belong to it.
 * Must not know what the commands do. */
#include "app/options.h"
#include "indexer/indexer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    INDEX = 1 << SX_COMMAND_INDEX,
    ASK = 1 << SX_COMMAND_ASK,
    DEF = 1 << SX_COMMAND_DEF,
    REFS = 1 << SX_COMMAND_REFS,
    STATUS = 1 << SX_COMMAND_STATUS,
    FORGET = 1 << SX_COMMAND_FORGET,
    DOCTOR = 1 << SX_COMMAND_DOCTOR,
    READS = INDEX | ASK | DEF | REFS | STATUS, /* commands that open a repository */
    ALL = READS | FORGET | DOCTOR
};

#define COMMON                                                                                     \
    "\n"                                                                                           \
    "Common options\n"                                                                             \
    "  --device auto|cpu|cuda   where to compute (default: auto)\n"                                \
    "  --model DIR              model to use (default: the bundled one, or $SPARSEX_MODEL)\n"      \
    "  --threads N              threads (default: all cores)\n"                                    \
    "  --cache DIR              where indexes are kept (default: $XDG_CACHE_HOME/sparsex)\n"       \
    "  --attention sparse|dense|window   how a question reads (default: sparse)\n"                 \
    "  --kv-budget SIZE         most bytes of keys and values kept, as 500M or 8G\n"               \
    "  --allow-outside          follow links of the repository that lead out of it\n"              \
    "  --quiet                  no progress, no notes\n"

static const struct command {
    const char *name;
    sx_command command;
    const char *help;
} commands[] = {
    {"index", SX_COMMAND_INDEX,
     "Usage: sparsex index [REPO] [--rev REV] [--json]\n\n"
     "Reads a repository so that questions are answered at once. Ctrl-C keeps what is\n"
     "done; the next run goes on from there. REPO is a work tree, a git directory or a\n"
     "bare repository; without it, the repository around the current directory.\n\n"
     "  --rev REV                commit, branch or tag (default: HEAD)\n"
     "  --json                   one JSON object at the end\n" COMMON},
    {"ask", SX_COMMAND_ASK,
     "Usage: sparsex ask [REPO] QUESTION [--rev REV] [--top N] [--json]\n"
     "                   [--within N | --now]\n"
     "       sparsex ask [REPO] --batch FILE --json\n\n"
     "Answers a question about a repository and shows the places the answer was read\n"
     "from. Reads the repository first if that has not been done.\n\n"
     "  --rev REV                commit, branch or tag (default: HEAD)\n"
     "  --top N                  places to show, 1 to 100 (default: 5)\n"
     "  --within N               read for N seconds at most, then answer from what is read\n"
     "  --now                    answer from what is read so far, without reading more\n"
     "  --batch FILE             a question a line; - is standard input\n"
     "  --json                   one JSON object a question\n" COMMON},
    {"def", SX_COMMAND_DEF,
     "Usage: sparsex def [REPO] NAME [--rev REV] [--json]\n\n"
     "Every definition of NAME, exactly; NAME may carry its scope, as in Ring.push.\n\n"
     "  --rev REV                commit, branch or tag (default: HEAD)\n"
     "  --json                   one JSON array\n" COMMON},
    {"refs", SX_COMMAND_REFS,
     "Usage: sparsex refs [REPO] NAME [--rev REV] [--json]\n\n"
     "Every place that mentions NAME outside its definition.\n\n"
     "  --rev REV                commit, branch or tag (default: HEAD)\n"
     "  --json                   one JSON array\n" COMMON},
    {"status", SX_COMMAND_STATUS,
     "Usage: sparsex status [REPO] [--rev REV] [--json]\n\n"
     "What is known of a repository: commit, files, tokens, what was skipped and why,\n"
     "how much is read, how much disk it takes.\n\n"
     "  --rev REV                commit, branch or tag (default: HEAD)\n"
     "  --json                   one JSON object\n" COMMON},
    {"forget", SX_COMMAND_FORGET,
     "Usage: sparsex forget REPO\n\n"
     "Deletes everything kept for a repository. The repository itself is not touched and\n"
     "need not exist any more.\n" COMMON},
    {"doctor", SX_COMMAND_DOCTOR,
     "Usage: sparsex doctor [--json]\n\n"
     "What this machine offers: processor, model, cache directory, sandbox, libraries.\n" COMMON},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const char help_all[] =
    "Usage: sparsex COMMAND [REPO] [ARGUMENT] [options]\n\n"
    "Answers questions about a whole git repository, on this machine, and shows what was read.\n\n"
    "  index [REPO]             read a repository\n"
    "  ask [REPO] QUESTION      answer a question\n"
    "  def [REPO] NAME          where NAME is defined\n"
    "  refs [REPO] NAME         where NAME is used\n"
    "  status [REPO]            what is read, and what was skipped\n"
    "  forget REPO              delete everything kept for a repository\n"
    "  doctor                   what this machine offers\n"
    "  help COMMAND             more about a command\n"
    "  --version\n\n"
    "Exit codes: 0 done, 2 usage, 3 done but something could not be read, 4 repository refused,\n"
    "5 model refused, 6 storage, 7 memory or disk short, 8 cancelled, 9 busy, 70 a bug.\n";

const char *sx_help_text(const char *name)
{
    if (name == NULL)
        return help_all;
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].help;
    return NULL;
}

/* What the user typed, safe in an error line. */
static const char *shown(char *out, size_t outlen, const char *text)
{
    return sx_display_name(out, outlen < 64 ? outlen : 64, text);
}

static int usage(sx_failure *failure, const char *what, const char *word, const char *advice)
{
    char safe[256];

    return sx_failed_saying(failure, SX_DOMAIN_PROGRAM, -EINVAL,
                            "E-USAGE: %s '%s'; nothing was done; %s", what,
                            shown(safe, sizeof safe, word), advice);
}

/* A whole decimal number, with a size suffix where asked for. */
static int parse_number(const char *option, const char *text, uint64_t low, uint64_t high,
                        bool with_suffix, uint64_t *out, sx_failure *failure)
{
    char advice[96], *end = NULL;
    unsigned long long n;
    int shift = 0;

    errno = 0;
    n = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (end != NULL && with_suffix && *end != '\0') {
        const char *suffix = strchr("KkMmGgTt", *end);

        if (suffix != NULL && end[1] == '\0') {
            shift = 10 * (int)(1 + (suffix - "KkMmGgTt") / 2);
            end++;
        }
    }
    if (end == NULL || *end != '\0' || errno != 0 || n > high >> shift || n << shift < low) {
        if (with_suffix)
            snprintf(advice, sizeof advice, "%s takes a size such as 500M or 8G", option);
        else
            snprintf(advice, sizeof advice, "%s takes a number from %llu to %llu", option,
                     (unsigned long long)low, (unsigned long long)high);
        return usage(failure, "not a number in range:", text, advice);
    }
    *out = (uint64_t)n << shift;
    return 0;
}

static int parse_attention(const char *text, sx_attention *out, sx_failure *failure)
{
    static const char *const names[] = {[SX_ATTENTION_SPARSE] = "sparse",
                                        [SX_ATTENTION_DENSE] = "dense",
                                        [SX_ATTENTION_WINDOW] = "window"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (sx_attention)i;
            return 0;
        }
    }
    return usage(failure, "unknown attention", text, "--attention is sparse, dense or window");
}

static int parse_device(const char *text, const char **out, sx_failure *failure)
{
    if (strcmp(text, "auto") != 0 && strcmp(text, "cpu") != 0 && strcmp(text, "cuda") != 0)
        return usage(failure, "unknown device", text, "--device is auto, cpu or cuda");
    *out = text;
    return 0;
}

typedef struct option {
    const char *name;
    unsigned commands;
    bool has_value;
    int (*take)(sx_options *o, const char *value, sx_failure *failure);
} option;

static int take_rev(sx_options *o, const char *value, sx_failure *failure)
{
    o->rev = value;
    return *value != '\0' ? 0
                          : usage(failure, "no revision:", value, "name a commit, branch or tag");
}

static int take_batch(sx_options *o, const char *value, sx_failure *failure)
{
    o->batch = value;
    return 0;
}

static int take_top(sx_options *o, const char *value, sx_failure *failure)
{
    uint64_t n = 0;
    int rc = parse_number("--top", value, 1, 100, false, &n, failure);

    o->top = (uint32_t)n;
    return rc;
}

static int take_within(sx_options *o, const char *value, sx_failure *failure)
{
    uint64_t n = 0;
    int rc = parse_number("--within", value, 1, 1000000, false, &n, failure);

    o->within = (int)n;
    return rc;
}

static int take_threads(sx_options *o, const char *value, sx_failure *failure)
{
    uint64_t n = 0;
    int rc = parse_number("--threads", value, 1, 1024, false, &n, failure);

    o->threads = (int)n;
    return rc;
}

static int take_kv_budget(sx_options *o, const char *value, sx_failure *failure)
{
    return parse_number("--kv-budget", value, 0, (uint64_t)1 << 50, true, &o->kv_budget, failure);
}

static int take_device(sx_options *o, const char *value, sx_failure *failure)
{
    return parse_device(value, &o->device, failure);
}

static int take_attention(sx_options *o, const char *value, sx_failure *failure)
{
    return parse_attention(value, &o->attention, failure);
}

static int take_model(sx_options *o, const char *value, sx_failure *failure)
{
    o->model = value;
    return *value != '\0' ? 0 : usage(failure, "no directory:", value, "--model takes a directory");
}

static int take_cache(sx_options *o, const char *value, sx_failure *failure)
{
    o->cache = value;
    return *value != '\0' ? 0 : usage(failure, "no directory:", value, "--cache takes a directory");
}

static int take_json(sx_options *o, const char *value, sx_failure *failure)
{
    o->json = true;
    return 0;
}

static int take_quiet(sx_options *o, const char *value, sx_failure *failure)
{
    o->quiet = true;
    return 0;
}

static int take_now(sx_options *o, const char *value, sx_failure *failure)
{
    o->now = true;
    return 0;
}

static int take_allow_outside(sx_options *o, const char *value, sx_failure *failure)
{
    o->allow_outside = true;
    return 0;
}

static const option table[] = {
    {"--rev", READS, true, take_rev},
    {"--top", ASK, true, take_top},
    {"--batch", ASK, true, take_batch},
    {"--within", ASK, true, take_within},
    {"--now", ASK, false, take_now},
    {"--json", READS | DOCTOR, false, take_json},
    {"--device", ALL, true, take_device},
    {"--model", ALL, true, take_model},
    {"--threads", ALL, true, take_threads},
    {"--cache", ALL, true, take_cache},
    {"--attention", ALL, true, take_attention},
    {"--kv-budget", ALL, true, take_kv_budget},
    {"--allow-outside", ALL, false, take_allow_outside},
    {"--quiet", ALL, false, take_quiet},
};
enum { N_TABLE = sizeof table / sizeof *table };

/* Takes argv[*at], an option, and its value if it has one. *used: a bit for each row of the table;
 * whether the command takes them is known at the end, since an option may stand before it. */
static int take_option(sx_options *o, int argc, char **argv, int *at, unsigned *used,
                       sx_failure *failure)
{
    const char *word = argv[*at], *equals = strchr(word, '='), *value = NULL;
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);

    for (size_t i = 0; i < N_TABLE; i++) {
        const option *t = &table[i];

        if (strlen(t->name) != length || strncmp(t->name, word, length) != 0)
            continue;
        if (t->has_value && equals != NULL)
            value = equals + 1;
        else if (t->has_value && *at + 1 < argc)
            value = argv[++*at];
        if (t->has_value && value == NULL)
            return usage(failure, "no value behind", word, "see `sparsex help`");
        if (!t->has_value && equals != NULL)
            return usage(failure, "this option takes no value:", word, "see `sparsex help`");
        *used |= 1u << i;
        return t->take(o, value, failure);
    }
    return usage(failure, "unknown option", word, "see `sparsex help`");
}

static int take_positionals(sx_options *o, const char *name, char **words, int n,
                            sx_failure *failure)
{
    int low = 0, high = 1; /* how many words the command takes */

    if (o->command == SX_COMMAND_DOCTOR)
        high = 0;
    else if (o->command == SX_COMMAND_FORGET)
        low = 1;
    else if (o->command == SX_COMMAND_DEF || o->command == SX_COMMAND_REFS ||
             (o->command == SX_COMMAND_ASK && o->batch == NULL)) {
        low = 1;
        high = 2;
    }
    if (n < low)
        return usage(failure, "something is missing behind", name,
                     o->command == SX_COMMAND_ASK      ? "ask a question"
                     : o->command == SX_COMMAND_FORGET ? "name the repository"
                                                       : "give a name");
    if (n > high)
        return usage(failure, "one argument too many:", words[high],
                     "put quotes around a question");
    /* The last of what a command needs is the question or name; what stands before is REPO. */
    if (high == 2) {
        const char *word = words[n - 1];

        if (*word == '\0' && o->command != SX_COMMAND_ASK)
            return usage(failure, "an empty name behind", name, "give a name");
        *(o->command == SX_COMMAND_ASK ? &o->question : &o->name) = word;
        n--;
    }
    if (n > 0 && words[0][0] == '\0')
        return usage(failure, "an empty repository behind", name, "give a path");
    o->repository = n > 0 ? words[0] : NULL;
    return 0;
}

int sx_options_parse(sx_options *options, int argc, char **argv, sx_failure *failure)
{
    const char *command = NULL;
    char *words[3] = {NULL}; /* one more than any command takes */
    unsigned used = 0;
    int n_words = 0, rc;
    bool only_words = false;

    *options = (sx_options){.top = 5, .kv_budget = SX_KV_BUDGET_AUTO};
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            options->command = SX_COMMAND_HELP;
            options->name = command;
            return 0;
        } else if (!only_words && strcmp(word, "--version") == 0) {
            options->command = SX_COMMAND_VERSION;
            return 0;
        } else if (!only_words && word[0] == '-' && word[1] != '\0') {
            if ((rc = take_option(options, argc, argv, &i, &used, failure)) < 0)
                return rc;
        } else if (command == NULL) {
            command = word;
            if (strcmp(word, "help") != 0 && sx_help_text(word) == NULL)
                return usage(failure, "unknown command", word, "see `sparsex help`");
        } else if (n_words < 3) {
            words[n_words++] = word;
        }
    }
    if (command == NULL)
        return sx_failed_saying(failure, SX_DOMAIN_PROGRAM, -EINVAL,
                                "E-USAGE: no command; nothing was done; see `sparsex help`");
    if (strcmp(command, "help") == 0) {
        options->command = SX_COMMAND_HELP;
        options->name = words[0];
        if (n_words > 0 && sx_help_text(words[0]) == NULL)
            return usage(failure, "unknown command", words[0], "see `sparsex help`");
        return 0;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, command) == 0)
            options->command = commands[i].command;
    for (unsigned i = 0; i < N_TABLE; i++)
        if ((used & 1u << i) != 0 && (table[i].commands & 1u << options->command) == 0)
            return usage(failure, "this command does not take", table[i].name,
                         "see `sparsex help` with its name");
    if ((rc = take_positionals(options, command, words, n_words, failure)) < 0)
        return rc;
    if (options->batch != NULL && !options->json)
        return usage(failure, "only with --json:", "--batch", "add --json");
    if (options->command == SX_COMMAND_ASK && options->question != NULL)
        return sx_question_check(options->question, strlen(options->question), failure);
    return 0;
}

int sx_question_check(const char *question, size_t n, sx_failure *failure)
{
    const char *what = NULL;
    size_t spaces = 0;

    while (spaces < n && strchr(" \t\r\n", question[spaces]) != NULL && question[spaces] != '\0')
        spaces++;
    if (spaces == n)
        what = "the question is empty";
    else if (n > SX_QUESTION_MAX)
        what = "the question is longer than 8192 bytes";
    else if (memchr(question, '\0', n) != NULL)
        what = "the question holds a NUL byte";
    for (size_t i = 0; what == NULL && i < n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)question + i,
                                                 (utf8proc_ssize_t)(n - i), &c);

        if (size <= 0)
            what = "the question is not valid UTF-8";
        else
            i += (size_t)size;
    }
    if (what == NULL)
        return 0;
    return sx_failed_saying(failure, SX_DOMAIN_PROGRAM, -EINVAL,
                            "E-USAGE: %s; nothing was asked; ask in one short sentence", what);
}
