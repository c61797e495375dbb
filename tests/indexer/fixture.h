/* fixture.h: what the indexer's tests share: a directory of their own, git in it, an index of it.
 */
#ifndef SX_TEST_FIXTURE_H
#define SX_TEST_FIXTURE_H

#include "indexer/indexer.h"
#include "tests/check.h"
#include "tests/indexer/words.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char fixture_dir[PATH_MAX];  /* the current directory too */
static const char *fixture_queries; /* data/queries, the test's first argument */
static char fixture_err[1024];      /* of the last call */

#if defined(__SANITIZE_ADDRESS__)
/* libgit2 1.5 leaks the match data of every configuration entry that is no extension. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpcre2-8\n";
}
#endif

/* Runs a line of shell in the test's directory; false if it fails. */
__attribute__((format(printf, 1, 2))) static inline bool sh(const char *format, ...)
{
    char line[8192];
    va_list args;
    int status;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fflush(stdout);
    status = system(line);
    if (status != 0)
        printf("exit status %d: %s\n", status, line);
    return status == 0;
}

/* A fresh directory under $TMPDIR or /tmp, and git set up so that nothing of the user's counts. */
static inline bool fixture_begin(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");

    fixture_queries = argc > 1 ? argv[1] : NULL;
    snprintf(fixture_dir, sizeof fixture_dir, "%s/sparsex-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!fixture_queries || !mkdtemp(fixture_dir) || chdir(fixture_dir) < 0) {
        printf("usage: TEST QUERIES_DIR\n");
        return false;
    }
    setenv("HOME", fixture_dir, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("SUDO_UID");
    setenv("XDG_CACHE_HOME", "/nonexistent", 1); /* whoever forgets cache_root is found out */
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    setenv("GIT_AUTHOR_NAME", "A", 1);
    setenv("GIT_AUTHOR_EMAIL", "a@example.org", 1);
    setenv("GIT_COMMITTER_NAME", "A", 1);
    setenv("GIT_COMMITTER_EMAIL", "a@example.org", 1);
    setenv("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z", 1);
    setenv("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z", 1);
    return sh("git config --global init.defaultBranch main && git config --global "
              "protocol.file.allow always");
}

static inline int fixture_end(void)
{
    if (chdir("/") == 0)
        sh("chmod -R u+rwX '%s' && rm -rf '%s'", fixture_dir, fixture_dir);
    return sx_check_end();
}

static inline sx_index_options fixture_options(const char *repository)
{
    return (sx_index_options){.repository = repository,
                              .cache_root = "cache",
                              .queries_dir = fixture_queries,
                              .threads = 2};
}

/* Opens, locks, updates and closes. The error's errno, or 0 and *commit. */
static inline int fixture_index(const sx_index_options *options, const char *rev, sx_commit *commit)
{
    sx_text_model text = words_model("words");
    sx_index *index = NULL;
    int rc;

    fixture_err[0] = '\0';
    if ((rc = sx_index_open(&index, options, fixture_err, sizeof fixture_err)) == 0 &&
        (rc = sx_index_lock(index, 0, fixture_err, sizeof fixture_err)) == 0 &&
        (rc = sx_index_update(index, rev, &text, NULL, NULL, commit, fixture_err,
                              sizeof fixture_err)) == 0)
        rc = sx_index_verify(index, fixture_err, sizeof fixture_err);
    sx_index_close(index);
    return rc;
}

static inline bool fixture_says(const char *what)
{
    if (strstr(fixture_err, what))
        return true;
    printf("not \"%s\" in: %s\n", what, fixture_err);
    return false;
}

#endif
