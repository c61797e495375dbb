/* test_ranking.c: blocks -> spans: owners, merging, order. */
#include "app/ranking.h"
#include "tests/check.h"

#include <math.h>
#include <string.h>

static const sx_rank_definition definitions[] = {
    {0, 100, 140, 400, "Ring"}, /* a class with a doc comment in front */
    {0, 200, 200, 300, "push"}, /* its methods */
    {0, 300, 300, 390, "pop"},
    {0, 500, 500, 520, "A_MACRO"}, /* neighbours that share a block */
    {0, 520, 520, 540, "B_MACRO"},
    {2, 0, 0, 5000, "long_one"},
};
enum { N_DEFINITIONS = sizeof definitions / sizeof *definitions };

static size_t rank(sx_rank_span *spans, const sx_rank_block *blocks, size_t n, const char *question)
{
    sx_rank_input in = {.blocks = blocks,
                        .n_blocks = n,
                        .definitions = definitions,
                        .n_definitions = N_DEFINITIONS,
                        .question = question};
    return sx_rank_spans(spans, &in);
}

static void test_owners(void)
{
    sx_rank_span s[8];
    const sx_rank_block doc = {0, 100, 200, 1, 0, false}, method = {0, 200, 300, 1, 0, false};
    const sx_rank_block tail = {0, 390, 500, 1, 0, false}, before = {0, 0, 100, 1, 0, false};
    const sx_rank_block inside = {2, 64, 128, 1, 0, false}, after = {0, 540, 600, 1, 0, false};
    const sx_rank_block macros = {0, 500, 540, 1, 0, false}, elsewhere = {1, 200, 300, 1, 0, false};

    SX_CHECK(rank(s, &doc, 1, "") == 1 && s[0].definition == 0 && s[0].start_byte == 140);
    SX_CHECK(rank(s, &method, 1, "") == 1 && s[0].definition == 1 && s[0].end_byte == 300);
    SX_CHECK(rank(s, &tail, 1, "") == 1 &&
             s[0].definition == 0); /* the class still reaches into it */
    SX_CHECK(rank(s, &before, 1, "") == 1 && s[0].definition == -1 && s[0].end_byte == 100);
    SX_CHECK(rank(s, &after, 1, "") == 1 && s[0].definition == -1 && s[0].start_byte == 540);
    SX_CHECK(rank(s, &inside, 1, "") == 1 && s[0].definition == 5);
    SX_CHECK(rank(s, &elsewhere, 1, "") == 1 && s[0].definition == -1);
    SX_CHECK(rank(s, &macros, 1, "what is it") == 1 && s[0].definition == 3 &&
             s[0].named == SX_NAMED_NOT);
    SX_CHECK(rank(s, &macros, 1, "Where is `B_MACRO` defined?") == 1 && s[0].definition == 4 &&
             s[0].named == SX_NAMED_OUTRIGHT);
    SX_CHECK(rank(s, NULL, 0, "") == 0);
}

/* A block that begins with the tail of what is in front belongs to whoever has more of it. */
static void test_shared(void)
{
    sx_rank_span s[8];
    const sx_rank_block mostly_pop = {0, 296, 380, 1, 0, false};
    const sx_rank_block mostly_push = {0, 210, 310, 1, 0, false};
    const sx_rank_block first_method = {0, 190, 260, 1, 0, false}; /* of the class and of push */
    const sx_rank_block nothing_in_front = {0, 450, 540, 1, 0, false};

    SX_CHECK(rank(s, &mostly_pop, 1, "") == 1 && s[0].definition == 2);
    SX_CHECK(rank(s, &mostly_push, 1, "") == 1 && s[0].definition == 1);
    SX_CHECK(rank(s, &mostly_push, 1, "`pop`") == 1 && s[0].definition == 2);
    SX_CHECK(rank(s, &first_method, 1, "") == 1 && s[0].definition == 1);
    SX_CHECK(rank(s, &nothing_in_front, 1, "") == 1 && s[0].definition == 3);
}

static void test_merging(void)
{
    sx_rank_span s[8];
    const sx_rank_block blocks[] = {{2, 0, 64, 0.25f, 0.125f, false},
                                    {0, 200, 260, 0.5f, 0.25f, false},
                                    {2, 128, 200, 0.5f, 0.0625f, false},
                                    {0, 260, 300, 0.125f, 0.5f, false}};
    size_t n = rank(s, blocks, 4, "");

    SX_CHECK(n == 2);
    SX_CHECK(s[0].definition == 5 && s[0].rank == 0.75f && s[0].mass == 0.1875f);
    SX_CHECK(s[1].definition == 1 && s[1].rank == 0.625f && s[1].mass == 0.75f);
}

static void test_order(void)
{
    sx_rank_span s[8];
    const sx_rank_block by_rank[] = {{0, 200, 300, 0.1f, 0.9f, false},
                                     {0, 300, 390, 0.2f, 0, false}};
    const sx_rank_block by_mass[] = {{0, 200, 300, 0.2f, 0.1f, false},
                                     {0, 300, 390, 0.2f, 0.3f, false}};
    const sx_rank_block by_name[] = {{0, 200, 300, 0.2f, 0.1f, false},
                                     {0, 300, 390, 0.2f, 0.1f, false}};
    const sx_rank_block by_place[] = {
        {1, 9, 12, 0, 0, false}, {1, 3, 9, 0, 0, false}, {0, 0, 9, 0, 0, false}};

    SX_CHECK(rank(s, by_rank, 2, "push") == 2 && s[0].definition == 2);
    SX_CHECK(rank(s, by_mass, 2, "push") == 2 && s[0].definition == 2);
    SX_CHECK(rank(s, by_name, 2, "find pop") == 2 && s[0].definition == 2);
    SX_CHECK(rank(s, by_name, 2, "find") == 2 && s[0].definition == 1);
    /* a name outright comes before a higher rank, a mere word does not */
    SX_CHECK(rank(s, by_rank, 2, "where is `push` defined") == 2 && s[0].definition == 1);
    SX_CHECK(rank(s, by_rank, 2, "push()") == 2 && s[0].definition == 1);
    SX_CHECK(rank(s, by_rank, 2, "Who calls `push`?") == 2 && s[0].definition == 1);
    SX_CHECK(rank(s, by_rank, 2, "`push` in ring.c") == 2 && s[0].definition == 1);
    /* one that is mentioned among other things only counts more: 0.1 before 0.2, not 0.01 */
    const sx_rank_block far[] = {{0, 200, 300, 0.01f, 0, false}, {0, 300, 390, 0.9f, 0, false}};
    SX_CHECK(rank(s, by_rank, 2, "checks whether push() ran before the flush") == 2 &&
             s[0].definition == 1);
    SX_CHECK(rank(s, far, 2, "checks whether push() ran before the flush") == 2 &&
             s[0].definition == 2);
    SX_CHECK(rank(s, far, 2, "Where is `push` defined?") == 2 && s[0].definition == 1);
    SX_CHECK(rank(s, by_place, 3, "") == 3 && s[0].file == 0 && s[1].start_byte == 3);
}

/* The lexical channel: a find adds to the definition that it is, not to one around or beside it,
 * and to lines outside of all definitions that it touches. */
static void test_words(void)
{
    sx_rank_span s[8];
    const sx_rank_block blocks[] = {
        {0, 200, 300, 0.6f, 0, false}, {0, 300, 390, 0.3f, 0, false}, {0, 0, 90, 0.1f, 0, false}};
    const sx_rank_find finds[] = {
        {0, 300, 390, 0.5f}, {0, 140, 390, 1.0f}, {1, 200, 300, 1.0f}, {0, 50, 70, 0.25f}};
    sx_rank_input in = {.blocks = blocks,
                        .n_blocks = 3,
                        .definitions = definitions,
                        .n_definitions = N_DEFINITIONS,
                        .finds = finds,
                        .n_finds = 4,
                        .lexical_weight = 1,
                        .question = ""};

    SX_CHECK(sx_rank_spans(s, &in) == 3);
    SX_CHECK(s[0].definition == 1 && s[0].words == 0); /* log 0.6 > log 0.3 + 0.5^2 */
    SX_CHECK(s[1].definition == 2 && s[1].words == 0.5f);
    SX_CHECK(s[2].definition == -1 && s[2].words == 0.25f);
    SX_CHECK(fabsf(s[1].score - (logf(0.3f) + 0.25f)) < 1e-6f);
    in.lexical_weight = 3;
    SX_CHECK(sx_rank_spans(s, &in) == 3 && s[0].definition == 2 && s[1].definition == 1);
    /* half of the best find's count a quarter, whatever the best has */
    const sx_rank_find weak[] = {{0, 300, 390, 0.1f}, {1, 200, 300, 0.2f}};
    in.finds = weak;
    in.n_finds = 2;
    SX_CHECK(sx_rank_spans(s, &in) == 3 && s[0].definition == 2 && s[0].words == 0.1f &&
             fabsf(s[0].score - (logf(0.3f) + 0.75f)) < 1e-6f);
    in.finds = finds;
    in.n_finds = 4;
    in.lexical_weight = 0;
    SX_CHECK(sx_rank_spans(s, &in) == 3 && s[0].definition == 1);
    /* what landmarks hardly saw, they do not order */
    const sx_rank_block faint[] = {{0, 200, 300, 5e-6f, 0, false}, {0, 300, 390, 1e-9f, 0, false}};
    in.blocks = faint;
    in.n_blocks = 2;
    in.lexical_weight = 1;
    SX_CHECK(sx_rank_spans(s, &in) == 2 && s[0].definition == 2 && s[1].definition == 1);
    /* a test that holds the words gives way, unless tests are asked for */
    sx_rank_block twin[] = {{0, 200, 300, 0.5f, 0, true}, {0, 300, 390, 0.1f, 0, false}};
    in.blocks = twin;
    in.n_blocks = 2;
    in.n_finds = 0;
    SX_CHECK(sx_rank_spans(s, &in) == 2 && s[0].definition == 2);
    in.question = "which Tests cover it";
    SX_CHECK(sx_rank_spans(s, &in) == 2 && s[0].definition == 1);
    in.blocks = blocks;
    in.n_blocks = 3;
    in.n_finds = 4;
    in.lexical_weight = 100;
    in.question = "where is `push` defined"; /* a name outright comes before any words */
    SX_CHECK(sx_rank_spans(s, &in) == 3 && s[0].definition == 1);
}

static void test_found(void)
{
    const sx_rank_span plain = {.words = 0.9f};
    const sx_rank_span named = {.named = SX_NAMED_OUTRIGHT};

    SX_CHECK(sx_rank_found(0.5f, NULL, 0) && !sx_rank_found(-0.5f, NULL, 0));
    SX_CHECK(sx_rank_found(INFINITY, &plain, 1) && !sx_rank_found(-0.5f, &plain, 1));
    SX_CHECK(sx_rank_found(-9.0f, &named, 1));
}

static void test_names(void)
{
    SX_CHECK(sx_question_names("Where is `ring` defined?", "ring") == SX_NAMED_OUTRIGHT);
    SX_CHECK(sx_question_names("ring_pop", "ring_pop") == SX_NAMED_OUTRIGHT);
    SX_CHECK(sx_question_names("xring_pop or ring_pop.", "ring_pop") == SX_NAMED_OUTRIGHT);
    SX_CHECK(sx_question_names("who calls pop(x)", "pop") == SX_NAMED_OUTRIGHT);
    SX_CHECK(sx_question_names("what is ringPop", "ringPop") == SX_NAMED_OUTRIGHT);
    SX_CHECK(sx_question_names("what does pop do", "pop") == SX_NAMED_WORD);
    SX_CHECK(sx_question_names("the Ring", "Ring") == SX_NAMED_WORD);
    SX_CHECK(sx_question_names("don't pop 'pop'", "pop") == SX_NAMED_OUTRIGHT);
    SX_CHECK(sx_question_names("ring_pop2 and my_ring_pop", "ring_pop") == SX_NAMED_NOT);
    SX_CHECK(sx_question_names("Ring_pop", "ring_pop") == SX_NAMED_NOT);
    SX_CHECK(sx_question_names("anything", "") == SX_NAMED_NOT);
    SX_CHECK(sx_question_names("na\xc3\xafve", "na") == SX_NAMED_NOT);
}

int main(void)
{
    test_owners();
    test_shared();
    test_merging();
    test_order();
    test_words();
    test_found();
    test_names();
    return sx_check_end();
}
