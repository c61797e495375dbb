/* test_passages.c: what a block is read with when a question reads it alone.
 *
 *   test_passages MODEL_DIR QUERIES_DIR               a small repository, made here
 *   test_passages MODEL_DIR QUERIES_DIR REPOSITORY    prints them all: for comparing with
 *                                                     data/training/data.py
 */
#include "app/session_private.h"
#include "tests/check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sx_session *open_session(const char *repository, const char *cache, char **argv)
{
    sx_session_options options = {
        .index = {.repository = repository, .cache_root = cache, .queries_dir = argv[2]},
        .engine = {.model_dir = argv[1]},
        .kv_budget = UINT64_MAX};
    sx_session *session = NULL;
    sx_failure failure = {0};

    if (sx_session_open(&session, &options, &failure) < 0 ||
        sx_session_prepare(session, NULL, SX_DEPTH_CONTEXT, 0, &failure) < 0) {
        printf("%s\n", failure.text);
        exit(1);
    }
    return session;
}

/* Of all blocks; the caller's. */
static sx_passage *all_passages(sx_session *s)
{
    uint32_t n = sx_context_blocks(s->context), *blocks = calloc(n + 1, sizeof *blocks);
    sx_passage *passages = calloc(n + 1, sizeof *passages);
    sx_failure failure = {0};

    for (uint32_t i = 0; i < n; i++) /* in any order */
        blocks[i] = n - 1 - i;
    SX_CHECK(sx_session_passages(s, passages, blocks, n, NULL, &failure) == 0);
    for (uint32_t i = 0; i < n / 2; i++) {
        sx_passage swap = passages[i];
        passages[i] = passages[n - 1 - i];
        passages[n - 1 - i] = swap;
    }
    free(blocks);
    return passages;
}

/* path TAB first byte TAB tokens of the path TAB the blocks, the one around first, as differences
 * to this block ('.': none around) */
static void print_all(sx_session *s)
{
    sx_passage *passages = all_passages(s);

    for (uint32_t i = 0; i < sx_context_blocks(s->context); i++) {
        const sx_passage *p = &passages[i];
        uint32_t piece, block;

        sx_context_locate(s->context, i, &piece, &block);
        printf("%s\t%u\t%u\t", s->files[s->pieces[piece].file].path, s->block_bytes[i],
               p->path_tokens);
        if (p->around >= 0)
            printf("%d", p->around - (int)i);
        else
            printf(".");
        for (uint32_t j = 0; j < p->n; j++)
            printf(" %d", (int)p->blocks[j] - (int)i);
        printf("\n");
    }
    free(passages);
}

static void write_method(FILE *f, const char *name, int lines)
{
    fprintf(f, "    def %s(self, items):\n", name);
    for (int i = 0; i < lines; i++)
        fprintf(f, "        items.append(%d * self.weight + %d)  # step %d of %s\n", i, 7 * i, i,
                name);
    fprintf(f, "        return items\n\n");
}

static void make_repository(const char *folder)
{
    char command[PATH_MAX + 256], path[PATH_MAX + 32];
    FILE *f;

    snprintf(path, sizeof path, "%s/weights.py", folder);
    if (!(f = fopen(path, "w")))
        exit(1);
    fprintf(f, "\"\"\"Weights of things.\"\"\"\nimport math\n\n\ndef alone(x):\n    return x\n\n\n"
               "class Heavy:\n    kind = \"heavy\"\n\n");
    write_method(f, "little", 2);
    write_method(f, "much", 24);
    fclose(f);
    snprintf(path, sizeof path, "%s/notes.txt", folder);
    if (!(f = fopen(path, "w")))
        exit(1);
    fprintf(f, "nothing that is defined\n");
    fclose(f);
    snprintf(command, sizeof command,
             "cd '%s' && git -c init.defaultBranch=main init -q && git add . && git -c "
             "user.name=t -c user.email=t@example.org commit -qm x",
             folder);
    SX_CHECK(system(command) == 0);
}

/* The block in which `text` stands, and its passage. */
static uint32_t block_of(const sx_session *s, const char *folder, const char *text)
{
    char path[PATH_MAX + 32], bytes[16384];
    uint32_t blocks[1];
    const char *at;
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/weights.py", folder);
    f = fopen(path, "r");
    n = fread(bytes, 1, sizeof bytes - 1, f);
    fclose(f);
    bytes[n] = 0;
    at = strstr(bytes, text);
    for (size_t i = 0; at && i < s->n_files; i++)
        if (!strcmp(s->files[i].path, "weights.py") &&
            sx_session_blocks(s, &s->files[i], (uint32_t)(at - bytes), (uint32_t)(at - bytes) + 1,
                              blocks, 1) == 1)
            return blocks[0];
    printf("%s is in no block\n", text);
    exit(1);
}

static void check_small(sx_session *s, const char *folder)
{
    sx_passage *p = all_passages(s);
    uint32_t n = sx_context_blocks(s->context), class = block_of(s, folder, "class Heavy"),
             much = block_of(s, folder, "def much"), late = block_of(s, folder, "step 23"),
             plain = block_of(s, folder, "def alone"), little = block_of(s, folder, "def little");

    SX_CHECK(s->info->read_blocks == SX_PASSAGE_BLOCKS && s->info->read_path > 0);
    for (uint32_t i = 0; i < n; i++) {
        bool itself = false;

        SX_CHECK(p[i].n >= 1 && p[i].n < SX_PASSAGE_BLOCKS);
        for (uint32_t j = 0; j < p[i].n; j++)
            itself |= p[i].blocks[j] == i;
        SX_CHECK(itself);
    }
    /* a method: its class around it, its path in front */
    SX_CHECK(p[little].n == 1 && p[little].around == (int32_t) class);
    SX_CHECK(p[little].path_tokens > 2 && p[little].path_tokens <= s->info->read_path);
    /* of a long one the first blocks, and the block itself where that is behind them */
    SX_CHECK(late > much + 4);
    SX_CHECK(p[much].n == 4 && p[much].blocks[0] == much && p[much].blocks[3] == much + 3);
    SX_CHECK(p[late].n == 4 && p[late].blocks[0] == much && p[late].blocks[2] == much + 2 &&
             p[late].blocks[3] == late);
    SX_CHECK(p[late].around == (int32_t) class && p[much].around == (int32_t) class);
    SX_CHECK(!memcmp(p[much].blocks, p[much + 2].blocks, sizeof p[much].blocks));
    /* nothing is around a function of the file, or a class */
    SX_CHECK(p[plain].around == -1 && p[class].around == -1);
    /* the path is in the first block itself */
    SX_CHECK(p[p[plain].path].path_tokens == 0);
    free(p);
}

/* What words found counts for all blocks of that definition, and what a test is against all of its
 * file's. */
static void check_priors(sx_session *s, const char *folder)
{
    uint32_t much = block_of(s, folder, "def much"), late = block_of(s, folder, "step 23"),
             little = block_of(s, folder, "def little"), blocks[] = {late, little, much}, piece, b;
    /* the best is in another file */
    sx_rank_find finds[] = {{.words = 0.25f}, {.file = UINT32_MAX, .words = 0.5f}}, find;
    sx_rank_input in = {.finds = finds, .n_finds = 2, .lexical_weight = 16, .question = "how"};
    sx_passage p[3];
    sx_details d;
    sx_failure failure = {0};

    sx_context_locate(s->context, much, &piece, &b);
    find = finds[0];
    find.file = s->pieces[piece].file;
    SX_CHECK(sx_session_details(&d, s, &find.file, 1, &failure) == 0);
    for (size_t i = 0; i < d.n; i++)
        if (!strcmp(d.ranked[i].name, "much")) {
            find.start_byte = d.ranked[i].start_byte;
            find.end_byte = d.ranked[i].end_byte;
        }
    sx_details_clear(&d);
    finds[0] = find;
    SX_CHECK(sx_session_passages(s, p, blocks, 3, &in, &failure) == 0);
    SX_CHECK(p[0].prior == 4.0f && p[1].prior == 0.0f && p[2].prior == 4.0f);
    s->files[find.file].aside = true;
    SX_CHECK(sx_session_passages(s, p, blocks, 3, &in, &failure) == 0);
    SX_CHECK(p[0].prior == 4.0f - SX_ASIDE && p[1].prior == -SX_ASIDE);
    in.question = "what is tested";
    SX_CHECK(sx_session_passages(s, p, blocks, 3, &in, &failure) == 0);
    SX_CHECK(p[0].prior == 4.0f && p[1].prior == 0.0f);
    SX_CHECK(sx_session_passages(s, p, blocks, 3, NULL, &failure) == 0 && p[0].prior == 0.0f);
    s->files[find.file].aside = false;
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/sparsex-passages-XXXXXX", repository[sizeof folder + 8],
         cache[sizeof folder + 8], command[sizeof folder + 32];
    sx_session *session;

    if (argc < 3 || !mkdtemp(folder))
        return 2;
    snprintf(repository, sizeof repository, "%s/work", folder);
    snprintf(cache, sizeof cache, "%s/cache", folder);
    snprintf(command, sizeof command, "mkdir '%s'", repository);
    SX_CHECK(system(command) == 0);
    if (argc == 3)
        make_repository(repository);
    session = open_session(argc > 3 ? argv[3] : repository, cache, argv);
    if (argc > 3) {
        print_all(session);
    } else {
        check_small(session, repository);
        check_priors(session, repository);
    }
    sx_session_close(session);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    SX_CHECK(system(command) == 0);
    return argc > 3 ? 0 : sx_check_end();
}
