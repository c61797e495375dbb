/* index_test.c: an index from its first update to the end of it: what it holds, what an update
 * costs, cancelling, locking, damage, forgetting. */
#include "tests/indexer/fixture.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>

static sx_index *open_index(const sx_index_options *options, sx_commit *commit)
{
    sx_text_model text = words_model("words");
    sx_index *index = NULL;

    fixture_err[0] = '\0';
    SX_CHECK(sx_index_open(&index, options, fixture_err, sizeof fixture_err) == 0);
    SX_CHECK(index && sx_index_lock(index, 0, fixture_err, sizeof fixture_err) == 0);
    SX_CHECK(index && sx_index_update(index, NULL, &text, NULL, NULL, commit, fixture_err,
                                      sizeof fixture_err) == 0);
    SX_CHECK(index && sx_index_verify(index, fixture_err, sizeof fixture_err) == 0);
    if (fixture_err[0])
        printf("  %s\n", fixture_err);
    return index;
}

/* The directory of the only index in "cache". */
static const char *only_index(void)
{
    static char path[PATH_MAX];
    FILE *names = popen("ls -d cache/*/", "r");

    path[0] = '\0';
    if (names && fgets(path, sizeof path, names))
        path[strcspn(path, "\n")] = '\0';
    if (names)
        pclose(names);
    return path;
}

/* Runs SQL on its catalogue behind the index's back; the number that the last row begins with. */
static long long ask(const char *sql)
{
    char path[PATH_MAX + 16];
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = NULL;
    long long number = -1;

    snprintf(path, sizeof path, "%s/catalog.db", only_index());
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
        int rc;

        while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
            number = sqlite3_column_int64(statement, 0);
        if (rc != SQLITE_DONE)
            printf("  %s: %s\n", sql, sqlite3_errmsg(db));
    } else {
        printf("  %s: %s\n", sql, sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

/* ---- what it holds -------------------------------------------------------------------------- */

typedef struct seen {
    char text[2048];
    int most; /* rows; 0: any */
    int n;
} seen;

static int see_definition(const sx_definition_row *row, void *user)
{
    seen *s = user;
    size_t n = strlen(s->text);

    snprintf(s->text + n, sizeof s->text - n, "%s:%u:%s:%s.%s;", row->path ? row->path : "-",
             row->start_line, row->kind, row->scope, row->name);
    return ++s->n == s->most;
}

static int see_reference(const sx_reference_row *row, void *user)
{
    seen *s = user;
    size_t n = strlen(s->text);

    snprintf(s->text + n, sizeof s->text - n, "%s:%u:%u-%u:%s;", row->path, row->line,
             row->start_byte, row->end_byte, row->in_definition);
    return ++s->n == s->most;
}

static void check_definitions(sx_index *index, const sx_commit *commit, const char *name,
                              const char *want)
{
    seen s = {{0}, 0, 0};

    SX_CHECK(sx_definitions_named(index, commit, name, see_definition, &s, fixture_err,
                                  sizeof fixture_err) == 0);
    SX_CHECK(strcmp(s.text, want) == 0);
    if (strcmp(s.text, want) != 0)
        printf("  %s gave: %s\n", name, s.text);
}

static void check_references(sx_index *index, const sx_commit *commit, const char *name,
                             const char *want)
{
    seen s = {{0}, 0, 0};

    SX_CHECK(sx_references_named(index, commit, name, see_reference, &s, fixture_err,
                                 sizeof fixture_err) == 0);
    SX_CHECK(strcmp(s.text, want) == 0);
    if (strcmp(s.text, want) != 0)
        printf("  %s gave: %s\n", name, s.text);
}

static void make_source(void)
{
    SX_CHECK(
        sh("rm -rf r cache && git init -q r && cd r && mkdir lib tests && "
           "printf 'class Ring:\\n    \"\"\"A ring.\"\"\"\\n    def push(self, x):\\n        "
           "grow(x)\\n"
           "        return grow(self)\\n\\ndef grow(x):\\n    return x\\n' > lib/ring.py && "
           "printf 'from lib.ring import Ring\\n\\ndef push(x):\\n    Ring().push(x)\\n' > a.py && "
           "printf 'def test_push():\\n    push(1)\\n' > tests/test_ring.py && "
           "printf '# The ring\\n\\nSee lib.\\n' > README.md && git add . && git commit -qm 1"));
}

static void test_lookup(void)
{
    sx_index_options options = fixture_options("r");
    sx_commit commit;
    sx_index *index;
    seen s = {{0}, 0, 0};

    make_source();
    index = open_index(&options, &commit);
    SX_CHECK(commit.complete && !commit.damaged && commit.files == 4 && commit.skipped == 0);
    SX_CHECK(commit.definitions == 5 && commit.segments == 4 && commit.references > 0);
    SX_CHECK(commit.tokens == (uint64_t)ask("SELECT sum(n_tokens) FROM segment"));
    SX_CHECK(commit.blocks == (uint64_t)ask("SELECT sum(n_blocks) FROM segment"));
    check_definitions(index, &commit, "push",
                      "a.py:3:function:.push;lib/ring.py:3:method:Ring.push;");
    check_definitions(index, &commit, "Ring", "lib/ring.py:1:class:.Ring;");
    check_definitions(index, &commit, "Ring.push", "lib/ring.py:3:method:Ring.push;");
    check_definitions(index, &commit, "Ring::push", "lib/ring.py:3:method:Ring.push;");
    check_definitions(index, &commit, "Ring#push", "lib/ring.py:3:method:Ring.push;");
    check_definitions(index, &commit, "ing.push", "");
    check_definitions(index, &commit, "Other.push", "");
    check_definitions(index, &commit, ".push", "");
    check_definitions(index, &commit, "pus", "");
    check_definitions(index, &commit, "", "");
    check_references(index, &commit, "grow", "lib/ring.py:4:61-65:push;lib/ring.py:5:84-88:push;");
    check_references(index, &commit, "nobody", "");
    s.most = 1;
    SX_CHECK(sx_definitions_named(index, &commit, "push", see_definition, &s, NULL, 0) == 0 &&
             s.n == 1);
    s = (seen){{0}, 0, 0};
    SX_CHECK(sx_definitions_all(index, &commit, see_definition, &s, NULL, 0) == 0);
    SX_CHECK(
        strcmp(s.text,
               "a.py:3:function:.push;lib/ring.py:1:class:.Ring;lib/ring.py:3:method:Ring.push;"
               "lib/ring.py:7:function:.grow;tests/test_ring.py:1:function:.test_push;") == 0);
    s = (seen){{0}, 2, 0};
    SX_CHECK(sx_definitions_all(index, &commit, see_definition, &s, NULL, 0) == 0 && s.n == 2);
    sx_index_close(index);
}

static void test_segments(void)
{
    static const char *const tree[] = {"README.md", "a.py", "lib/ring.py", "tests/test_ring.py"};
    static const char *const encode[] = {"a.py", "lib/ring.py", "tests/test_ring.py", "README.md"};
    sx_index_options options = fixture_options("r");
    sx_extent extents[2];
    sx_segment_cursor *cursor = NULL;
    sx_segment_row row;
    sx_index_status status;
    int64_t landmark_rows, kv_rows;
    uint32_t *ids = NULL, n_ids = 0;
    uint8_t *bytes = NULL;
    sx_commit commit;
    sx_index *index = open_index(&options, &commit);
    size_t n = 0;
    int i = 0;

    SX_CHECK(sx_segments_begin(&cursor, index, &commit, "words", NULL, SX_ORDER_TREE, false, NULL,
                               0) == 0);
    for (; sx_segments_next(cursor, &row, NULL, 0) > 0; i++) {
        SX_CHECK(i < 4 && strcmp(row.path, tree[i]) == 0 && !row.tokens && row.ordinal == 0);
        SX_CHECK(row.landmark_row == -1 && row.kv_row == -1 && row.n_blocks > 0);
        SX_CHECK(row.blocks[0].token == 0 && row.blocks[0].byte == row.byte_start &&
                 row.byte_start == 0);
        SX_CHECK(sx_blob_read(index, row.blob_id, &bytes, &n, NULL, 0) == 0);
        SX_CHECK(n == row.byte_end && bytes[n] == 0);
        free(bytes);
    }
    SX_CHECK(i == 4);
    sx_segments_end(cursor);

    /* extents go in while the cursor is open, as in encoding */
    SX_CHECK(sx_segments_begin(&cursor, index, &commit, "words", "m", SX_ORDER_ENCODE, true, NULL,
                               0) == 0);
    for (i = 0; sx_segments_next(cursor, &row, NULL, 0) > 0; i++) {
        SX_CHECK(i < 4 && strcmp(row.path, encode[i]) == 0 && row.tokens[0] == 1);
        SX_CHECK(sx_segment_tokens(index, row.id, &ids, &n_ids, NULL, 0) == 0);
        SX_CHECK(n_ids == row.n_tokens && memcmp(ids, row.tokens, n_ids * sizeof *ids) == 0);
        free(ids);
        SX_CHECK(sx_extents_end(index, "m", &landmark_rows, &kv_rows, NULL, 0) == 0);
        if (i < 2) {
            extents[i] = (sx_extent){row.id, landmark_rows, i == 0 ? kv_rows : -1};
            SX_CHECK(sx_extents_put(index, "m", 3, &extents[i], 1, NULL, 0) == 0);
            SX_CHECK(sx_extents_end(index, "m", &landmark_rows, &kv_rows, NULL, 0) == 0);
            SX_CHECK(landmark_rows == extents[i].landmark_row + 3 * (int64_t)row.n_blocks);
        }
    }
    SX_CHECK(i == 4);
    sx_segments_end(cursor);
    SX_CHECK(sx_extents_put(index, "m", 4, extents, 1, fixture_err, sizeof fixture_err) == -EIO);
    SX_CHECK(sx_extents_end(index, "other", &landmark_rows, &kv_rows, NULL, 0) == 0);
    SX_CHECK(landmark_rows == 0 && kv_rows == 0);

    /* the two without an extent are left; another text model has none */
    SX_CHECK(sx_segments_begin(&cursor, index, &commit, "words", "m", SX_ORDER_ENCODE, false, NULL,
                               0) == 0);
    for (i = 0; sx_segments_next(cursor, &row, NULL, 0) > 0; i++)
        SX_CHECK(i < 2 && strcmp(row.path, encode[2 + i]) == 0);
    SX_CHECK(i == 2);
    sx_segments_end(cursor);
    SX_CHECK(sx_segments_begin(&cursor, index, &commit, "other", "m", SX_ORDER_TREE, false, NULL,
                               0) == 0);
    SX_CHECK(sx_segments_next(cursor, &row, NULL, 0) == 0);
    sx_segments_end(cursor);
    SX_CHECK(sx_index_get_status(index, &commit, "words", "m", &status, NULL, 0) == 0);
    SX_CHECK(status.encoded_segments == 2 && status.encoded_tokens > status.kv_tokens &&
             status.kv_tokens > 0);
    SX_CHECK(status.files[SX_CLASS_SOURCE] == 2 && status.files[SX_CLASS_TEST] == 1);
    SX_CHECK(status.files[SX_CLASS_DOCUMENT] == 1 && status.commits == 1 &&
             status.catalog_bytes > 0);
    SX_CHECK(sx_index_verify(index, fixture_err, sizeof fixture_err) == 0);
    SX_CHECK(sx_blob_read(index, 999, &bytes, &n, fixture_err, sizeof fixture_err) == -ENOENT &&
             !bytes);
    SX_CHECK(sx_segment_tokens(index, 999, &ids, &n_ids, NULL, 0) == -ENOENT && !ids);

    /* overlapping extents are found out */
    extents[1].landmark_row = extents[0].landmark_row;
    SX_CHECK(sx_extents_put(index, "m", 3, &extents[1], 1, NULL, 0) == 0);
    SX_CHECK(sx_index_verify(index, fixture_err, sizeof fixture_err) == -EIO &&
             fixture_says("I15"));
    sx_index_close(index);
}

/* ---- what an update costs ------------------------------------------------------------------- */

static int count_last(const sx_index_progress *progress, void *user)
{
    *(sx_index_progress *)user = *progress;
    return 0;
}

static uint64_t update(sx_index *index, const char *rev, const char *model, sx_commit *commit)
{
    sx_text_model text = words_model(model);
    long long blobs = ask("SELECT count(*) FROM blob");
    sx_index_progress last = {0};

    SX_CHECK(sx_index_update(index, rev, &text, count_last, &last, commit, fixture_err,
                             sizeof fixture_err) == 0);
    return (uint64_t)(ask("SELECT count(*) FROM blob") - blobs);
}

static void test_incremental(void)
{
    sx_index_options options = fixture_options("r");
    sx_commit first, second, branch, found;
    sx_index *index;
    long long cuts;

    make_source();
    index = open_index(&options, &first);
    SX_CHECK(ask("SELECT count(*) FROM blob") == 4);
    SX_CHECK(update(index, NULL, "words", &second) == 0 && second.id == first.id);
    /* one file changes, one moves, one goes */
    SX_CHECK(sh("cd r && echo '# more' >> a.py && git mv lib/ring.py lib/circle.py && git rm -q "
                "README.md && "
                "git commit -qam 2"));
    SX_CHECK(sx_index_find_commit(index, NULL, "words", &found, fixture_err, sizeof fixture_err) ==
             -ENOENT);
    SX_CHECK(fixture_says("E-NOT-INDEXED") && strlen(found.hex) == 40);
    SX_CHECK(update(index, NULL, "words", &second) == 1 && second.files == 3 &&
             second.id != first.id);
    SX_CHECK(ask("SELECT count(*) FROM cut") == 6);
    SX_CHECK(sx_index_find_commit(index, NULL, "words", &found, NULL, 0) == 0 &&
             found.id == second.id);
    SX_CHECK(found.tokens == second.tokens && found.definitions == second.definitions);
    SX_CHECK(sx_index_find_commit(index, "HEAD~1", "words", &found, NULL, 0) == 0 &&
             found.id == first.id);
    check_definitions(index, &second, "Ring", "lib/circle.py:1:class:.Ring;");
    check_definitions(index, &first, "Ring", "lib/ring.py:1:class:.Ring;");
    /* a branch with one file more than the first commit shares all of that */
    SX_CHECK(sh("cd r && git checkout -q -b side HEAD~1 && echo 'def side(): pass' > side.py && "
                "git add . && "
                "git commit -qm s"));
    cuts = ask("SELECT count(*) FROM cut");
    SX_CHECK(update(index, "side", "words", &branch) == 1 && branch.files == 5);
    SX_CHECK(ask("SELECT count(*) FROM cut") == cuts + 1);
    /* another tokenizer: the same blobs, other segments */
    SX_CHECK(update(index, "side", "other", &found) == 0 && found.files == 5 &&
             found.id != branch.id);
    SX_CHECK(ask("SELECT count(*) FROM cut") == cuts + 1 + 5);
    SX_CHECK(sx_index_verify(index, fixture_err, sizeof fixture_err) == 0);
    sx_index_close(index);
}

/* The same content twice, once as another language: each has its own definitions, in either order.
 */
static void test_two_languages(void)
{
    sx_index_options options = fixture_options("r");
    sx_commit commit;
    sx_index *index;

    SX_CHECK(sh("rm -rf r cache && git init -q r && cd r && printf 'int twice(int x) { return x; "
                "}\\n' > a.c && "
                "cp a.c b.txt && cp a.c c.c && git add . && git commit -qm 1"));
    index = open_index(&options, &commit);
    SX_CHECK(commit.files == 3 && ask("SELECT count(*) FROM blob") == 2);
    check_definitions(index, &commit, "twice", "a.c:1:function:.twice;c.c:1:function:.twice;");
    sx_index_close(index);
}

static void test_kept_commits(void)
{
    sx_index_options options = fixture_options("r");
    sx_text_model text = words_model("words");
    sx_commit first, last;
    sx_index *index;
    sx_segment_cursor *cursor = NULL;

    make_source();
    index = open_index(&options, &first);
    for (int i = 0; i < 33; i++) {
        SX_CHECK(sh("cd r && echo %d >> a.py && git commit -qam %d", i, i));
        SX_CHECK(sx_index_update(index, NULL, &text, NULL, NULL, &last, NULL, 0) == 0);
    }
    SX_CHECK(ask("SELECT count(*) FROM revision") == 32);
    SX_CHECK(sx_segments_begin(&cursor, index, &first, "words", NULL, SX_ORDER_TREE, false,
                               fixture_err, sizeof fixture_err) == -ENOENT);
    SX_CHECK(fixture_says("E-NOT-INDEXED") && !cursor);
    SX_CHECK(update(index, "HEAD~33", "words", &first) ==
             0); /* the list again; the blobs are there */
    SX_CHECK(sx_index_verify(index, fixture_err, sizeof fixture_err) == 0);
    sx_index_close(index);
}

/* ---- cancelling, locking -------------------------------------------------------------------- */

static int cancel_after(const sx_index_progress *progress, void *user)
{
    return progress->files_done >= *(uint64_t *)user;
}

/* 400 files; each cancelled update leaves more done, and the last finds it complete. */
static void test_cancel(void)
{
    sx_index_options options = fixture_options("many");
    sx_text_model text = words_model("words");
    uint64_t limit = 1, cuts = 0;
    sx_index *index = NULL;
    sx_commit commit;
    int rc, rounds = 0, growing = 0;

    SX_CHECK(sh("rm -rf cache && git init -q many"));
    for (int i = 0; i < 400; i++) {
        char name[64];
        FILE *file;

        snprintf(name, sizeof name, "many/f%d.py", i);
        if ((file = fopen(name, "w"))) {
            for (int k = 0; k < 40; k++)
                fprintf(file, "def f%d_%d(x):\n    return f%d(x)\n", i, k, k);
            fclose(file);
        }
    }
    SX_CHECK(sh("cd many && git add . && git commit -qm 1"));
    SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == 0);
    SX_CHECK(sx_index_update(index, NULL, &text, NULL, NULL, &commit, fixture_err,
                             sizeof fixture_err) == -ENOTRECOVERABLE); /* without the lock */
    SX_CHECK(sx_index_lock(index, 0, NULL, 0) == 0);
    while ((rc = sx_index_update(index, NULL, &text, cancel_after, &limit, &commit, fixture_err,
                                 sizeof fixture_err)) == -ECANCELED &&
           ++rounds < 2000) {
        uint64_t now = (uint64_t)ask("SELECT count(*) FROM cut");

        SX_CHECK(fixture_says("E-CANCELLED") && !commit.complete && commit.files == now);
        growing += now > cuts;
        cuts = now;
        SX_CHECK(sx_index_verify(index, fixture_err, sizeof fixture_err) == 0);
        SX_CHECK(sx_index_find_commit(index, NULL, "words", &commit, NULL, 0) == -ENOENT);
    }
    SX_CHECK(rc == 0 && commit.complete && commit.files == 400);
    SX_CHECK(rounds > 0 && growing == rounds);
    sx_index_close(index);
}

static void test_lock(void)
{
    sx_index_options options = fixture_options("r");
    sx_index *one = NULL, *two = NULL;
    uint64_t freed;

    SX_CHECK(sx_index_open(&one, &options, NULL, 0) == 0 &&
             sx_index_open(&two, &options, NULL, 0) == 0);
    SX_CHECK(sx_index_lock(one, 0, NULL, 0) == 0 && sx_index_lock(one, 0, NULL, 0) == 0);
    SX_CHECK(sx_index_lock(two, 50, fixture_err, sizeof fixture_err) == -EBUSY &&
             fixture_says("E-BUSY"));
    SX_CHECK(sx_index_forget(&options, &freed, fixture_err, sizeof fixture_err) == -EBUSY);
    sx_index_unlock(one);
    SX_CHECK(sx_index_lock(two, 0, NULL, 0) == 0);
    sx_index_close(two); /* gives it back */
    SX_CHECK(sx_index_lock(one, 0, NULL, 0) == 0);
    sx_index_unlock(one);
    SX_CHECK(sx_index_forget(&options, &freed, NULL, 0) == 0 && freed > 0);
    SX_CHECK(sx_index_lock(one, 0, fixture_err, sizeof fixture_err) == -EIO &&
             fixture_says("E-NO-INDEX"));
    sx_index_close(one);
}

/* ---- the directory -------------------------------------------------------------------------- */

static int mode_of(const char *pattern)
{
    char line[64] = "";
    FILE *out;
    char command[256];

    snprintf(command, sizeof command, "stat -c %%a %s", pattern);
    out = popen(command, "r");
    if (out && !fgets(line, sizeof line, out))
        line[0] = '\0';
    if (out)
        pclose(out);
    return (int)strtol(line, NULL, 8);
}

static void test_directory(void)
{
    sx_index_options options = fixture_options("r");
    sx_index *index = NULL;
    uint64_t freed = 0;
    sx_commit commit;

    make_source();
    umask(0);
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
    umask(022);
    SX_CHECK(mode_of("cache/r-*") == 0700 && mode_of("cache/r-*/catalog.db") == 0600);
    SX_CHECK(mode_of("cache/r-*/lock") == 0600 && mode_of("cache/r-*/CACHEDIR.TAG") == 0600);
    SX_CHECK(sh("head -c 43 cache/r-*/CACHEDIR.TAG | grep -q 8a477f597d28d172789f06886806bc55"));
    /* the repository is gone: forget still finds what was stored for it */
    SX_CHECK(sh("mv r gone"));
    SX_CHECK(sx_index_forget(&options, &freed, fixture_err, sizeof fixture_err) == 0 && freed > 0);
    SX_CHECK(sh("test -z \"$(ls cache)\""));
    SX_CHECK(sx_index_forget(&options, &freed, fixture_err, sizeof fixture_err) == -ENOENT);
    SX_CHECK(sh("mv gone r"));
    SX_CHECK(sx_index_forget(&options, &freed, fixture_err, sizeof fixture_err) == -ENOENT);
    SX_CHECK(fixture_says("E-NO-INDEX"));

    /* never through a link, never into somebody else's, never inside the git directory */
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
    options.cache_root = "r/.git/cache";
    SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == -EIO && !index);
    SX_CHECK(fixture_says("E-CACHE"));
    SX_CHECK(sh("rm -rf r/.git/cache"));
    options.cache_root = "cache";
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
    SX_CHECK(sh("n=$(ls cache) && mv cache/$n other && ln -s ../other cache/$n"));
    SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == -EIO &&
             fixture_says("E-CACHE"));
    if (geteuid() == 0) {
        SX_CHECK(sh("n=$(ls cache) && rm cache/$n && mv other cache/$n && chown 65534 cache/$n"));
        SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == -EIO);
        SX_CHECK(fixture_says("E-CACHE") && fixture_says("another user"));
    }
    SX_CHECK(sh("rm -rf cache && echo x > cache"));
    SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == -EIO && !index);
    SX_CHECK(sh("rm cache"));
}

/* ---- a damaged catalogue -------------------------------------------------------------------- */

static void test_damage(void)
{
    static const struct {
        const char *shell, *sql; /* one of the two */
        bool aside;              /* set aside and rebuilt */
    } cases[] = {
        {"echo 'no database at all, but long enough to be looked at' > catalog.db", NULL, true},
        {"head -c 8192 /dev/zero > catalog.db", NULL, true},
        {": > catalog.db", NULL, false}, /* made, and then killed */
        {NULL, "PRAGMA application_id = 7", true},
        {NULL, "PRAGMA user_version = 0", true},
        {NULL, "PRAGMA user_version = 1", true}, /* the version before */
        {NULL, "CREATE TRIGGER t AFTER INSERT ON blob BEGIN SELECT 1; END", true},
        {NULL, "CREATE VIEW v AS SELECT 1", true},
        {NULL, "DROP INDEX file_by_blob", true},
        {"cp catalog.db x && rm catalog.db && ln -s x catalog.db", NULL, true},
        {"ln catalog.db y", NULL, true},
        {"rm catalog.db", NULL, false},
        {"head -c 5000 catalog.db > z && mv z catalog.db", NULL, true},
    };
    sx_index_options options = fixture_options("r");
    sx_index *index = NULL;
    sx_commit commit;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int before = sx_failed;

        make_source();
        SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
        if (cases[i].sql)
            ask(cases[i].sql);
        else
            SX_CHECK(sh("cd %s && %s", only_index(), cases[i].shell));
        SX_CHECK(fixture_index(&options, NULL, &commit) == 0 && commit.files == 4);
        SX_CHECK(
            sh("cd %s && test %s -e catalog.db.bad-1", only_index(), cases[i].aside ? "" : "!"));
        if (sx_failed != before)
            printf("  after: %s: %s\n", cases[i].sql ? cases[i].sql : cases[i].shell, fixture_err);
    }
    make_source();
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
    ask("PRAGMA user_version = 99");
    SX_CHECK(sh("cp %s/catalog.db newer", only_index()));
    SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == -EIO && !index);
    SX_CHECK(fixture_says("E-INDEX-NEWER") && sh("cmp newer %s/catalog.db", only_index()));
}

/* Rows that contradict each other are named by their invariant. */
static void test_invariants(void)
{
    static const struct {
        const char *sql, *invariant;
    } lies[] = {
        {"UPDATE blob SET n_definitions = 9 WHERE id = 1", "I2"},
        {"UPDATE definition SET start_byte = 9999", "I3"},
        {"UPDATE definition SET parent = ordinal", "I4"},
        {"UPDATE blob SET n_references = n_references + 1", "I5"},
        {"UPDATE file SET skip = 'binary' WHERE id = 1", "I6"},
        {"UPDATE file SET size = size + 1", "I7"},
        {"UPDATE cut SET n_tokens = n_tokens + 1", "I8"},
        {"INSERT INTO segment SELECT max(id) + 1, file, 0, 1, 1, 0, 1, x'00' FROM segment", "I9"},
        {"UPDATE segment SET byte_end = byte_end - 1", "I10"},
        {"UPDATE segment_tokens SET tokens = x'02'", "I11"},
        {"INSERT INTO segment_tokens VALUES (99, x'02')", "foreign keys"},
        {"UPDATE revision SET complete = 0", "I13"},
        {"UPDATE revision SET n_files = 3", "I14"},
        {"UPDATE revision SET files = x'0280'", "I14"},
        {"DELETE FROM name", "foreign keys"},
        {"DELETE FROM words WHERE blob = 2", "I16"},
        {"INSERT INTO words VALUES (99, x'')", "foreign keys"},
        {"UPDATE words SET words = x'0001' WHERE blob = 2", "I17"},
    };
    sx_index_options options = fixture_options("r");
    sx_commit commit;

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        sx_index *index = NULL;

        make_source();
        SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
        ask(lies[i].sql);
        SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == 0);
        SX_CHECK(sx_index_verify(index, fixture_err, sizeof fixture_err) == -EIO);
        SX_CHECK(fixture_says(lies[i].invariant));
        sx_index_close(index);
    }
}

/* Everything that reads, on a catalogue that may be damaged. */
static void read_all(const sx_index_options *options)
{
    sx_text_model text = words_model("words");
    sx_segment_cursor *cursor = NULL;
    sx_index_status status;
    sx_index *index = NULL;
    sx_segment_row row;
    sx_words *words = NULL;
    sx_word_hit hits[4];
    sx_commit commit;
    seen s = {{0}, 0, 0};

    if (sx_index_open(&index, options, fixture_err, sizeof fixture_err) < 0)
        return;
    if (sx_index_find_commit(index, NULL, "words", &commit, NULL, 0) == 0) {
        sx_definitions_named(index, &commit, "push", see_definition, &s, NULL, 0);
        sx_definitions_all(index, &commit, see_definition, &s, NULL, 0);
        sx_references_named(index, &commit, "grow", see_reference, &s, NULL, 0);
        sx_index_get_status(index, &commit, "words", "m", &status, NULL, 0);
        if (sx_segments_begin(&cursor, index, &commit, "words", "m", SX_ORDER_ENCODE, true, NULL,
                              0) == 0)
            while (sx_segments_next(cursor, &row, NULL, 0) > 0)
                ;
        sx_segments_end(cursor);
        if (sx_words_load(&words, index, &commit, NULL, 0) == 0)
            sx_words_find(words, "push to the ring", hits, 4, NULL, 0);
        sx_words_free(words);
    }
    sx_index_verify(index, NULL, 0);
    if (sx_index_lock(index, 0, NULL, 0) == 0)
        sx_index_update(index, "HEAD", &text, NULL, NULL, &commit, NULL, 0);
    sx_index_close(index);
}

/* Random bytes of the file changed: an error or an answer, never a crash. */
static void test_flips(void)
{
    sx_index_options options = fixture_options("r");
    unsigned seed = 1;
    sx_commit commit;

    make_source();
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0 &&
             sh("cp %s/catalog.db good", only_index()));
    for (int i = 0; i < 150; i++) {
        FILE *file;

        SX_CHECK(sh("cp good flipped"));
        if ((file = fopen("flipped", "r+"))) {
            long size;

            fseek(file, 0, SEEK_END);
            size = ftell(file);
            for (int k = 0; k < 1 + i % 16; k++) {
                fseek(file, 100 + rand_r(&seed) % (size - 100), SEEK_SET);
                fputc(rand_r(&seed), file);
            }
            fclose(file);
        }
        SX_CHECK(sh("rm -f %s/catalog.db*; cp flipped %s/catalog.db", only_index(), only_index()));
        read_all(&options);
    }
    SX_CHECK(sx_index_forget(&options, NULL, NULL, 0) == 0);
    SX_CHECK(fixture_index(&options, NULL, &commit) == 0 && commit.files == 4);
}

int main(int argc, char **argv)
{
    if (!fixture_begin(argc, argv))
        return 2;
    test_lookup();
    test_segments();
    test_incremental();
    test_two_languages();
    test_kept_commits();
    test_lock();
    test_directory();
    test_damage();
    test_invariants();
    test_flips();
    test_cancel();
    return fixture_end();
}
