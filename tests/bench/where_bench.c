/* where_bench.c: does the definition that a question asks for come first?
 *
 *   where_bench MODEL_DIR QUERIES_DIR REPO [QUESTIONS] [CACHE]
 *
 * Takes functions and methods of HEAD whose name only one definition has, shuffled with a fixed
 * seed, and asks `Where is X defined?` of the context (the whole repository, encoded first). Prints
 * the share whose definition is the first span and within the first five: by the landmarks' rank
 * alone, and as the program ranks (app/ranking.h). Never to be used for tuning on a held-out
 * repository. */
#include "app/session.h"
#include "tests/bench/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Place of the target among the spans, from 0; n_spans if it is not there. */
static size_t place_of(const sx_reply *reply, const target *t)
{
    for (size_t i = 0; i < reply->n_spans; i++)
        if (!strcmp(reply->spans[i].path, t->path) && reply->spans[i].start_byte == t->start_byte)
            return i;
    return reply->n_spans;
}

int main(int argc, char **argv)
{
    size_t wanted = argc > 4 ? strtoul(argv[4], NULL, 10) : 100, asked = 0, first[2] = {0},
           five[2] = {0};
    char err[512];
    sx_session *session = NULL;
    sx_failure failure;
    targets t = {0};

    if (argc < 4)
        return 2;
    sx_session_options options = {.index = {.repository = argv[3],
                                            .cache_root = argc > 5 ? argv[5] : NULL,
                                            .queries_dir = argv[2]},
                                  .engine = {.model_dir = argv[1]},
                                  .kv_budget = UINT64_MAX};
    if (sx_session_open(&session, &options, &failure) < 0 ||
        sx_session_prepare(session, NULL, SX_DEPTH_CONTEXT, 0, &failure) < 0) {
        fprintf(stderr, "%s\n", failure.text);
        return 1;
    }
    if (targets_draw(&t, sx_session_index(session), sx_session_commit(session), err, sizeof err) <
        0) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    for (; asked < wanted && asked < t.n; asked++)
        for (int ranked = 0; ranked < 2;
             ranked++) { /* 0: landmarks alone, 1: as the program does */
            char question[512];
            sx_reply reply = {0};
            snprintf(question, sizeof question, "Where is `%s` defined?", t.items[asked].name);
            sx_request request = {.text = question, .top = 5, .landmarks_alone = !ranked};
            if (sx_session_ask(session, &request, &reply, &failure) < 0) {
                fprintf(stderr, "%s\n", failure.text);
                return 1;
            }
            size_t place = place_of(&reply, &t.items[asked]);
            first[ranked] += place == 0;
            five[ranked] += place < 5 && place < reply.n_spans;
            if (ranked && place > 0)
                printf("  %zu %s %s; first: %s %s %s\n", place + 1, t.items[asked].name,
                       t.items[asked].path, reply.n_spans ? reply.spans[0].kind : "-",
                       reply.n_spans ? reply.spans[0].name : "-",
                       reply.n_spans ? reply.spans[0].path : "-");
            sx_reply_clear(&reply);
        }
    const sx_commit *commit = sx_session_commit(session);
    printf("%s %.12s: %llu tokens, %llu blocks, %zu questions\n", argv[3], commit->hex,
           (unsigned long long)commit->tokens, (unsigned long long)commit->blocks, asked);
    for (int ranked = 0; ranked < 2 && asked; ranked++)
        printf("%-16s first %5.1f %%  within five %5.1f %%\n",
               ranked ? "as shown" : "landmarks alone",
               100.0 * (double)first[ranked] / (double)asked,
               100.0 * (double)five[ranked] / (double)asked);
    sx_session_close(session);
    return 0;
}
