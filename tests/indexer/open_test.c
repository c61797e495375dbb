/* open_test.c: every layout a repository may have: how many files it gives, or the one sentence. */
#include "tests/indexer/fixture.h"

#include <errno.h>
#include <signal.h>

typedef struct layout {
    const char *name;
    const char *make; /* shell; "src" is a repository of three files and two commits */
    const char *path;
    bool allow_outside;
    int files; /* in the context; -1: refused with... */
    int rc;
    const char *error;
} layout;

static const layout layouts[] = {
    {"work tree", ":", "src", false, 3, 0, NULL},
    {"git directory", ":", "src/.git", false, 3, 0, NULL},
    {"below the work tree", ":", "src/lib", false, 3, 0, NULL},
    {"below the git directory", ":", "src/.git/refs/heads", false, 3, 0, NULL},
    {"bare", "git clone -q --bare src bare.git", "bare.git", false, 3, 0, NULL},
    {"mirror", "git clone -q --mirror src mirror.git", "mirror.git", false, 3, 0, NULL},
    {"detached", "git clone -q src detached && git -C detached checkout -q HEAD~1", "detached",
     false, 2, 0, NULL},
    {"shallow", "git clone -q --depth 1 file://$PWD/src shallow", "shallow", false, 3, 0, NULL},
    {"linked work tree", "git -C src worktree add -q ../linked -b side HEAD~1", "linked", false, 2,
     0, NULL},
    {"below a linked work tree", ":", "linked/lib", false, 2, 0, NULL},
    {"git directory of a linked work tree", ":", "src/.git/worktrees/linked", false, 2, 0, NULL},
    {"worktreeConfig",
     "git clone -q src wtc && git -C wtc config extensions.worktreeConfig true && "
     "git -C wtc config core.repositoryformatversion 1 && git -C wtc config --worktree a.b c",
     "wtc", false, 3, 0, NULL},
    {"sparse index",
     "git clone -q src sparse && git -C sparse sparse-checkout init --cone --sparse-index",
     "sparse", false, 3, 0, NULL},
    {"partial clone, blobs absent",
     "git -C src config uploadpack.allowFilter true && "
     "git clone -q --no-checkout --filter=blob:none file://$PWD/src partial",
     "partial", false, 0, 0, NULL},
    {"partial clone, extension",
     "cp -r partial partial1 && git -C partial1 config core.repositoryformatversion 1 && "
     "git -C partial1 config extensions.partialClone origin",
     "partial1", false, 0, 0, NULL},
    {"packed", "git clone -q src packed && git -C packed gc -q && git -C packed pack-refs --all",
     "packed", false, 3, 0, NULL},
    {"submodule",
     "git init -q super && git -C super submodule --quiet add ../src sub && "
     "git -C super commit -qm s",
     "super/sub", false, 3, 0, NULL},
    {"a submodule is not entered", ":", "super", false, 1, 0, NULL},
    {"git directory of a submodule", ":", "super/.git/modules/sub", false, 3, 0, NULL},
    {"empty commit", "git init -q empty && git -C empty commit -q --allow-empty -m e", "empty",
     false, 0, 0, NULL},
    {"a path with a space and a quote", "git clone -q src \"a 'b\"", "a 'b", false, 3, 0, NULL},

    {"shared, refused", "git clone -q --shared src shared", "shared", false, -1, -EACCES,
     "E-OUTSIDE"},
    {"shared, allowed", ":", "shared", true, 3, 0, NULL},
    {"separate git directory, refused", "git clone -q --separate-git-dir=apart src separate",
     "separate", false, -1, -EACCES, "E-OUTSIDE"},
    {"separate git directory, allowed", ":", "separate", true, 3, 0, NULL},
    {"a work tree that nobody linked",
     "mkdir strange && echo \"gitdir: $PWD/src/.git/worktrees/linked\" > strange/.git", "strange",
     false, -1, -EACCES, "E-OUTSIDE"},
    {"a .git file to another repository", "mkdir thief && echo 'gitdir: ../src/.git' > thief/.git",
     "thief", false, -1, -EACCES, "E-OUTSIDE"},
    {"a .git link to another repository", "mkdir thief2 && ln -s ../src/.git thief2/.git", "thief2",
     false, -1, -EACCES, "E-OUTSIDE"},
    {"unborn", "git init -q unborn", "unborn", false, -1, -EBADMSG, "E-UNBORN"},
    {"sha256", "git init -q --object-format=sha256 big && git -C big commit -q --allow-empty -m e",
     "big", false, -1, -EBADMSG, "E-SHA256"},
    {"reftable",
     "git clone -q src tables && git -C tables config core.repositoryformatversion 1 && "
     "git -C tables config extensions.refStorage reftable",
     "tables", false, -1, -EBADMSG, "E-REFTABLE"},
    {"unknown extension",
     "git clone -q src odd && git -C odd config core.repositoryformatversion 1 && "
     "git -C odd config extensions.fromTheFuture 1",
     "odd", false, -1, -EBADMSG, "E-NOREPO"},
    {"empty directory", "mkdir nothing", "nothing", false, -1, -EBADMSG, "E-NOREPO"},
    {"a file", "echo x > afile", "afile", false, -1, -EBADMSG, "E-NOREPO"},
    {"not there", ":", "nowhere", false, -1, -EBADMSG, "E-NOREPO"},
    {".git names nothing", "mkdir lost && echo 'gitdir: gone' > lost/.git", "lost", false, -1,
     -EBADMSG, "E-NOREPO"},
    {"commondir names nothing",
     "cp -r src/.git/worktrees/linked broken && echo gone > broken/commondir", "broken", false, -1,
     -EBADMSG, "E-NOREPO"},
    {"no configuration", "git clone -q src bad && echo '[core' > bad/.git/config", "bad", false, -1,
     -EBADMSG, "E-GITDIR-CONFIG"},
    {"HEAD is nonsense", "git clone -q src head && echo nonsense > head/.git/HEAD", "head", false,
     -1, -ENOENT, "E-REV"},
};

static void test_layouts(void)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const layout *l = &layouts[i];
        sx_index_options options = fixture_options(l->path);
        sx_commit commit = {0};
        int before = sx_failed, rc;

        options.allow_outside = l->allow_outside;
        SX_CHECK(sh("%s", l->make));
        rc = fixture_index(&options, NULL, &commit);
        SX_CHECK(rc == l->rc);
        if (l->files >= 0)
            SX_CHECK((int)commit.files == l->files && commit.complete);
        else
            SX_CHECK(fixture_says(l->error) && !strchr(fixture_err, '\n'));
        if (sx_failed != before)
            printf("  in the layout \"%s\": %d, %d files, %s\n", l->name, rc, (int)commit.files,
                   fixture_err);
    }
}

/* All work trees of a repository share its index. */
static void test_shared_index(void)
{
    const char *const paths[] = {"src", "src/lib", "src/.git", "linked",
                                 "src/.git/worktrees/linked"};
    char directory[PATH_MAX] = "";

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        sx_index_options options = fixture_options(paths[i]);
        sx_index *index = NULL;

        SX_CHECK(sx_index_open(&index, &options, NULL, 0) == 0);
        if (i == 0)
            snprintf(directory, sizeof directory, "%s", sx_index_directory(index));
        SX_CHECK(strcmp(directory, sx_index_directory(index)) == 0);
        SX_CHECK(strncmp(strrchr(directory, '/'), "/src-", 5) == 0);
        sx_index_close(index);
    }
}

static void test_revisions(void)
{
    sx_index_options options = fixture_options("src");
    sx_commit one, two;

    SX_CHECK(fixture_index(&options, "HEAD~1", &one) == 0 && one.files == 2);
    SX_CHECK(fixture_index(&options, "first", &two) == 0 &&
             two.files == 2); /* an annotated tag of a tag */
    SX_CHECK(one.id == two.id && strcmp(one.hex, two.hex) == 0);
    SX_CHECK(fixture_index(&options, "main", &two) == 0 && two.files == 3);
    SX_CHECK(fixture_index(&options, one.hex, &two) == 0 && two.files == 2);
    SX_CHECK(fixture_index(&options, "no\033such", &two) == -ENOENT &&
             fixture_says("E-REV: no\\x1bsuch"));
    SX_CHECK(fixture_index(&options, "HEAD^{tree}", &two) == -ENOENT && fixture_says("E-REV"));
    SX_CHECK(fixture_index(&options, "HEAD:lib/b.py", &two) == -ENOENT);
    SX_CHECK(fixture_index(&options, "", &two) == -ENOENT);
}

/* A partial clone is complete and says that it is damaged; the file of the submodule is counted. */
static void test_missing(void)
{
    sx_index_options options = fixture_options("partial");
    sx_commit commit;

    SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
    SX_CHECK(commit.complete && commit.damaged && commit.skipped == 3);
    /* the blobs arrive: the next update takes them in */
    SX_CHECK(sh("cp -r src/.git/objects/* partial/.git/objects/ 2>/dev/null"));
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
    SX_CHECK(commit.complete && !commit.damaged && commit.files == 3 && commit.skipped == 0);
}

int main(int argc, char **argv)
{
    if (!fixture_begin(argc, argv))
        return 2;
    alarm(300); /* whatever waits for ever fails */
    SX_CHECK(sh(
        "git init -q src && cd src && mkdir lib && echo 'def a(): pass' > a.py && "
        "echo 'def b(): pass' > lib/b.py && git add . && git commit -qm 1 && git tag -a -m t t && "
        "git -c advice.nestedTag=false tag -a -m u first t && echo 'def c(): pass' > c.py && git "
        "add . && git commit -qm 2"));
    test_layouts();
    test_shared_index();
    test_revisions();
    test_missing();
    return fixture_end();
}
