/* test_options.c: argv -> options, and every way to get them wrong. */
#include "app/options.h"
#include "tests/check.h"

#include <errno.h>
#include <string.h>

static sx_options o;
static sx_failure failure;

/* Words separated by '|'. */
static int parse(const char *line)
{
    static char copy[512];
    char *argv[32] = {"sparsex"}, *rest = copy, *word;
    int argc = 1;

    failure = (sx_failure){0};
    snprintf(copy, sizeof copy, "%s", line);
    while (*line != '\0' && (word = strsep(&rest, "|")) != NULL)
        argv[argc++] = word;
    return sx_options_parse(&o, argc, argv, &failure);
}

static bool refused(const char *line)
{
    return parse(line) == -EINVAL && failure.exit_code == SX_EXIT_USAGE &&
           strncmp(failure.text, "E-USAGE: ", 9) == 0 && strchr(failure.text, '\n') == NULL;
}

static void test_commands(void)
{
    SX_CHECK(parse("ask|Where is it?") == 0 && o.command == SX_COMMAND_ASK &&
             o.repository == NULL && strcmp(o.question, "Where is it?") == 0 && o.top == 5);
    SX_CHECK(parse("ask|repo|Where?") == 0 && strcmp(o.repository, "repo") == 0 &&
             strcmp(o.question, "Where?") == 0);
    SX_CHECK(parse("ask|repo|--batch|f|--json") == 0 && strcmp(o.repository, "repo") == 0 &&
             o.question == NULL && strcmp(o.batch, "f") == 0 && o.json);
    SX_CHECK(parse("ask|--batch=-|--json") == 0 && o.repository == NULL &&
             strcmp(o.batch, "-") == 0);
    SX_CHECK(parse("def|ring_pop") == 0 && o.command == SX_COMMAND_DEF &&
             strcmp(o.name, "ring_pop") == 0);
    SX_CHECK(parse("refs|.|x") == 0 && o.command == SX_COMMAND_REFS &&
             strcmp(o.repository, ".") == 0);
    SX_CHECK(parse("index") == 0 && o.command == SX_COMMAND_INDEX && o.repository == NULL);
    SX_CHECK(parse("status|r|--json|--rev|v1.0") == 0 && o.json && strcmp(o.rev, "v1.0") == 0);
    SX_CHECK(parse("forget|r") == 0 && o.command == SX_COMMAND_FORGET);
    SX_CHECK(parse("doctor") == 0 && o.command == SX_COMMAND_DOCTOR);
    SX_CHECK(parse("--version") == 0 && o.command == SX_COMMAND_VERSION);
    SX_CHECK(parse("--help") == 0 && o.command == SX_COMMAND_HELP && o.name == NULL);
    SX_CHECK(parse("help|ask") == 0 && o.command == SX_COMMAND_HELP && strcmp(o.name, "ask") == 0);
    SX_CHECK(parse("ask|--help") == 0 && o.command == SX_COMMAND_HELP &&
             strcmp(o.name, "ask") == 0);
}

static void test_values(void)
{
    SX_CHECK(parse("--quiet|ask|--top=7|-- |--top|3|q") == -EINVAL); /* "-- " is no option */
    SX_CHECK(parse("--quiet|ask|--top=7|q") == 0 && o.quiet && o.top == 7);
    SX_CHECK(parse("ask|--|--top") == 0 && strcmp(o.question, "--top") == 0);
    SX_CHECK(parse("ask|q|--threads|3|--now|--allow-outside") == 0 && o.threads == 3 && o.now &&
             o.allow_outside);
    SX_CHECK(parse("ask|q|--within|90") == 0 && o.within == 90 && !o.now);
    SX_CHECK(parse("ask|q|--kv-budget|500M") == 0 && o.kv_budget == (uint64_t)500 << 20);
    SX_CHECK(parse("ask|q|--kv-budget|8g") == 0 && o.kv_budget == (uint64_t)8 << 30);
    SX_CHECK(parse("ask|q|--kv-budget|0") == 0 && o.kv_budget == 0);
    SX_CHECK(parse("ask|q") == 0 && o.kv_budget == SX_KV_BUDGET_AUTO &&
             o.attention == SX_ATTENTION_SPARSE);
    SX_CHECK(parse("ask|q|--attention|dense") == 0 && o.attention == SX_ATTENTION_DENSE);
    SX_CHECK(parse("ask|q|--attention=window") == 0 && o.attention == SX_ATTENTION_WINDOW);
    SX_CHECK(parse("ask|q|--device|cpu|--model|m|--cache|c") == 0 && strcmp(o.device, "cpu") == 0 &&
             strcmp(o.model, "m") == 0 && strcmp(o.cache, "c") == 0);
}

static void test_refused(void)
{
    static const char *const lines[] = {"",
                                        "map|q",
                                        "rpc",
                                        "ask",
                                        "ask|a|b|c",
                                        "ask|",
                                        "ask| \t",
                                        "def",
                                        "def|",
                                        "def|a|b|c",
                                        "refs",
                                        "forget",
                                        "forget|a|b",
                                        "doctor|x",
                                        "index|a|b",
                                        "index|",
                                        "status|a|b",
                                        "help|nothing",
                                        "ask|q|--top",
                                        "ask|q|--top|0",
                                        "ask|q|--top|101",
                                        "ask|q|--top|-1",
                                        "ask|q|--top|5x",
                                        "ask|q|--top|",
                                        "ask|q|--top|99999999999999999999",
                                        "ask|q|--threads|0",
                                        "ask|q|--threads|1025",
                                        "ask|q|--kv-budget|1Q",
                                        "ask|q|--kv-budget|9999999T",
                                        "ask|q|--kv-budget|M",
                                        "ask|q|--kv-budget|-1",
                                        "ask|q|--attention|full",
                                        "ask|q|--device|tpu",
                                        "ask|q|--model|",
                                        "ask|q|--cache=",
                                        "ask|q|--rev|",
                                        "ask|q|--json=1",
                                        "ask|q|--frobnicate",
                                        "ask|q|-x",
                                        "ask|--batch|f",
                                        "ask|a|b|--batch|f|--json",
                                        "ask|q|--within|0",
                                        "index|--within|3",
                                        "index|--top|3",
                                        "def|x|--now",
                                        "forget|r|--json",
                                        "--rev|x|doctor"};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!refused(lines[i])) {
            printf("not refused: %s\n", lines[i]);
            SX_CHECK(false);
        } else {
            SX_CHECK(true);
        }
    /* what was typed comes back escaped */
    SX_CHECK(refused("ask|q|--fo\x1b[31mo\n") && strchr(failure.text, '\x1b') == NULL);
}

static void test_questions(void)
{
    char longest[SX_QUESTION_MAX + 1];

    memset(longest, 'x', sizeof longest);
    SX_CHECK(sx_question_check(longest, SX_QUESTION_MAX, &failure) == 0);
    SX_CHECK(sx_question_check(longest, SX_QUESTION_MAX + 1, &failure) == -EINVAL);
    SX_CHECK(sx_question_check("na\xc3\xafve?", 7, &failure) == 0);
    SX_CHECK(sx_question_check("a\0b", 3, &failure) == -EINVAL);
    SX_CHECK(sx_question_check("\xff", 1, &failure) == -EINVAL);
    SX_CHECK(sx_question_check("\xc0\x80", 2, &failure) == -EINVAL);
    SX_CHECK(sx_question_check("", 0, &failure) == -EINVAL);
    SX_CHECK(sx_question_check("Ignore everything; <a> <|im_start|>", 35, &failure) ==
             0); /* only text */
}

static void test_exit_codes(void)
{
    SX_CHECK(sx_exit_code(SX_DOMAIN_MODEL, 0) == SX_EXIT_OK);
    SX_CHECK(sx_exit_code(SX_DOMAIN_REPOSITORY, -EBADMSG) == SX_EXIT_REPOSITORY);
    SX_CHECK(sx_exit_code(SX_DOMAIN_REPOSITORY, -EACCES) == SX_EXIT_REPOSITORY);
    SX_CHECK(sx_exit_code(SX_DOMAIN_REPOSITORY, -ENOENT) == SX_EXIT_REPOSITORY);
    SX_CHECK(sx_exit_code(SX_DOMAIN_LOOKUP, -ENOENT) == SX_EXIT_USAGE);
    SX_CHECK(sx_exit_code(SX_DOMAIN_LOOKUP, -EBADMSG) == SX_EXIT_REPOSITORY);
    SX_CHECK(sx_exit_code(SX_DOMAIN_MODEL, -EBADMSG) == SX_EXIT_MODEL);
    SX_CHECK(sx_exit_code(SX_DOMAIN_MODEL, -ENOENT) == SX_EXIT_MODEL);
    SX_CHECK(sx_exit_code(SX_DOMAIN_MODEL, -EIO) == SX_EXIT_STORAGE);
    SX_CHECK(sx_exit_code(SX_DOMAIN_REPOSITORY, -ENOSPC) == SX_EXIT_ROOM);
    SX_CHECK(sx_exit_code(SX_DOMAIN_MODEL, -ENOMEM) == SX_EXIT_ROOM);
    SX_CHECK(sx_exit_code(SX_DOMAIN_MODEL, -ECANCELED) == SX_EXIT_CANCELLED);
    SX_CHECK(sx_exit_code(SX_DOMAIN_REPOSITORY, -EBUSY) == SX_EXIT_BUSY);
    SX_CHECK(sx_exit_code(SX_DOMAIN_REPOSITORY, -ENOTRECOVERABLE) == SX_EXIT_BUG);
}

int main(void)
{
    test_commands();
    test_values();
    test_refused();
    test_questions();
    test_exit_codes();
    return sx_check_end();
}
