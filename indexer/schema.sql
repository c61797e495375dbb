-- schema.sql: what the catalogue holds. Everything is derived from the repository and may be deleted.
-- A change here, or to anything that is derived (rules of blob.c, queries, segments), raises
-- SX_CATALOG_VERSION in catalog.h: a catalogue of an older version is set aside and rebuilt.
--
-- Invariants: "-- In:" says one, the lines "-->" below it are the query that finds what breaks it.
-- sx_index_verify() reads them from this text and runs them all; each must return no row.

-- What cuts bytes into tokens and segments (sx_text_model).
CREATE TABLE text_model (
    id          INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE
);

-- A content read as one language ('' for plain text). The definitions are its own.
CREATE TABLE blob (
    id            INTEGER PRIMARY KEY,
    oid           BLOB NOT NULL,
    language      TEXT NOT NULL,
    size          INTEGER NOT NULL,
    plain         TEXT,             -- why it was taken as plain text all the same ('deadline', ...)
    has_errors    INTEGER NOT NULL, -- the syntax tree had errors
    n_definitions INTEGER NOT NULL,
    n_references  INTEGER NOT NULL,
    UNIQUE (oid, language)
);
-- I1: an object id has 20 bytes
--> SELECT id FROM blob WHERE length(oid) <> 20;

-- Identifiers: what definitions are called and references call.
CREATE TABLE name (
    id    INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL UNIQUE
);

CREATE TABLE definition (
    blob          INTEGER NOT NULL REFERENCES blob,
    ordinal       INTEGER NOT NULL, -- by start_byte, outer before inner
    name          INTEGER NOT NULL REFERENCES name,
    kind          TEXT NOT NULL,
    parent        INTEGER,          -- ordinal of the innermost definition around it
    start_byte    INTEGER NOT NULL, end_byte INTEGER NOT NULL,
    name_start    INTEGER NOT NULL, name_end INTEGER NOT NULL,
    doc_start     INTEGER NOT NULL, doc_end  INTEGER NOT NULL, -- equal: none
    signature_end INTEGER NOT NULL,
    start_line    INTEGER NOT NULL, end_line INTEGER NOT NULL,
    PRIMARY KEY (blob, ordinal)
) WITHOUT ROWID;
CREATE INDEX definition_by_name ON definition (name);
-- I2: the definitions of a blob are numbered from 0 without a gap, and counted
--> SELECT b.id FROM blob b LEFT JOIN definition d ON d.blob = b.id GROUP BY b.id
-->  HAVING count(d.blob) <> b.n_definitions OR coalesce(max(d.ordinal), -1) <> b.n_definitions - 1;
-- I3: a definition lies in its blob, holds its name and its signature
--> SELECT d.blob FROM definition d JOIN blob b ON b.id = d.blob
-->  WHERE NOT (d.start_byte < d.end_byte AND d.end_byte <= b.size AND d.name_start < d.name_end
-->    AND d.name_end <= b.size AND d.doc_start <= d.doc_end AND d.doc_end <= b.size
-->    AND d.signature_end BETWEEN d.start_byte AND d.end_byte AND d.start_line BETWEEN 1 AND d.end_line);
-- I4: the parent of a definition stands before it and around it
--> SELECT d.blob FROM definition d LEFT JOIN definition p ON p.blob = d.blob AND p.ordinal = d.parent
-->  WHERE d.parent IS NOT NULL AND NOT (p.ordinal IS NOT NULL AND d.parent < d.ordinal
-->    AND p.start_byte <= d.start_byte AND d.end_byte <= p.end_byte);

-- Where a name is used in a blob: n places, packed (pack.h).
CREATE TABLE reference (
    name   INTEGER NOT NULL REFERENCES name,
    blob   INTEGER NOT NULL REFERENCES blob,
    n      INTEGER NOT NULL,
    places BLOB NOT NULL,
    PRIMARY KEY (name, blob)
) WITHOUT ROWID;
-- I5: the references of a blob are counted
--> SELECT b.id FROM blob b LEFT JOIN (SELECT blob, sum(n) AS n FROM reference GROUP BY blob) r
-->  ON r.blob = b.id WHERE coalesce(r.n, 0) <> b.n_references;

-- A path with a content: in the context (blob) or not (skip). kind: tree.h, 0 file, 1 symbolic link,
-- 2 submodule, 3 directory.
CREATE TABLE file (
    id    INTEGER PRIMARY KEY,
    path  BLOB NOT NULL,
    oid   BLOB NOT NULL,
    kind  INTEGER NOT NULL,
    skip  TEXT,
    class INTEGER NOT NULL,
    size  INTEGER NOT NULL,
    blob  INTEGER REFERENCES blob,
    UNIQUE (path, oid, kind)
);
CREATE INDEX file_by_blob ON file (blob) WHERE blob IS NOT NULL;
-- I6: a file has either a blob or a reason why not
--> SELECT id FROM file WHERE (skip IS NULL) <> (blob IS NOT NULL);
-- I7: a file's blob has its content
--> SELECT f.id FROM file f JOIN blob b ON b.id = f.blob WHERE f.oid <> b.oid OR f.size <> b.size OR f.kind <> 0;

-- A file cut for a text model: its segments are first_segment, first_segment + 1, ...
CREATE TABLE cut (
    file          INTEGER NOT NULL REFERENCES file,
    text          INTEGER NOT NULL REFERENCES text_model,
    first_segment INTEGER NOT NULL REFERENCES segment,
    n_segments    INTEGER NOT NULL,
    n_tokens      INTEGER NOT NULL,
    n_blocks      INTEGER NOT NULL,
    PRIMARY KEY (file, text)
) WITHOUT ROWID;
CREATE TABLE segment (
    id         INTEGER PRIMARY KEY,
    file       INTEGER NOT NULL REFERENCES file,
    ordinal    INTEGER NOT NULL,
    n_tokens   INTEGER NOT NULL, -- header included
    n_blocks   INTEGER NOT NULL,
    byte_start INTEGER NOT NULL, byte_end INTEGER NOT NULL,
    blocks     BLOB NOT NULL     -- packed (pack.h)
);
-- Apart from segment, so that going through a context does not read them.
CREATE TABLE segment_tokens (
    segment INTEGER PRIMARY KEY REFERENCES segment,
    tokens  BLOB NOT NULL        -- packed (pack.h)
);
-- I8: the segments of a cut belong to its file, are numbered from 0, and add up
--> SELECT c.file FROM cut c LEFT JOIN segment s
-->  ON s.id >= c.first_segment AND s.id < c.first_segment + c.n_segments
-->  GROUP BY c.file, c.text HAVING count(s.id) <> c.n_segments OR c.n_segments < 1
-->    OR sum(s.n_tokens) <> c.n_tokens OR sum(s.n_blocks) <> c.n_blocks
-->    OR max(s.file <> c.file OR s.ordinal <> s.id - c.first_segment);
-- I9: every segment belongs to a cut
--> SELECT 1 WHERE (SELECT count(*) FROM segment) <> (SELECT coalesce(sum(n_segments), 0) FROM cut);
-- I10: the segments of a cut tile the file
--> SELECT c.file FROM cut c JOIN file f ON f.id = c.file JOIN segment s
-->  ON s.id >= c.first_segment AND s.id < c.first_segment + c.n_segments
-->  GROUP BY c.file, c.text HAVING min(s.byte_start) <> 0 OR max(s.byte_end) <> f.size
-->    OR sum(s.byte_end - s.byte_start) <> f.size OR max(s.byte_start >= s.byte_end);
-- I11: every segment has its tokens
--> SELECT s.id FROM segment s LEFT JOIN segment_tokens t ON t.segment = s.id
-->  WHERE coalesce(length(t.tokens), 0) NOT IN (1 + 2 * s.n_tokens, 1 + 4 * s.n_tokens);
-- I12: tokens belong to a segment
--> SELECT segment FROM segment_tokens WHERE segment NOT IN (SELECT id FROM segment);

-- A commit as seen through a text model. files: ids in tree order, packed (pack.h).
CREATE TABLE revision (
    id            INTEGER PRIMARY KEY,
    oid           BLOB NOT NULL,
    text          INTEGER NOT NULL REFERENCES text_model,
    complete      INTEGER NOT NULL,
    damaged       INTEGER NOT NULL,
    used          INTEGER NOT NULL, -- counts up; the lists used last are kept
    n_files       INTEGER NOT NULL,
    n_skipped     INTEGER NOT NULL,
    n_bytes       INTEGER NOT NULL,
    n_tokens      INTEGER NOT NULL,
    n_segments    INTEGER NOT NULL,
    n_blocks      INTEGER NOT NULL,
    n_definitions INTEGER NOT NULL,
    n_references  INTEGER NOT NULL,
    files         BLOB,
    UNIQUE (oid, text)
);
-- I13: a complete commit has its list, another has none
--> SELECT id FROM revision WHERE complete <> (files IS NOT NULL) OR length(oid) <> 20;
-- I14: (checked by sx_index_verify) the ids of the list exist, are n_files + n_skipped, and each file
--      that is in the context is cut for the revision's text model

-- Where the rows of a segment lie in the slabs of a model (design.md section 4).
CREATE TABLE model (
    id          INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    layers      INTEGER NOT NULL
);
CREATE TABLE extent (
    model        INTEGER NOT NULL REFERENCES model,
    segment      INTEGER NOT NULL REFERENCES segment,
    landmark_row INTEGER NOT NULL,
    kv_row       INTEGER,           -- NULL: not kept
    PRIMARY KEY (model, segment)
) WITHOUT ROWID;
-- I15: extents of a slab do not overlap
--> SELECT 1 FROM (SELECT e.landmark_row + s.n_blocks * m.layers AS behind, e.landmark_row AS row,
-->    lead(e.landmark_row) OVER (PARTITION BY e.model ORDER BY e.landmark_row) AS next
-->    FROM extent e JOIN segment s ON s.id = e.segment JOIN model m ON m.id = e.model)
-->  WHERE behind > next OR row < 0;
--> SELECT 1 FROM (SELECT e.kv_row + s.n_tokens * m.layers AS behind, e.kv_row AS row,
-->    lead(e.kv_row) OVER (PARTITION BY e.model ORDER BY e.kv_row) AS next
-->    FROM extent e JOIN segment s ON s.id = e.segment JOIN model m ON m.id = e.model
-->    WHERE e.kv_row IS NOT NULL)
-->  WHERE behind > next OR row < 0;

-- The units of a blob with their words, packed (units.h, pack.h): what a question's words are looked
-- for in. Empty where a blob has none.
CREATE TABLE words (
    blob  INTEGER PRIMARY KEY REFERENCES blob,
    words BLOB NOT NULL
);
-- I16: every blob has its words
--> SELECT id FROM blob WHERE id NOT IN (SELECT blob FROM words);
-- I17: (checked by sx_index_verify) words unpack, and their units lie in the blob
