/* corrupt_test.c: damaged object databases: what is bad is recorded with its reason, the rest is
 * indexed, and what is indexed is what was committed. */
#include "tests/indexer/fixture.h"

#include <errno.h>

enum { FILES = 60, SEEDS = 200 };

static void make_source(void)
{
    SX_CHECK(sh("git init -q src && mkdir src/d"));
    for (int i = 0; i < FILES; i++) {
        char name[64];
        FILE *file;

        snprintf(name, sizeof name, "src/%sf%d.py", i % 2 ? "d/" : "", i);
        if ((file = fopen(name, "w"))) {
            for (int k = 0; k < 30; k++)
                fprintf(file, "def f%d_%d(x):\n    return %d * x + g%d(x)\n", i, k, i * k, (i * 7 + k) % 100);
            fclose(file);
        }
    }
    SX_CHECK(sh("cd src && git add . && git commit -qm 1 && git gc -q && git multi-pack-index write && "
                "git commit-graph write --reachable 2>/dev/null"));
}

/* A hash over the tokens of the segments of one path. */
static uint64_t content_of(sx_index *index, const sx_commit *commit, const char *only, bool *seen)
{
    sx_segment_cursor *cursor = NULL;
    uint64_t hash = 14695981039346656037u;
    sx_segment_row row;

    *seen = false;
    if (sx_segments_begin(&cursor, index, commit, "words", NULL, SX_ORDER_TREE, true, NULL, 0) < 0)
        return 0;
    while (sx_segments_next(cursor, &row, NULL, 0) > 0) {
        if (strcmp(row.path, only) != 0)
            continue;
        *seen = true;
        for (uint32_t i = 0; i < row.n_tokens; i++)
            hash = (hash ^ row.tokens[i]) * 1099511628211u;
    }
    sx_segments_end(cursor);
    return hash;
}

static uint64_t reference[FILES];

static void path_of(char path[64], int i)
{
    snprintf(path, 64, "%sf%d.py", i % 2 ? "d/" : "", i);
}

/* Indexes "r"; true if that came to an end with every file equal to the reference or skipped. */
static bool index_is_honest(sx_commit *commit)
{
    sx_index_options options = fixture_options("r");
    sx_text_model text = words_model("words");
    sx_index *index = NULL;
    char path[64];
    bool honest = true, seen;
    int rc;

    *commit = (sx_commit){0};
    sx_index_forget(&options, NULL, NULL, 0);
    if ((rc = sx_index_open(&index, &options, fixture_err, sizeof fixture_err)) < 0)
        return rc == -EBADMSG;
    honest = sx_index_lock(index, 0, NULL, 0) == 0;
    rc = sx_index_update(index, NULL, &text, NULL, NULL, commit, fixture_err, sizeof fixture_err);
    if (rc == 0) {
        honest &= commit->complete && (commit->files == FILES || commit->damaged);
        for (int i = 0; i < FILES; i++) {
            path_of(path, i);
            uint64_t hash = content_of(index, commit, path, &seen);

            honest &= !seen || hash == reference[i];
        }
    } else {
        honest &= rc == -ENOENT; /* the commit itself is unreadable */
    }
    honest &= sx_index_verify(index, fixture_err, sizeof fixture_err) == 0;
    sx_index_close(index);
    if (!honest)
        printf("  %d, %d files: %s\n", rc, (int)commit->files, fixture_err);
    return honest;
}

static void flip(const char *pattern, unsigned seed, int bits)
{
    char line[PATH_MAX + 64] = "", command[256];
    FILE *names, *file;
    long size;

    snprintf(command, sizeof command, "ls %s", pattern);
    names = popen(command, "r");
    if (names && fgets(line, sizeof line, names)) {
        line[strcspn(line, "\n")] = '\0';
        if ((file = fopen(line, "r+"))) {
            fseek(file, 0, SEEK_END);
            size = ftell(file);
            for (int i = 0; i < bits; i++) {
                long at = rand_r(&seed) % size;
                int byte;

                fseek(file, at, SEEK_SET);
                byte = fgetc(file);
                fseek(file, at, SEEK_SET);
                fputc(byte ^ 1 << rand_r(&seed) % 8, file);
            }
            fclose(file);
        }
    }
    if (names)
        pclose(names);
}

static void test_pack_bits(void)
{
    int worst = FILES, damaged = 0;
    sx_commit commit;

    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        SX_CHECK(sh("chmod -R u+w . && rm -rf r && cp -r src r && rm -f r/.git/objects/pack/multi-pack-index && "
                    "chmod -R u+w r"));
        flip("r/.git/objects/pack/*.pack", seed, seed % 4 ? 3 : 200);
        SX_CHECK(index_is_honest(&commit));
        damaged += commit.damaged;
        if (commit.complete && (int)commit.files < worst)
            worst = (int)commit.files;
    }
    SX_CHECK(damaged > SEEDS / 4 && worst < FILES); /* the damage was real */
}

static void test_other_files(void)
{
    static const struct {
        const char *make;
        int files; /* -1: any number */
    } cases[] = {
        {"truncate -s 500 .git/objects/pack/*.idx", -1},
        {"truncate -s 0 .git/objects/pack/*.idx", -1},
        {"rm .git/objects/pack/*.idx .git/objects/pack/multi-pack-index", -1},
        {"truncate -s 100 .git/objects/pack/*.pack", -1},
        {"truncate -s 50 .git/objects/pack/multi-pack-index", -1},
        {"truncate -s 50 .git/objects/info/commit-graph", FILES},
        {"echo nonsense > .git/packed-refs", -1},
        {"head -c 1000 /dev/zero > .git/index", FILES},
    };
    sx_commit commit;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int before = sx_failed;

        SX_CHECK(sh("rm -rf r && cp -r src r && chmod -R u+w r && cd r && %s", cases[i].make));
        SX_CHECK(index_is_honest(&commit));
        SX_CHECK(cases[i].files < 0 || (int)commit.files == cases[i].files);
        if (sx_failed != before)
            printf("  after: %s: %d files\n", cases[i].make, (int)commit.files);
    }
    for (unsigned seed = 1; seed <= 40; seed++) {
        SX_CHECK(sh("rm -rf r && cp -r src r && chmod -R u+w r"));
        flip(seed % 2 ? "r/.git/objects/pack/*.idx" : "r/.git/objects/pack/multi-pack-index", seed, 5);
        SX_CHECK(index_is_honest(&commit));
    }
}

/* Loose objects that are not what their name says: other content, other type, no end, no zlib. */
static void test_loose(void)
{
    static const char *const makes[] = {
        "cp $other $file",
        "head -c 20 $file > x && cp x $file",
        "echo nonsense > $file",
        ": > $file",
        "cp $tree $file",
    };
    sx_commit commit;

    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++) {
        int before = sx_failed;

        SX_CHECK(sh("rm -rf r && git init -q r && cp -r src/*.py src/d r/ && cd r && git add . && git commit -qm 1"
                    " && p() { h=$(git rev-parse $1); echo .git/objects/$(echo $h | cut -c1-2)/$(echo $h | "
                    "cut -c3-); } && file=$(p HEAD:f0.py) && other=$(p HEAD:f2.py) && tree=$(p HEAD:d) && "
                    "chmod -R u+w .git && %s",
                    makes[i]));
        SX_CHECK(index_is_honest(&commit));
        SX_CHECK(commit.complete && commit.damaged && commit.files == FILES - 1 && commit.skipped == 1);
        if (sx_failed != before)
            printf("  after: %s\n", makes[i]);
    }
}

int main(int argc, char **argv)
{
    sx_index_options options = fixture_options("src");
    sx_text_model text = words_model("words");
    sx_index *index = NULL;
    sx_commit commit;
    char path[64];
    bool seen;

    if (!fixture_begin(argc, argv))
        return 2;
    options.queries_dir = fixture_queries;
    alarm(900);
    make_source();
    SX_CHECK(sx_index_open(&index, &options, NULL, 0) == 0 && sx_index_lock(index, 0, NULL, 0) == 0);
    SX_CHECK(sx_index_update(index, NULL, &text, NULL, NULL, &commit, NULL, 0) == 0 && commit.files == FILES);
    for (int i = 0; i < FILES; i++) {
        path_of(path, i);
        reference[i] = content_of(index, &commit, path, &seen);
        SX_CHECK(seen);
    }
    sx_index_close(index);
    test_other_files();
    test_loose();
    test_pack_bits();
    return fixture_end();
}
