/* output.h: replies, definitions, references and status -> text for people, or JSON.
 * Prints to the terminal it is given; opens and asks nothing. */
#ifndef SX_APP_OUTPUT_H
#define SX_APP_OUTPUT_H

#include "app/session.h"
#include "app/terminal.h"

/* Strings of JSON must be UTF-8, paths and names are bytes. In "path", "name", "scope" and "in" a
 * backslash is written as two and a byte that is no UTF-8 as \xNN, so that the bytes can be had
 * back; in "answer", "signature" and "text" such a byte becomes U+FFFD. */

/* ---- an answer, as it comes ----------------------------------------------------------------- */

typedef struct sx_answer_view {
    sx_terminal *terminal;
    uint32_t top;         /* spans in the table */
    sx_quote_kind kind;   /* what is being printed, once that is decided */
    const uint8_t *bytes; /* LINES: the quoted blob, kept alive by the reply */
    uint32_t start, next; /* LINES: the quotation's first byte; the first byte not printed yet */
    uint32_t line;        /* LINES: number of the next line */
    size_t n_text;        /* NONE: bytes of the text that are out */
    bool open_line;       /* NONE: the last line has no newline yet */
} sx_answer_view;
void sx_answer_view_read(sx_answer_view *view, const sx_reply *reply); /* spans are known */
void sx_answer_view_text(sx_answer_view *view, const sx_reply *reply); /* text has grown */
void sx_answer_view_end(sx_answer_view *view, const sx_reply *reply, const sx_engine_info *model);

/* One line: the object of `ask --json`. False if memory is short. */
bool sx_output_reply_json(FILE *file, const sx_reply *reply, const char *question,
                          const char *repository, const char *commit, const sx_engine_info *model,
                          uint32_t top);

/* ---- definitions and references ------------------------------------------------------------- */

typedef struct sx_place { /* of a definition or a reference; strings are the caller's */
    const char *path, *name, *scope, *kind;
    uint32_t start_byte, end_byte, start_line, end_line;
    const uint8_t *line; /* the source line or signature, n_line bytes */
    size_t n_line;
} sx_place;
void sx_output_definition(sx_terminal *terminal, const sx_place *place);
void sx_output_reference(sx_terminal *terminal, const sx_place *place);
bool sx_output_definitions_json(FILE *file, const sx_place *places, size_t n);
bool sx_output_references_json(FILE *file, const sx_place *places, size_t n);

/* ---- status and index ----------------------------------------------------------------------- */

typedef struct sx_overview { /* of one commit of one repository */
    const char *repository;
    const char *directory; /* of the index */
    const sx_commit *commit;
    const sx_index_status *status; /* NULL: the commit is not indexed */
    const sx_engine_info *model;
    double index_ms; /* `index`: how long it took; negative: not said */
} sx_overview;
void sx_output_overview(sx_terminal *terminal, const sx_overview *overview);
bool sx_output_overview_json(FILE *file, const sx_overview *overview);

#endif
