/* catalog_private.h: what catalog.c and catalog_put.c share. */
#ifndef SX_CATALOG_PRIVATE_H
#define SX_CATALOG_PRIVATE_H

#include "indexer/catalog.h"

enum { NAME_CACHE = 32768, NAME_CACHED_BYTES = 47 };

typedef struct name_slot { /* the id of a name asked for lately; id 0: free */
    int64_t id;
    uint64_t hash;
    uint8_t n;
    uint8_t bytes[NAME_CACHED_BYTES];
} name_slot;

typedef enum put_statement {
    PUT_FIND_FILE,
    PUT_FILE,
    PUT_FIND_BLOB,
    PUT_BLOB,
    PUT_FIND_NAME,
    PUT_NAME,
    PUT_DEFINITION,
    PUT_REFERENCE,
    PUT_WORDS,
    PUT_FIND_CUT,
    PUT_LAST_SEGMENT,
    PUT_SEGMENT,
    PUT_TOKENS,
    PUT_CUT,
    PUT_COUNT
} put_statement;

struct sx_catalog {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *put[PUT_COUNT]; /* prepared on first use */
    name_slot *names;             /* [NAME_CACHE]; forgotten with a rolled back transaction */
};

#endif
