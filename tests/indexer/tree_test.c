/* tree_test.c: trees no honest commit has: rogue names, depths, bombs, rows that are none. They are
 * written as a pack, object by object, because git itself refuses to make most of them. */
#include "indexer/tree.h"
#include "tests/indexer/fixture.h"

#include <errno.h>
#include <git2.h>
#include <git2/sys/mempack.h>
#include <git2/sys/repository.h>
#include <sys/resource.h>

/* ---- making objects ------------------------------------------------------------------------- */

static git_repository
    *maker; /* of the repository "made"; objects are kept in memory until made_write() */
static git_packbuilder *pack;
static git_odb *odb;

static void made_begin(void)
{
    git_odb_backend *memory = NULL;

    SX_CHECK(sh("rm -rf made cache && git init -q made"));
    SX_CHECK(git_odb_new(&odb) == 0 && git_mempack_new(&memory) == 0 &&
             git_odb_add_backend(odb, memory, 1) == 0 &&
             git_repository_wrap_odb(&maker, odb) == 0 && git_packbuilder_new(&pack, maker) == 0);
}

static git_oid made(git_object_t type, const void *bytes, size_t n)
{
    git_oid oid = {{0}};

    if (git_odb_write(&oid, odb, bytes, n, type) < 0 ||
        git_packbuilder_insert(pack, &oid, NULL) < 0)
        SX_CHECK(!"object not made");
    return oid;
}

static void made_end(const git_oid *tree)
{
    char hex[GIT_OID_HEXSZ + 1];

    SX_CHECK(git_packbuilder_write(pack, "made/.git/objects/pack", 0, NULL, NULL) == 0);
    git_packbuilder_free(pack);
    git_repository_free(maker);
    git_odb_free(odb);
    SX_CHECK(sh("cd made && git update-ref refs/heads/main $(git commit-tree %s -m m)",
                git_oid_tostr(hex, sizeof hex, tree)));
}

typedef struct rows { /* a tree object being written */
    char bytes[200000];
    size_t n;
} rows;

static void row(rows *r, const char *mode, const char *name, const git_oid *oid)
{
    r->n += (size_t)sprintf(r->bytes + r->n, "%s %s", mode, name) + 1;
    memcpy(r->bytes + r->n, oid->id, 20);
    r->n += 20;
}

static git_oid made_tree(const rows *r)
{
    return made(GIT_OBJECT_TREE, r->bytes, r->n);
}

/* ---- looking at what became of them --------------------------------------------------------- */

typedef struct found {
    const char *path;
    sx_skip skip;
    int times;
} found;

static int see_skipped(const char *path, sx_skip skip, uint64_t size, void *user)
{
    found *f = user;

    if (strcmp(path, f->path) == 0) {
        f->times++;
        f->skip = skip;
    }
    return 0;
}

static sx_index *made_open(sx_commit *commit)
{
    sx_index_options options = fixture_options("made");
    sx_text_model text = words_model("words");
    sx_index *index = NULL;

    SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == 0);
    SX_CHECK(sx_index_lock(index, 0, fixture_err, sizeof fixture_err) == 0);
    if (sx_index_update(index, NULL, &text, NULL, NULL, commit, fixture_err, sizeof fixture_err) !=
        0)
        SX_CHECK(!fixture_err[0]);
    if (sx_index_verify(index, fixture_err, sizeof fixture_err) != 0)
        SX_CHECK(!fixture_err[0]);
    return index;
}

/* Is the path skipped, once, for this reason? */
static bool is_skipped(sx_index *index, const sx_commit *commit, const char *path, sx_skip skip)
{
    found f = {.path = path};

    SX_CHECK(sx_index_skipped(index, commit, see_skipped, &f, fixture_err, sizeof fixture_err) ==
             0);
    if (f.times == 1 && f.skip == skip)
        return true;
    printf("%d times, %s: %s\n", f.times, sx_skip_name(f.skip), path);
    return false;
}

/* Is a file of that path in the context, with its first token after the header? */
static bool has_file(sx_index *index, const sx_commit *commit, const char *path)
{
    sx_segment_cursor *cursor = NULL;
    sx_segment_row segment;
    bool yes = false;

    SX_CHECK(sx_segments_begin(&cursor, index, commit, "words", NULL, SX_ORDER_TREE, true, NULL,
                               0) == 0);
    while (sx_segments_next(cursor, &segment, NULL, 0) > 0)
        yes |= strcmp(segment.path, path) == 0 && segment.tokens[0] == 1;
    sx_segments_end(cursor);
    return yes;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static const char source[] = "int answer(void) { return 42; }\n";

static void test_rogue_names(void)
{
    static const char *const names[] = {
        "..",          ".git",          "../../x",       "a\xff.c", "b\x1b]0;pwn\x07.c", "c\nd.c",
        "/etc/passwd", "e\\f.c",        "CON",           "g:h.c",   "\xe2\x80\xae.c",    "README",
        "readme",      "caf\xc3\xa9.c", "cafe\xcc\x81.c"};
    size_t n = sizeof names / sizeof *names;
    rows r = {.n = 0};
    git_oid blob, tree;
    sx_commit commit;
    sx_index *index;

    made_begin();
    blob = made(GIT_OBJECT_BLOB, source, sizeof source - 1);
    for (size_t i = 0; i < n; i++)
        row(&r, "100644", names[i], &blob);
    tree = made_tree(&r);
    r.n = 0;
    row(&r, "40000", "..", &tree); /* and all of it again, above */
    row(&r, "100755", "run", &blob);
    tree = made_tree(&r);
    made_end(&tree);
    index = made_open(&commit);
    SX_CHECK(commit.files == n + 1 && commit.skipped == 0 && commit.complete && !commit.damaged);
    for (size_t i = 0; i < n; i++) {
        char path[64];

        snprintf(path, sizeof path, "../%s", names[i]);
        SX_CHECK(has_file(index, &commit, path));
    }
    sx_index_close(index);
    SX_CHECK(sh("test ! -e x && test -z \"$(git -C made status --porcelain | grep -v '^D ')\""));
}

static void test_display(void)
{
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"plain/a.c", "plain/a.c"},
        {"", ""},
        {"a\xff.c", "a\\xff.c"},
        {"b\x1b]0;pwn\x07", "b\\x1b]0;pwn\\x07"},
        {"c\nd\x7f", "c\\x0ad\\x7f"},
        {"\xe2\x80\xae!", "\\u{202e}!"},
        {"\xc2\x9b", "\\u{9b}"},
        {"\xf3\xa0\x81\x81", "\\u{e0041}"},
        {"caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x90\x9f", "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x90\x9f"},
        {"\xc0\xaf", "\\xc0\\xaf"},          /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
        {"\xe2\x82", "\\xe2\\x82"},          /* cut off */
    };
    char out[64], small[4];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        SX_CHECK(strcmp(sx_display_name(out, sizeof out, cases[i].bytes), cases[i].want) == 0);
    SX_CHECK(strcmp(sx_display_name(small, sizeof small, "ab\xc3\xa9"), "ab") == 0);
    SX_CHECK(strcmp(sx_display_name(small, sizeof small, "a\n"), "a") == 0);
}

static void test_odd_rows(void)
{
    rows r = {.n = 0}, inner = {.n = 0};
    git_oid blob, other, gone = {{7}}, tree, sub;
    sx_commit commit;
    sx_index *index;

    made_begin();
    blob = made(GIT_OBJECT_BLOB, source, sizeof source - 1);
    other = made(GIT_OBJECT_BLOB, "x = 1\n", 6);
    row(&inner, "100644", "before.c", &blob);
    memcpy(inner.bytes + inner.n, "100644 cut off", 14); /* the rest is no row */
    inner.n += 14;
    sub = made_tree(&inner);
    row(&r, "100644", "a.c", &blob);
    row(&r, "40000", "blob-as-tree", &blob);
    row(&r, "40000", "broken", &sub);
    row(&r, "40000", "gone", &gone);
    row(&r, "100644", "gone.c", &gone);
    row(&r, "120000", "link", &other);
    row(&r, "160000", "module", &gone);
    row(&r, "170000", "odd-mode", &blob);
    row(&r, "100644", "same.py", &other);
    row(&r, "100644", "same.py", &other);
    row(&r, "100644", "tree-as-blob", &sub);
    tree = made_tree(&r);
    made_end(&tree);
    index = made_open(&commit);
    SX_CHECK(commit.complete && commit.damaged);
    SX_CHECK(commit.files == 4 && commit.skipped == 8); /* a.c, broken/before.c, same.py twice */
    SX_CHECK(has_file(index, &commit, "broken/before.c"));
    SX_CHECK(is_skipped(index, &commit, "blob-as-tree", SX_SKIP_CORRUPT));
    SX_CHECK(is_skipped(index, &commit, "broken", SX_SKIP_CORRUPT));
    SX_CHECK(is_skipped(index, &commit, "gone", SX_SKIP_MISSING));
    SX_CHECK(is_skipped(index, &commit, "gone.c", SX_SKIP_MISSING));
    SX_CHECK(is_skipped(index, &commit, "link", SX_SKIP_SYMLINK));
    SX_CHECK(is_skipped(index, &commit, "module", SX_SKIP_SUBMODULE));
    SX_CHECK(is_skipped(index, &commit, "odd-mode", SX_SKIP_CORRUPT));
    SX_CHECK(is_skipped(index, &commit, "tree-as-blob", SX_SKIP_CORRUPT));
    sx_index_close(index);
}

static void test_long_names(void)
{
    static char name[70001];
    char cut[4097];
    rows r = {.n = 0};
    git_oid blob, tree;
    sx_commit commit;
    sx_index *index;

    memset(name, 'n', sizeof name - 1);
    made_begin();
    blob = made(GIT_OBJECT_BLOB, source, sizeof source - 1);
    row(&r, "100644", "a.c", &blob);
    row(&r, "100644", name, &blob);
    name[4096] = '\0';
    row(&r, "100644", name, &blob); /* just fits */
    name[4096] = 'n';
    tree = made_tree(&r);
    r.n = 0;
    name[4000] = '\0';
    row(&r, "40000", name, &tree); /* now even a.c of it ... fits: 4000 + 1 + 3 */
    row(&r, "40000", "t", &tree);
    tree = made_tree(&r);
    made_end(&tree);
    index = made_open(&commit);
    SX_CHECK(commit.complete && !commit.damaged && commit.files == 2 && commit.skipped == 4);
    memset(cut, 'n', 4096);
    cut[4096] = '\0';
    memcpy(cut, "t/", 2);
    SX_CHECK(has_file(index, &commit, "t/a.c"));
    cut[0] = 't';
    sx_index_status status;
    SX_CHECK(sx_index_get_status(index, &commit, "words", NULL, &status, NULL, 0) == 0);
    SX_CHECK(status.skipped[SX_SKIP_PATH_LONG] == 4);
    sx_index_close(index);
}

static void test_deep(void)
{
    rows r = {.n = 0};
    git_oid blob, tree;
    sx_commit commit;
    sx_index *index;
    char path[1024] = "";

    made_begin();
    blob = made(GIT_OBJECT_BLOB, source, sizeof source - 1);
    row(&r, "100644", "a.c", &blob);
    for (int i = 0; i < 150000; i++) {
        tree = made_tree(&r);
        r.n = 0;
        row(&r, "40000", "d", &tree);
    }
    row(&r, "100644", "top.c", &blob);
    tree = made_tree(&r);
    made_end(&tree);
    index = made_open(&commit);
    SX_CHECK(commit.complete && commit.damaged && commit.files == 1 && commit.skipped == 1);
    SX_CHECK(has_file(index, &commit, "top.c"));
    for (int i = 0; i < 256; i++)
        strcat(path, i ? "/d" : "d");
    SX_CHECK(is_skipped(index, &commit, path, SX_SKIP_TREE_DEEP));
    sx_index_close(index);
}

/* Ten to the power of `levels` paths in a dozen objects. */
static void make_bomb(int levels, const char *leaf)
{
    rows r = {.n = 0};
    git_oid oid;

    made_begin();
    oid = leaf ? made(GIT_OBJECT_BLOB, leaf, strlen(leaf)) : made_tree(&r);
    for (int level = 0; level < levels; level++) {
        r.n = 0;
        for (int i = 0; i < 10; i++)
            row(&r, level || !leaf ? "40000" : "100644", (char[]){'f', (char)('0' + i), '\0'},
                &oid);
        oid = made_tree(&r);
    }
    made_end(&oid);
}

static void test_bombs(void)
{
    sx_index_status status;
    sx_commit commit;
    sx_index *index;

    /* the same content under 10^10 paths: read once, listed 1024 times, and the walk ends */
    make_bomb(10, source);
    index = made_open(&commit);
    SX_CHECK(commit.complete && commit.damaged && commit.files == 1024);
    SX_CHECK(sx_index_get_status(index, &commit, "words", NULL, &status, NULL, 0) == 0);
    SX_CHECK(status.skipped[SX_SKIP_TREE_HUGE] == 1 && status.skipped[SX_SKIP_COPIES] == 1);
    SX_CHECK(status.catalog_bytes < 2 << 20);
    sx_index_close(index);

    /* 10^10 empty directories */
    make_bomb(10, NULL);
    index = made_open(&commit);
    SX_CHECK(commit.complete && commit.damaged && commit.files == 0 && commit.skipped == 1);
    sx_index_close(index);
}

/* A large content under many paths becomes at most 64 MiB of text, or sixteen copies. */
static void test_copies(void)
{
    enum { SIZE = 1 << 20, COPIES = 80 };
    char *text = malloc(SIZE), name[32];
    sx_index_status status;
    rows r = {.n = 0};
    git_oid blob, tree;
    sx_commit commit;
    sx_index *index;

    for (size_t i = 0; i < SIZE; i++)
        text[i] = i % 64 == 63 ? '\n' : (char)('a' + i % 7);
    made_begin();
    blob = made(GIT_OBJECT_BLOB, text, SIZE);
    for (int i = 0; i < COPIES; i++) {
        snprintf(name, sizeof name, "f%02d.txt", i);
        row(&r, "100644", name, &blob);
    }
    tree = made_tree(&r);
    made_end(&tree);
    index = made_open(&commit);
    SX_CHECK(commit.complete && !commit.damaged && commit.files == 64 &&
             commit.skipped == COPIES - 64);
    SX_CHECK(sx_index_get_status(index, &commit, "words", NULL, &status, NULL, 0) == 0);
    SX_CHECK(status.skipped[SX_SKIP_COPIES] == COPIES - 64);
    SX_CHECK(is_skipped(index, &commit, "f64.txt", SX_SKIP_COPIES));
    sx_index_close(index);
    free(text);
}

int main(int argc, char **argv)
{
    struct rlimit stack = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};

    if (!fixture_begin(argc, argv))
        return 2;
    alarm(1800); /* whatever waits for ever fails; a sanitizer on a busy machine took over 600 s */
    setrlimit(RLIMIT_STACK, &stack); /* this thread walks the trees */
    git_libgit2_init();
    test_display();
    test_rogue_names();
    test_odd_rows();
    test_long_names();
    test_deep();
    test_bombs();
    test_copies();
    return fixture_end();
}
