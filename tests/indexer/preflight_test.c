/* preflight_test.c: git directories that would hold libgit2 up, lead it away, or are somebody
 * else's. */
#include "indexer/git_config.h"
#include "indexer/preflight.h"
#include "tests/indexer/fixture.h"

#include <errno.h>

typedef struct bait {
    const char *make; /* in a fresh clone "r" of src */
    int rc;
    const char *error, *names; /* what err[] holds */
} bait;

static const bait special[] = {
    {"rm r/.git/config && mkfifo r/.git/config", -EBADMSG, "E-GITDIR-SPECIAL", "/.git/config"},
    {"rm r/.git/HEAD && mkfifo r/.git/HEAD", -EBADMSG, "E-GITDIR-SPECIAL", "/.git/HEAD"},
    {"rm r/.git/index && mkfifo r/.git/index", -EBADMSG, "E-GITDIR-SPECIAL", "/.git/index"},
    {"rm -f r/.git/packed-refs && mkfifo r/.git/packed-refs", -EBADMSG, "E-GITDIR-SPECIAL",
     "/packed-refs"},
    {"mkfifo r/.git/objects/info/alternates", -EBADMSG, "E-GITDIR-SPECIAL", "/alternates"},
    {"mkfifo r/.git/commondir", -EBADMSG, "E-GITDIR-SPECIAL", "/commondir"},
    {"mkfifo r/.git/shallow", -EBADMSG, "E-GITDIR-SPECIAL", "/shallow"},
    {"mkfifo r/.git/refs/heads/x", -EBADMSG, "E-GITDIR-SPECIAL", "/refs/heads/x"},
    {"mkfifo r/.git/objects/pack/x.idx", -EBADMSG, "E-GITDIR-SPECIAL", "/pack/x.idx"},
    {"mkdir -p r/.git/objects/ab && mkfifo r/.git/objects/ab/cdef", -EBADMSG, "E-GITDIR-SPECIAL",
     "/ab/cdef"},
    {"rm r/.git/config && ln -s /dev/zero r/.git/config", -EBADMSG, "E-GITDIR-SPECIAL",
     "/.git/config"},
    {"rm r/.git/config && mkdir r/.git/config", -EBADMSG, "E-GITDIR-SPECIAL", "/.git/config"},
    {"mv r/.git r/x && mkfifo r/.git", -EBADMSG, "E-GITDIR-SPECIAL", "/r/.git"},
    {"mkfifo r/.git/extra && git -C r config include.path extra", -EBADMSG, "E-GITDIR-SPECIAL",
     "/extra"},
    {"mkfifo pipe && git -C r config includeIf.onbranch:none.path ../../pipe", -EACCES, "E-OUTSIDE",
     "/pipe"},
    {"echo '[include]path=/dev/zero' >> r/.git/config", -EACCES, "E-OUTSIDE", "/dev/zero"},
    {"truncate -s 5M r/.git/config", -EBADMSG, "E-GITDIR-SIZE", "/.git/config"},
    {"truncate -s 1M r/.git/HEAD", -EBADMSG, "E-GITDIR-SIZE", "/.git/HEAD"},
    {"git -C r config core.worktree \"$PWD/secret\"", -EACCES, "E-OUTSIDE", "/secret"},
    {"git -C r config include.path ../../secret/config", -EACCES, "E-OUTSIDE", "/secret/config"},
    {"ln -s ../../secret/config r/.git/x && git -C r config include.path x", -EACCES, "E-OUTSIDE",
     "/secret"},
    {"rm r/.git/config && ln -s ../../secret/config r/.git/config", -EACCES, "E-OUTSIDE",
     "/secret/config"},
    {"echo ../../secret > r/.git/commondir && mkdir -p secret/objects secret/refs", -EACCES,
     "E-OUTSIDE", "/secret"},
    {"echo ../../../src/.git/objects > r/.git/objects/info/alternates", -EACCES, "E-OUTSIDE",
     "/src/.git"},
    {"mv r/.git/objects o && ln -s ../../o r/.git/objects", -EACCES, "E-OUTSIDE", "/o"},
    {"ln -s ../../../secret/config r/.git/refs/x", -EACCES, "E-OUTSIDE", "/secret/config"},
};

static void test_bait(void)
{
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        const bait *b = &special[i];
        sx_git_dirs dirs;
        int before = sx_failed;

        SX_CHECK(sh("chmod -R u+w . && rm -rf r o pipe secret && mkdir secret && "
                    "echo '[canary]a=b' > secret/config && git clone -q src r && %s",
                    b->make));
        SX_CHECK(sx_preflight(&dirs, "r", false, fixture_err, sizeof fixture_err) == b->rc);
        SX_CHECK(fixture_says(b->error) && fixture_says(b->names) && !strchr(fixture_err, '\n'));
        SX_CHECK(!dirs.git_dir && !dirs.common_dir && !dirs.work_tree);
        if (sx_failed != before)
            printf("  after: %s\n", b->make);
    }
}

/* What looks like bait and is none. */
static void test_harmless(void)
{
    static const char *const makes[] = {
        "git -C r config core.worktree ..",
        "git -C r config core.worktree \"$PWD/r\"",
        "echo '[a]b=c' > r/.gitconfig && git -C r config include.path ../.gitconfig",
        "git -C r config include.path config", /* itself */
        "git -C r config include.path nothere && git -C r config includeIf.gitdir:/x/.path "
        "../nothere",
        "ln -s nowhere r/.git/refs/x",
        "ln -s heads r/.git/refs/y",
        "echo '# a comment' > r/.git/objects/info/alternates && echo /not/there >> "
        "r/.git/objects/info/alternates",
        "mkfifo r/.git/hooks/pre-commit r/pipe", /* nobody reads those */
        "printf '\\357\\273\\277[core]\\n\\tbare = false ; c\\n' > r/.git/config",
    };

    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++) {
        sx_git_dirs dirs;
        int before = sx_failed;

        SX_CHECK(sh("rm -rf r && git clone -q src r && %s", makes[i]));
        SX_CHECK(sx_preflight(&dirs, "r", false, fixture_err, sizeof fixture_err) == 0);
        sx_git_dirs_clear(&dirs);
        if (sx_failed != before)
            printf("  after: %s: %s\n", makes[i], fixture_err);
    }
}

/* allow_outside follows, but still reads nothing special, and ends. */
static void test_allowed(void)
{
    static const struct {
        const char *make;
        int rc;
    } cases[] = {
        {"git -C r config core.worktree \"$PWD/secret\"", 0},
        {"git -C r config include.path ../../secret/config", 0},
        {"echo '[include]path=../secret/fifo' >> secret/config && mkfifo secret/fifo && "
         "git -C r config include.path ../../secret/config",
         -EBADMSG},
        {"echo ../../../src/.git/objects > r/.git/objects/info/alternates", 0},
        {"echo . > r/.git/objects/info/alternates", -EBADMSG}, /* itself, again and again */
        {"for i in $(seq 40); do echo \"[include]path=c$((i+1))\" > secret/c$i; done && "
         "git -C r config include.path ../../secret/c1",
         -EBADMSG},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_git_dirs dirs;
        int before = sx_failed;

        SX_CHECK(sh("rm -rf r secret && mkdir secret && echo '[canary]a=b' > secret/config && "
                    "git clone -q src r && %s",
                    cases[i].make));
        SX_CHECK(sx_preflight(&dirs, "r", true, fixture_err, sizeof fixture_err) == cases[i].rc);
        sx_git_dirs_clear(&dirs);
        if (sx_failed != before)
            printf("  after: %s: %s\n", cases[i].make, fixture_err);
    }
}

/* Needs another user's files, so it needs root. */
static void test_owner(void)
{
    sx_index_options options = fixture_options("r");
    sx_commit commit;

    if (geteuid() != 0) {
        printf("not root: the owner is not tested\n");
        return;
    }
    SX_CHECK(sh("rm -rf r && git clone -q src r && chown -R 65534 r && cp .gitconfig before"));
    SX_CHECK(fixture_index(&options, NULL, &commit) == -EACCES);
    SX_CHECK(fixture_says("E-OWNER") && fixture_says("git config --global --add safe.directory"));
    SX_CHECK(sh("cmp .gitconfig before"));
    SX_CHECK(sh("git config --global --add safe.directory /elsewhere"));
    SX_CHECK(fixture_index(&options, NULL, &commit) == -EACCES);
    SX_CHECK(sh("git config --global --add safe.directory \"$PWD/r\""));
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0 && commit.files == 1);
    SX_CHECK(sh("git config --global --add safe.directory ''")); /* takes it back */
    SX_CHECK(fixture_index(&options, NULL, &commit) == -EACCES);
    /* only the user's own configuration may say it */
    SX_CHECK(sh("printf '[safe]\\n\\tdirectory = *\\n' >> r/.git/config"));
    SX_CHECK(fixture_index(&options, NULL, &commit) == -EACCES);
    /* a git directory of our own in a work tree of another user, and the other way round */
    SX_CHECK(sh("rm -rf r && git clone -q src r && chown 65534 r"));
    SX_CHECK(fixture_index(&options, NULL, &commit) == -EACCES);
    SX_CHECK(sh("chown 0 r && chown -R 65534 r/.git"));
    SX_CHECK(fixture_index(&options, NULL, &commit) == -EACCES);
}

/* ---- the syntax ----------------------------------------------------------------------------- */

static char seen[1024];

static int note(const sx_git_setting *s, void *user)
{
    size_t n = strlen(seen);

    snprintf(seen + n, sizeof seen - n, "%s|%s|%s|%s;", s->section, s->subsection, s->key,
             s->value ? s->value : "(none)");
    return 0;
}

static void test_syntax(void)
{
    static const struct {
        const char *text, *want; /* want NULL: refused */
    } cases[] = {
        {"", ""},
        {"# c\n; c\n\n", ""},
        {"[A]\n B = c # d\n", "a||b|c;"},
        {"[a \"B c\"]\nd=e", "a|B c|d|e;"},
        {"[a \"x\\\"y\\\\z\"] k = 1\n", "a|x\"y\\z|k|1;"},
        {"[a.B]k=1", "a|b|k|1;"},
        {"[a]k", "a||k|(none);"},
        {"[a]k ; c\nl=\n", "a||k|(none);a||l|;"},
        {"[a]k = \" x ; \" y  \n", "a||k| x ;  y;"},
        {"[a]k = a\\\nb\\\r\nc\n", "a||k|abc;"},
        {"[a]k = \\t\\n\\b\\\\\\\"\n", "a||k|\t\n\b\\\";"},
        {"[a]k=1\r\n[b]l=2\r\n", "a||k|1;b||l|2;"},
        {"k=1", NULL},
        {"[a", NULL},
        {"[]", NULL},
        {"[a \"b]", NULL},
        {"[a]k = \"x", NULL},
        {"[a]k = \\q", NULL},
        {"[a]-k x", NULL},
        {"[a]!", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc, before = sx_failed;

        seen[0] = '\0';
        rc = sx_git_config_parse(cases[i].text, strlen(cases[i].text), note, NULL);
        SX_CHECK(rc == (cases[i].want ? 0 : -EILSEQ));
        SX_CHECK(!cases[i].want || strcmp(seen, cases[i].want) == 0);
        if (sx_failed != before)
            printf("  in: %s\n  got %d: %s\n", cases[i].text, rc, seen);
    }
    SX_CHECK(sx_git_config_parse("[a]k = \0x", 9, note, NULL) == -EILSEQ);
}

static void test_inside(void)
{
    SX_CHECK(sx_path_inside("/a/b", "/a") && sx_path_inside("/a", "/a") &&
             sx_path_inside("/a", "/"));
    SX_CHECK(!sx_path_inside("/ab", "/a") && !sx_path_inside("/a", "/a/b"));
}

int main(int argc, char **argv)
{
    if (!fixture_begin(argc, argv))
        return 2;
    alarm(300); /* whatever waits for ever fails */
    SX_CHECK(sh("git init -q src && cd src && echo 'def a(): pass' > a.py && git add . && git "
                "commit -qm 1"));
    test_syntax();
    test_inside();
    test_bait();
    test_harmless();
    test_allowed();
    test_owner();
    return fixture_end();
}
