/* kill_test.c: processes that die or meet. A child indexes, the parent kills it after a random time
 * (seeded, printed) and verifies what is left, again and again; each time the child gets through,
 * the catalogue must be equal, row by row, to that of a run that nobody disturbed. */
#include "indexer/index_private.h"
#include "tests/indexer/fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { KILLS = 120, FILES = 150, SEED = 20261122 };

static char self[PATH_MAX];

/* ---- the child ------------------------------------------------------------------------------ */

/* Opens, locks, updates as `sparsex index` does, but commits every few milliseconds. */
static int child(const char *queries, const char *cache, int wait_ms)
{
    sx_index_options options = {
        .repository = "r", .cache_root = cache, .queries_dir = queries, .threads = 2};
    sx_text_model text = words_model("words");
    sx_index *index = NULL;
    sx_commit commit;
    int rc;

    if ((rc = sx_index_open(&index, &options, fixture_err, sizeof fixture_err)) == 0) {
        index->batch_ms = 5;
        if ((rc = sx_index_lock(index, wait_ms, fixture_err, sizeof fixture_err)) == 0)
            rc = sx_index_update(index, NULL, &text, NULL, NULL, &commit, fixture_err,
                                 sizeof fixture_err);
    }
    sx_index_close(index);
    if (rc < 0 && rc != -EBUSY)
        printf("child: %s\n", fixture_err);
    return rc == 0 ? 0 : rc == -EBUSY ? 9 : 1;
}

static pid_t start(const char *cache, const char *wait_ms)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl(self, self, fixture_queries, "child", cache, wait_ms, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int status_of(pid_t pid)
{
    int status = 0;

    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- what a catalogue holds, without the numbers of its rows -------------------------------- */

static const char *const export_sql[] = {
    "SELECT f.path, f.oid, f.kind, f.skip, f.class, f.size, b.language FROM file f LEFT JOIN blob b"
    " ON b.id = f.blob ORDER BY 1, 2, 3",
    "SELECT oid, language, size, plain, has_errors, n_definitions, n_references FROM blob ORDER BY "
    "1, 2",
    "SELECT b.oid, b.language, d.ordinal, n.bytes, d.kind, d.parent, d.start_byte, d.end_byte, "
    "d.name_start,"
    " d.name_end, d.doc_start, d.doc_end, d.signature_end, d.start_line, d.end_line FROM "
    "definition d"
    " JOIN blob b ON b.id = d.blob JOIN name n ON n.id = d.name ORDER BY 1, 2, 3",
    "SELECT b.oid, b.language, n.bytes, r.n, r.places FROM reference r JOIN blob b ON b.id = r.blob"
    " JOIN name n ON n.id = r.name ORDER BY 1, 2, 3",
    "SELECT b.oid, b.language, w.words FROM words w JOIN blob b ON b.id = w.blob ORDER BY 1, 2",
    "SELECT f.path, f.oid, s.ordinal, s.n_tokens, s.n_blocks, s.byte_start, s.byte_end, s.blocks, "
    "t.tokens"
    " FROM segment s JOIN file f ON f.id = s.file JOIN segment_tokens t ON t.segment = s.id ORDER "
    "BY 1, 2, 3",
    "SELECT oid, complete, damaged, n_files, n_skipped, n_bytes, n_tokens, n_segments, n_blocks,"
    " n_definitions, n_references FROM revision ORDER BY 1",
};

static uint64_t hash_more(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
    return (hash ^ n) * 1099511628211u;
}

/* Verifies the index, and a hash of all it holds; *rows: how many rows that were. 0: not good. */
static uint64_t export_of(const char *cache, long *rows)
{
    sx_index_options options = fixture_options("r");
    uint64_t hash = 14695981039346656037u;
    sx_segment_cursor *cursor = NULL;
    sx_segment_row segment;
    sx_index *index = NULL;
    sx_commit commit;

    *rows = 0;
    options.cache_root = cache;
    if (sx_index_open(&index, &options, fixture_err, sizeof fixture_err) < 0 ||
        sx_index_verify(index, fixture_err, sizeof fixture_err) < 0) {
        sx_index_close(index);
        return 0;
    }
    for (size_t i = 0; i < sizeof export_sql / sizeof *export_sql; i++) {
        sqlite3_stmt *statement = NULL;

        SX_CHECK(sx_catalog_prepare(&statement, index->catalog, export_sql[i], NULL, 0) == 0);
        while (sx_catalog_step(index->catalog, statement, NULL, 0) > 0) {
            ++*rows;
            for (int c = 0; c < sqlite3_column_count(statement); c++)
                hash = hash_more(hash, sqlite3_column_blob(statement, c),
                                 (size_t)sqlite3_column_bytes(statement, c));
        }
        sqlite3_finalize(statement);
    }
    if (sx_index_find_commit(index, NULL, "words", &commit, NULL, 0) == 0 &&
        sx_segments_begin(&cursor, index, &commit, "words", NULL, SX_ORDER_TREE, false, NULL, 0) ==
            0)
        while (sx_segments_next(cursor, &segment, NULL, 0) > 0)
            hash = hash_more(hash, segment.path, strlen(segment.path));
    sx_segments_end(cursor);
    sx_index_close(index);
    return hash;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void make_source(void)
{
    SX_CHECK(sh("git init -q r && mkdir r/d"));
    for (int i = 0; i < FILES; i++) {
        char name[64];
        FILE *file;

        snprintf(name, sizeof name, "r/%sf%d.%s", i % 2 ? "d/" : "", i, i % 3 ? "c" : "py");
        if ((file = fopen(name, "w"))) {
            for (int k = 0; k < 40; k++)
                fprintf(file,
                        i % 3 ? "int f%d_%d(int x) { return g%d(x); }\n"
                              : "def f%d_%d(x): return g%d(x)\n",
                        i, k, (i * 7 + k) % 100);
            fclose(file);
        }
    }
    SX_CHECK(sh("cd r && cp f0.py copy.txt && ln -s f0.py link && git add . && git commit -qm 1"));
}

static void test_kills(void)
{
    unsigned seed = SEED;
    long rows, whole_rows, partial = 0, kills = 0, finished = 0;
    uint64_t whole;

    SX_CHECK(status_of(start("undisturbed", "0")) == 0);
    whole = export_of("undisturbed", &whole_rows);
    SX_CHECK(whole != 0 && whole_rows > 6000);
    printf("seed %u\n", seed);
    for (int tries = 0; kills < KILLS && tries < 50 * KILLS; tries++) {
        pid_t pid = start("cache", "0");
        /* mostly short, sometimes long enough to get through */
        long us = rand_r(&seed) % (rand_r(&seed) % 4 ? 60000 : 600000);
        uint64_t hash;
        int status;

        nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
        kill(pid, SIGKILL);
        status = status_of(pid);
        SX_CHECK(status == 0 || status == -SIGKILL);
        kills += status == -SIGKILL;
        if ((hash = export_of("cache", &rows)) == 0) {
            SX_CHECK(!"the index that was left verifies");
            printf("  kill %ld after %ld us: %s\n", kills, us, fixture_err);
        }
        partial += rows > 0 && rows < whole_rows;
        if (status == 0) {
            finished++;
            SX_CHECK(hash == whole && rows == whole_rows);
            SX_CHECK(sh("rm -rf cache"));
        }
    }
    SX_CHECK(kills >= KILLS);
    SX_CHECK(partial > 0); /* some left a part */
    SX_CHECK(status_of(start("cache", "0")) == 0);
    SX_CHECK(export_of("cache", &rows) == whole);
    printf("%ld kills, %ld left a part, %ld runs got through\n", kills, partial, finished);
}

static void test_two_processes(void)
{
    long rows, whole_rows;
    uint64_t whole = export_of("undisturbed", &whole_rows);
    sx_index_options options = fixture_options("r");
    sx_index *index = NULL;
    pid_t pids[4];

    SX_CHECK(sh("rm -rf cache"));
    options.cache_root = "cache";
    SX_CHECK(sx_index_open(&index, &options, NULL, 0) == 0 &&
             sx_index_lock(index, 0, NULL, 0) == 0);
    SX_CHECK(status_of(start("cache", "0")) == 9);
    sx_index_close(index);
    /* all at once on nothing: they make the directory, the catalogue and the index, one after
     * another */
    SX_CHECK(sh("rm -rf cache"));
    for (int i = 0; i < 4; i++)
        pids[i] = start("cache", "60000");
    for (int i = 0; i < 4; i++)
        SX_CHECK(status_of(pids[i]) == 0);
    SX_CHECK(export_of("cache", &rows) == whole && rows == whole_rows);
    /* a reader with an open cursor does not hold a writer up */
    SX_CHECK(sh("cd r && echo 'int more(void);' > more.c && git add . && git commit -qm 2"));
    sx_segment_cursor *cursor = NULL;
    sx_segment_row segment;
    sx_commit commit;
    SX_CHECK(sx_index_open(&index, &options, NULL, 0) == 0);
    SX_CHECK(sx_index_find_commit(index, "HEAD~1", "words", &commit, NULL, 0) == 0);
    SX_CHECK(sx_segments_begin(&cursor, index, &commit, "words", NULL, SX_ORDER_TREE, true, NULL,
                               0) == 0);
    SX_CHECK(sx_segments_next(cursor, &segment, NULL, 0) == 1);
    SX_CHECK(status_of(start("cache", "0")) == 0);
    SX_CHECK(sx_segments_next(cursor, &segment, NULL, 0) == 1);
    sx_segments_end(cursor);
    SX_CHECK(sx_index_find_commit(index, NULL, "words", &commit, NULL, 0) == 0);
    sx_index_close(index);
}

int main(int argc, char **argv)
{
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (argc == 5 && strcmp(argv[2], "child") == 0)
        return child(argv[1], argv[3], atoi(argv[4]));
    if (n < 0 || !fixture_begin(argc, argv))
        return 2;
    alarm(900);
    make_source();
    test_kills();
    test_two_processes();
    return fixture_end();
}
