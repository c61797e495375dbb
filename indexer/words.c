/* words.c: the words of a commit in memory, and what a question's words lead to; see indexer.h.
 *
 * The words are three arrays, unit behind unit, once a blob. A question goes through the hashes
 * once, past a filter that few of them pass, and notes for each unit which of its terms it holds;
 * from that come the statistics, and only the units that can be among the best are looked at
 * again. */
#include "indexer/associations.h"
#include "indexer/index_private.h"
#include "indexer/pack.h"
#include "indexer/report.h"
#include "indexer/terms.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_TERMS = 64,  /* of a question, with what they are associated with: bits of a mask */
    FILTER_BITS = 16, /* of a hash, that say where in the filter */
};
#define LEAST_WEIGHT 0.05 /* of a term, whatever the table takes off */

/* What units of a sort count, by sx_unit_sort. People ask for what is done, so for functions; other
 * definitions repeat the words of what they hold or are used by. Chosen on packages that nothing is
 * trained on (data/training/LOG.md): lines outside of definitions answer none of their questions.
 */
static const float sort_factor[] = {
    [SX_UNIT_LINES] = 0.5f, [SX_UNIT_FUNCTION] = 1, [SX_UNIT_TYPE] = 0.7f, [SX_UNIT_VALUE] = 0.7f};
/* Questions with such a word ask for that sort, which then counts in full. */
static const char *const sort_words[] = {
    [SX_UNIT_LINES] = "",
    [SX_UNIT_FUNCTION] = "",
    [SX_UNIT_TYPE] = "class struct structure union enum trait interface",
    [SX_UNIT_VALUE] = "constant variable macro property field"};

typedef struct unit {
    uint32_t start_byte, end_byte, length, sort;
    uint32_t first_word; /* up to the next unit's */
} unit;

typedef struct blob {
    int64_t id;
    size_t first_unit; /* up to the next blob's */
} blob;

typedef struct file {  /* in tree order */
    size_t path;       /* offset in paths */
    size_t first_term; /* of its path; up to the next file's */
    int64_t blob_id;
    size_t blob;
} file;

struct sx_words {
    sx_bytes paths; /* each with a NUL behind it */
    file *files;    /* [n_files + 1] */
    size_t n_files, cap_files;
    uint32_t *terms; /* of the paths */
    size_t n_terms, cap_terms;
    blob *blobs; /* [n_blobs + 1], by id */
    size_t n_blobs;
    unit *units; /* [n_units + 1] */
    size_t n_units, cap_units;
    uint32_t *hashes; /* [n_words], ascending in a unit */
    uint8_t *heads, *bodies;
    size_t n_words, cap_words;

    uint64_t n;  /* units of the commit: of each file, so a blob may count several times */
    double mean; /* of their lengths, at least 1 */
};

static int no_memory(char *err, size_t errlen)
{
    return sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for words; free some");
}

static bool resize(void **array, size_t n, size_t size)
{
    void *moved = n <= SIZE_MAX / size ? realloc(*array, n * size) : NULL;

    if (moved)
        *array = moved;
    return moved;
}

/* Room for n; what is bought in advance is given back by trim(). */
static bool grow(void **array, size_t *cap, size_t n, size_t size)
{
    size_t wanted = *cap ? *cap : 1024;

    if (n <= *cap)
        return true;
    while (wanted < n && wanted <= SIZE_MAX / 2)
        wanted *= 2;
    if (wanted < n || !resize(array, wanted, size))
        return false;
    *cap = wanted;
    return true;
}

void sx_words_free(sx_words *words)
{
    if (!words)
        return;
    sx_bytes_free(&words->paths);
    free(words->files);
    free(words->terms);
    free(words->blobs);
    free(words->units);
    free(words->hashes);
    free(words->heads);
    free(words->bodies);
    free(words);
}

/* ---- loading -------------------------------------------------------------------------------- */

static int add_file(sx_words *w, const void *path, size_t n, int64_t blob_id)
{
    size_t at = w->paths.n;
    sx_terms terms;

    if (!grow((void **)&w->files, &w->cap_files, w->n_files + 2, sizeof *w->files))
        return -ENOMEM;
    w->files[w->n_files] = (file){.path = at, .first_term = w->n_terms, .blob_id = blob_id};
    sx_bytes_put(&w->paths, path, n);
    sx_bytes_put(&w->paths, "", 1);
    if (w->paths.failed)
        return -ENOMEM;
    terms = (sx_terms){.bytes = w->paths.at + at, .n = n};
    while (sx_terms_next(&terms)) {
        if (!grow((void **)&w->terms, &w->cap_terms, w->n_terms + 1, sizeof *w->terms))
            return -ENOMEM;
        w->terms[w->n_terms++] = terms.hash;
    }
    w->files[++w->n_files] = (file){.first_term = w->n_terms};
    return 0;
}

static int load_files(sx_words *w, sx_index *index, const sx_file_list *list, char *err,
                      size_t errlen)
{
    sqlite3_stmt *row = NULL;
    int rc = sx_catalog_prepare(&row, index->catalog,
                                "SELECT path, blob FROM file WHERE id = ?1 AND skip IS NULL", err,
                                errlen);

    for (size_t i = 0; i < list->n && rc >= 0; i++) {
        sqlite3_bind_int64(row, 1, list->ids[i]);
        if ((rc = sx_catalog_step(index->catalog, row, err, errlen)) > 0 &&
            add_file(w, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0),
                     sqlite3_column_int64(row, 1)) < 0)
            rc = no_memory(err, errlen);
        sqlite3_reset(row);
    }
    sqlite3_finalize(row);
    return rc < 0 ? rc : 0;
}

static int blob_by_id(const void *pa, const void *pb)
{
    const blob *a = pa, *b = pb;

    return (a->id > b->id) - (a->id < b->id);
}

/* Which blobs the files are, each once, and tells the files. */
static int gather_blobs(sx_words *w)
{
    if (!(w->blobs = calloc(w->n_files + 1, sizeof *w->blobs)))
        return -ENOMEM;
    for (size_t i = 0; i < w->n_files; i++)
        w->blobs[i].id = w->files[i].blob_id;
    if (w->n_files)
        qsort(w->blobs, w->n_files, sizeof *w->blobs, blob_by_id);
    for (size_t i = 0; i < w->n_files; i++)
        if (w->n_blobs == 0 || w->blobs[w->n_blobs - 1].id != w->blobs[i].id)
            w->blobs[w->n_blobs++] = w->blobs[i];
    for (size_t i = 0; i < w->n_files; i++) {
        const blob key = {.id = w->files[i].blob_id};
        const blob *found = bsearch(&key, w->blobs, w->n_blobs, sizeof *w->blobs, blob_by_id);

        w->files[i].blob = (size_t)(found - w->blobs);
    }
    return 0;
}

static bool grow_words(sx_words *w, size_t n)
{
    size_t caps[] = {w->cap_words, w->cap_words, w->cap_words};

    if (n > UINT32_MAX || !grow((void **)&w->hashes, &caps[0], n, sizeof *w->hashes) ||
        !grow((void **)&w->heads, &caps[1], n, 1) || !grow((void **)&w->bodies, &caps[2], n, 1))
        return false;
    w->cap_words = caps[0];
    return true;
}

/* words: what the unit unpacks to, room for SX_UNIT_WORDS. */
static int add_units(sx_words *w, sx_word *words, const uint8_t *packed, size_t n, int64_t size)
{
    sx_unit one = {0};
    size_t at = 0;
    int rc;

    while ((rc = sx_unpack_unit(&one, words, size, packed, n, &at)) > 0) {
        if (!grow((void **)&w->units, &w->cap_units, w->n_units + 2, sizeof *w->units) ||
            !grow_words(w, w->n_words + one.n_words))
            return -ENOMEM;
        w->units[w->n_units++] = (unit){one.start_byte, one.end_byte, one.length, one.sort,
                                        (uint32_t)w->n_words};
        for (uint32_t i = 0; i < one.n_words; i++, w->n_words++) {
            w->hashes[w->n_words] = words[i].hash;
            w->heads[w->n_words] = words[i].head;
            w->bodies[w->n_words] = words[i].body;
        }
        w->units[w->n_units] = (unit){.first_word = (uint32_t)w->n_words};
    }
    return rc;
}

static int load_units(sx_words *w, sx_index *index, char *err, size_t errlen)
{
    sx_word *words = malloc(SX_UNIT_WORDS * sizeof *words);
    sqlite3_stmt *row = NULL;
    int rc = words ? sx_catalog_prepare(&row, index->catalog,
                                        "SELECT w.words, b.size FROM words w"
                                        " JOIN blob b ON b.id = w.blob WHERE w.blob = ?1",
                                        err, errlen)
                   : no_memory(err, errlen);

    for (size_t i = 0; i < w->n_blobs && rc >= 0; i++) {
        w->blobs[i].first_unit = w->n_units;
        sqlite3_bind_int64(row, 1, w->blobs[i].id);
        if ((rc = sx_catalog_step(index->catalog, row, err, errlen)) == 0) {
            rc = sx_catalog_damaged(err, errlen);
        } else if (rc > 0) {
            rc = add_units(w, words, sqlite3_column_blob(row, 0),
                           (size_t)sqlite3_column_bytes(row, 0), sqlite3_column_int64(row, 1));
            if (rc < 0)
                rc = rc == -ENOMEM ? no_memory(err, errlen) : sx_catalog_damaged(err, errlen);
        }
        sqlite3_reset(row);
    }
    w->blobs[w->n_blobs].first_unit = w->n_units;
    sqlite3_finalize(row);
    free(words);
    return rc < 0 ? rc : 0;
}

/* Gives back what grow() bought in advance; never mind if that fails. */
static void trim(sx_words *w)
{
    if (w->n_units)
        resize((void **)&w->units, w->n_units + 1, sizeof *w->units);
    if (w->n_words) {
        resize((void **)&w->hashes, w->n_words, sizeof *w->hashes);
        resize((void **)&w->heads, w->n_words, 1);
        resize((void **)&w->bodies, w->n_words, 1);
    }
}

static void take_mean(sx_words *w)
{
    double length = 0;

    for (size_t i = 0; i < w->n_files; i++) {
        const blob *b = &w->blobs[w->files[i].blob];

        w->n += b[1].first_unit - b->first_unit;
        for (size_t k = b->first_unit; k < b[1].first_unit; k++)
            length += w->units[k].length;
    }
    w->mean = w->n && length > (double)w->n ? length / (double)w->n : 1;
}

int sx_words_load(sx_words **out, sx_index *index, const sx_commit *commit, char *err,
                  size_t errlen)
{
    bool begun = sx_catalog_read_begin(index->catalog);
    sx_words *w = calloc(1, sizeof *w);
    sx_file_list *list = NULL;
    int rc;

    *out = NULL;
    if (!w) {
        rc = no_memory(err, errlen);
        goto out;
    }
    if ((rc = sx_index_list(index, commit, &list, err, errlen)) < 0 ||
        (rc = load_files(w, index, list, err, errlen)) < 0)
        goto out;
    if (gather_blobs(w) < 0) {
        rc = no_memory(err, errlen);
        goto out;
    }
    if ((rc = load_units(w, index, err, errlen)) < 0)
        goto out;
    trim(w);
    take_mean(w);
    *out = w;
    w = NULL;
out:
    sx_catalog_read_end(index->catalog, begun);
    sx_words_free(w);
    return rc;
}

/* ---- the question --------------------------------------------------------------------------- */

typedef struct question {
    uint32_t terms[MOST_TERMS]; /* hashes: its own, then those that are only associated with them */
    size_t n_terms, n_own;
    uint64_t df[MOST_TERMS];

    /* of its own */
    float told[MOST_TERMS]; /* what the table adds to the idf */
    double weight[MOST_TERMS];
    uint64_t group[MOST_TERMS];             /* itself and what is associated with it */
    float strength[MOST_TERMS][MOST_TERMS]; /* of each in the group */

    float factor[sizeof sort_factor / sizeof *sort_factor];
    uint64_t filter[(1u << FILTER_BITS) / 64];
} question;

static bool is_among(const uint32_t *hashes, size_t n, uint32_t hash)
{
    for (size_t i = 0; i < n; i++)
        if (hashes[i] == hash)
            return true;
    return false;
}

typedef struct tie { /* an association of one of the question's terms */
    sx_association other;
    size_t own, order;
} tie;

static int strongest_first(const void *pa, const void *pb)
{
    const tie *a = pa, *b = pb;

    if (a->other.strength != b->other.strength)
        return a->other.strength > b->other.strength ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* What is associated with the question's terms becomes terms too, as far as there is room. What it
 * asks for itself stands for nothing else. */
static void add_ties(question *q, tie *ties, size_t n)
{
    if (n)
        qsort(ties, n, sizeof *ties, strongest_first);
    for (size_t i = 0; i < n; i++) {
        uint32_t hash = ties[i].other.hash;
        size_t k = 0;

        while (k < q->n_terms && q->terms[k] != hash)
            k++;
        if (k < q->n_own || k == MOST_TERMS)
            continue;
        if (k == q->n_terms)
            q->terms[q->n_terms++] = hash;
        q->group[ties[i].own] |= (uint64_t)1 << k;
        q->strength[ties[i].own][k] = ties[i].other.strength;
    }
}

/* The terms of the text, each once; without those that say nothing if `telling`. */
static void take_terms(question *q, const char *text, bool telling)
{
    sx_terms terms = {.bytes = (const uint8_t *)text, .n = strlen(text)};
    tie ties[MOST_TERMS * SX_ASSOCIATIONS];
    uint32_t stop[SX_STOP_TERMS];
    size_t n_stop = telling ? sx_stop_terms(stop) : 0, n_ties = 0;

    while (q->n_own < MOST_TERMS && sx_terms_next(&terms)) {
        sx_association others[SX_ASSOCIATIONS];
        size_t k = q->n_own, n = 0;

        if (is_among(stop, n_stop, terms.hash) || is_among(q->terms, k, terms.hash))
            continue;
        q->terms[k] = terms.hash;
        q->group[k] = (uint64_t)1 << k;
        q->strength[k][k] = 1;
        if (!terms.whole)
            n = sx_associations_of(terms.term, terms.n_term, others, &q->told[k]);
        for (size_t i = 0; i < n; i++, n_ties++)
            ties[n_ties] = (tie){others[i], k, n_ties};
        q->n_terms = ++q->n_own;
    }
    add_ties(q, ties, n_ties);
}

static bool holds_term(const char *text, uint32_t hash)
{
    sx_terms terms = {.bytes = (const uint8_t *)text, .n = strlen(text)};

    while (sx_terms_next(&terms))
        if (terms.hash == hash)
            return true;
    return false;
}

/* What sorts of units count. */
static void take_factors(question *q, const char *text)
{
    for (size_t sort = 0; sort < sizeof sort_factor / sizeof *sort_factor; sort++) {
        sx_terms wanted = {.bytes = (const uint8_t *)sort_words[sort],
                           .n = strlen(sort_words[sort])};

        q->factor[sort] = sort_factor[sort];
        while (sx_terms_next(&wanted))
            if (holds_term(text, wanted.hash))
                q->factor[sort] = 1;
    }
}

static void make_filter(question *q)
{
    for (size_t i = 0; i < q->n_terms; i++) {
        uint32_t at = q->terms[i] >> (32 - FILTER_BITS);

        q->filter[at / 64] |= (uint64_t)1 << at % 64;
    }
}

/* Which of the question's terms are among the hashes, a bit for each. */
static uint64_t mask_of(const question *q, const uint32_t *hashes, size_t n)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t at = hashes[i] >> (32 - FILTER_BITS);

        if (!(q->filter[at / 64] >> at % 64 & 1))
            continue;
        for (size_t k = 0; k < q->n_terms; k++)
            if (q->terms[k] == hashes[i]) {
                mask |= (uint64_t)1 << k;
                break; /* no term is there twice */
            }
    }
    return mask;
}

/* ---- the best ------------------------------------------------------------------------------- */

typedef struct found {
    float score;
    size_t file, unit;
} found;

typedef struct best { /* a heap: the worst of the best is at[0] */
    found *at;
    size_t n, most;
} best;

/* Is a behind b in the order of what is given out? */
static bool is_worse(const found *a, const found *b)
{
    if (a->score != b->score)
        return a->score < b->score;
    return a->file != b->file ? a->file > b->file : a->unit > b->unit;
}

static void sink(best *b, size_t i)
{
    for (;;) {
        size_t worst = i, left = 2 * i + 1;
        found moved = b->at[i];

        for (size_t k = left; k < left + 2 && k < b->n; k++)
            if (is_worse(&b->at[k], &b->at[worst]))
                worst = k;
        if (worst == i)
            return;
        b->at[i] = b->at[worst];
        b->at[worst] = moved;
        i = worst;
    }
}

static void offer(best *b, found one)
{
    size_t i = b->n;

    if (b->n == b->most) {
        if (!is_worse(&b->at[0], &one))
            return;
        b->at[0] = one;
        sink(b, 0);
        return;
    }
    for (b->n++; i > 0 && is_worse(&one, &b->at[(i - 1) / 2]); i = (i - 1) / 2)
        b->at[i] = b->at[(i - 1) / 2];
    b->at[i] = one;
}

/* ---- finding -------------------------------------------------------------------------------- */

/* Where the term is in the unit, which holds it. */
static size_t word_of(const sx_words *w, size_t unit, uint32_t hash)
{
    size_t low = w->units[unit].first_word, high = w->units[unit + 1].first_word;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (w->hashes[middle] <= hash)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static double most_possible(const question *q, uint64_t mask)
{
    double sum = 0;

    for (size_t k = 0; k < q->n_own; k++)
        sum += mask & q->group[k] ? q->weight[k] : 0;
    return sum;
}

/* mask: terms of the unit; path: of its file's path. */
static float score_of(const sx_words *w, const question *q, size_t unit, uint64_t mask,
                      uint64_t path)
{
    double norm = 0.15 + 0.85 * w->units[unit].length / w->mean, score = 0, times[MOST_TERMS];

    for (uint64_t all = mask | path; all; all &= all - 1) {
        int k = __builtin_ctzll(all);

        times[k] = path >> k & 1;
        if (mask >> k & 1) {
            size_t word = word_of(w, unit, q->terms[k]);

            times[k] += w->heads[word] + w->bodies[word] / norm;
        }
    }
    for (size_t own = 0; own < q->n_own; own++) {
        double tf = 0;

        for (uint64_t all = (mask | path) & q->group[own]; all; all &= all - 1) {
            int k = __builtin_ctzll(all);

            tf += q->strength[own][k] * times[k];
        }
        score += q->weight[own] * tf / (1.5 + tf);
    }
    return (float)(score * q->factor[w->units[unit].sort]);
}

/* From df. A term that is there only by what is associated with it is as rare as that. */
static void take_weights(const sx_words *w, question *q)
{
    for (size_t own = 0; own < q->n_own; own++) {
        double df = 0, weight;

        for (uint64_t all = q->group[own]; all; all &= all - 1) {
            int k = __builtin_ctzll(all);

            df += q->strength[own][k] * (double)q->df[k];
        }
        df = fmin(df, (double)w->n);
        weight = log(1 + ((double)w->n - df + 0.5) / (df + 0.5)) + q->told[own];
        q->weight[own] = df > 0 ? fmax(weight, LEAST_WEIGHT) : 0;
    }
}

/* masks: room for a mask for every unit and, behind those, for every file. */
static void find(const sx_words *w, question *q, uint64_t *masks, best *best)
{
    uint64_t *path_masks = masks + w->n_units;

    for (size_t i = 0; i < w->n_units; i++)
        masks[i] = mask_of(q, w->hashes + w->units[i].first_word,
                           w->units[i + 1].first_word - w->units[i].first_word);
    for (size_t i = 0; i < w->n_files; i++) {
        const blob *b = &w->blobs[w->files[i].blob];

        path_masks[i] = mask_of(q, w->terms + w->files[i].first_term,
                                w->files[i + 1].first_term - w->files[i].first_term);
        for (size_t k = b->first_unit; k < b[1].first_unit; k++)
            for (uint64_t mask = masks[k] | path_masks[i]; mask; mask &= mask - 1)
                q->df[__builtin_ctzll(mask)]++;
    }
    take_weights(w, q);
    for (size_t i = 0; i < w->n_files; i++) {
        const blob *b = &w->blobs[w->files[i].blob];

        for (size_t k = b->first_unit; k < b[1].first_unit; k++) {
            uint64_t mask = masks[k] | path_masks[i];
            float factor = q->factor[w->units[k].sort];

            if (mask &&
                (best->n < best->most || most_possible(q, mask) * factor > best->at[0].score))
                offer(best, (found){score_of(w, q, k, masks[k], path_masks[i]), i, k});
        }
    }
}

int sx_words_find(const sx_words *words, const char *question_text, sx_word_hit *hits, size_t most,
                  char *err, size_t errlen)
{
    question *q = calloc(1, sizeof *q);
    uint64_t *masks = malloc((words->n_units + words->n_files + 1) * sizeof *masks);
    best best = {.most = most < words->n ? most : (size_t)words->n};
    int rc = 0;

    if (best.most > INT_MAX)
        best.most = INT_MAX;
    best.at = malloc((best.most + 1) * sizeof *best.at);
    if (!q || !masks || !best.at) {
        rc = no_memory(err, errlen);
        goto out;
    }
    take_terms(q, question_text, true);
    if (q->n_terms == 0)
        take_terms(q, question_text, false);
    take_factors(q, question_text);
    if (q->n_terms == 0 || best.most == 0)
        goto out;
    make_filter(q);
    find(words, q, masks, &best);
    rc = (int)best.n;
    double most_of_all = 0; /* of the terms that there are */
    for (size_t k = 0; k < q->n_own; k++)
        most_of_all += q->weight[k];
    while (best.n > 0) { /* the worst to the end */
        const found one = best.at[0];

        hits[--best.n] = (sx_word_hit){
            .path = (const char *)words->paths.at + words->files[one.file].path,
            .blob_id = words->files[one.file].blob_id,
            .start_byte = words->units[one.unit].start_byte,
            .end_byte = words->units[one.unit].end_byte,
            .score = (float)(one.score / most_of_all),
        };
        best.at[0] = best.at[best.n];
        sink(&best, 0);
    }
out:
    free(q);
    free(masks);
    free(best.at);
    return rc;
}
