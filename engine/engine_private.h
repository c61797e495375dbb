/* engine_private.h: what the files of engine/ know of an open engine. */
#ifndef SX_ENGINE_PRIVATE_H
#define SX_ENGINE_PRIVATE_H

#include "engine/engine.h"
#include "engine/tokenizer.h"
#include "engine/transformer.h"

#define SX_HEADER_TOKENS 64 /* most tokens of <file> path \n, design.md section 3 */

struct sx_engine {
    sx_engine_info info;
    int threads;
    sx_transformer *transformer; /* NULL: opened for its tokenizer only */
    sx_tokenizer *tokenizer;
    sx_type kv_format;
    uint32_t longest; /* most tokens of a segment, header included */
};

/* For tests: how k and v are kept. The default is SX_I8. Before anything is encoded. */
void sx_engine_set_kv_format(sx_engine *engine, sx_type format);

#endif
