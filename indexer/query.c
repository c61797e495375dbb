/* query.c: reads a query file, compiles it and gives its captures their roles (query.h).
 * Knows no blobs and no trees. */
#include "indexer/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_BYTES 65536 /* ours have a few thousand */

static const char *const kinds[] = {
    "function", "method", "class",    "struct",   "enum",   "union",     "trait",    "interface",
    "type",     "macro",  "constant", "variable", "module", "namespace", "property",
};

static const struct {
    const char *name;
    sx_role role;
} roles[] = {
    {"name", SX_ROLE_NAME},           {"body", SX_ROLE_BODY},
    {"docbody", SX_ROLE_DOCBODY},     {"scope", SX_ROLE_SCOPE},
    {"container", SX_ROLE_CONTAINER}, {"local", SX_ROLE_LOCAL},
    {"outer", SX_ROLE_OUTER},         {"attribute", SX_ROLE_ATTRIBUTE},
    {"comment", SX_ROLE_COMMENT},     {"reference", SX_ROLE_REFERENCE},
};

static bool capture_role(sx_query *query, uint32_t i, const char *name)
{
    if (!strncmp(name, "definition.", 11)) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            if (!strcmp(kinds[k], name + 11)) {
                query->role[i] = SX_ROLE_DEFINITION;
                query->kind[i] = kinds[k];
                return true;
            }
        return false;
    }
    for (size_t k = 0; k < sizeof roles / sizeof roles[0]; k++)
        if (!strcmp(roles[k].name, name)) {
            query->role[i] = (uint8_t)roles[k].role;
            return true;
        }
    return false;
}

static TSFieldId field(const TSLanguage *grammar, const char *name)
{
    return ts_language_field_id_for_name(grammar, name, (uint32_t)strlen(name));
}

int sx_query_load(sx_query *out, sx_parse_memory *memory, const sx_language *language,
                  const char *queries_dir, char *err, size_t errlen)
{
    const TSLanguage *grammar = language->grammar();
    char path[4096], *text = NULL;
    TSQueryError error = TSQueryErrorNone;
    uint32_t offset = 0, n_predicates = 0;
    FILE *file = NULL;
    size_t n = 0;
    int rc = -EIO;

    memset(out, 0, sizeof *out);
    if (snprintf(path, sizeof path, "%s/%s.scm", queries_dir, language->name) >= (int)sizeof path ||
        !(file = fopen(path, "rbe"))) {
        snprintf(err, errlen,
                 "E-QUERY: %s/%s.scm cannot be read: %s; nothing was parsed; install "
                 "the query files or name their folder",
                 queries_dir, language->name, strerror(errno));
        goto out;
    }
    if (!(text = malloc(QUERY_BYTES))) {
        snprintf(err, errlen, "E-MEMORY: no room for the query %s; nothing was parsed; free memory",
                 path);
        rc = -ENOMEM;
        goto out;
    }
    n = fread(text, 1, QUERY_BYTES, file);
    if (n == QUERY_BYTES || ferror(file)) {
        snprintf(err, errlen,
                 "E-QUERY: %s is unreadable or over 64 KiB; nothing was parsed; "
                 "reinstall the query files",
                 path);
        goto out;
    }
    if (setjmp(memory->escape) != 0) {
        snprintf(err, errlen, "E-MEMORY: no room to compile %s; nothing was parsed; free memory",
                 path);
        rc = -ENOMEM;
        goto out;
    }
    sx_parse_memory_enter(memory);
    out->query = ts_query_new(grammar, text, (uint32_t)n, &offset, &error);
    if (!out->query) {
        static const char *const what[] = {"no error", "syntax",    "node type", "field",
                                           "capture",  "structure", "language"};
        uint32_t line = 1;
        for (uint32_t i = 0; i < offset && i < n; i++)
            line += text[i] == '\n';
        snprintf(err, errlen,
                 "E-QUERY: %s:%u does not compile (%s); nothing was parsed; reinstall "
                 "the query files",
                 path, line,
                 (size_t)error < sizeof what / sizeof what[0] ? what[error] : "unknown");
        goto out;
    }
    for (uint32_t i = 0; i < ts_query_pattern_count(out->query) && !n_predicates; i++)
        ts_query_predicates_for_pattern(out->query, i, &n_predicates);
    if (n_predicates || ts_query_capture_count(out->query) > SX_QUERY_CAPTURES) {
        snprintf(err, errlen,
                 "E-QUERY: %s holds predicates or over %d captures, which are not "
                 "supported; nothing was parsed; reinstall the query files",
                 path, SX_QUERY_CAPTURES);
        goto out;
    }
    for (uint32_t i = 0; i < ts_query_capture_count(out->query); i++) {
        uint32_t len;
        const char *name = ts_query_capture_name_for_id(out->query, i, &len);
        if (!capture_role(out, i, name)) {
            snprintf(err, errlen,
                     "E-QUERY: %s has the capture @%s, which has no meaning; nothing "
                     "was parsed; reinstall the query files",
                     path, name);
            goto out;
        }
    }
    out->name = field(grammar, "name");
    out->body = field(grammar, "body");
    out->declarator = field(grammar, "declarator");
    rc = 0;
out:
    sx_parse_memory_enter(NULL);
    if (rc < 0)
        out->query = NULL;
    free(text);
    if (file)
        fclose(file);
    return rc;
}
