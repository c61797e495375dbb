"""The lexical channel, as indexer/words.c has it: the words of a repository's units, and BM25F over them (Robertson, Zaragoza and
Taylor 2004), with a table of what the words of questions are called in code (associate.py). A unit is a definition's own text
without the definitions inside it, or 40 lines outside of all definitions.
Standard library only; test_training.py holds the expectations that the C test has too."""
import collections, math, os, re
import questions as Qs
from units import DOC0, DOC1, END, HEAD, KIND, NAME0, NAME1, PARENT, START

RUN = re.compile(rb"[A-Za-z0-9_\x80-\xff]+")
PIECE = re.compile(rb"[A-Z]+(?=[A-Z][a-z\x80-\xff])|[A-Z]?[a-z\x80-\xff]+|[A-Z]+|[0-9]+")
NAME, SIGNATURE, PATH, K1, B, FLOOR, LINES = 8, 2, 1, 1.5, 0.85, 0.05, 40
MOST_TERMS, TABLE = 64, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "associations.txt")
LINES_SORT, FUNCTION, TYPE, VALUE = range(4)           # of units; what each counts, and the words that ask for it
FACTORS = (0.5, 1, 0.7, 0.7)
SORT_WORDS = ("", "", "class struct structure union enum trait interface", "constant variable macro property field")
STOP = Qs.STOP_WORDS | set("where what which how why who when there here code function method class find".split())


def stem(w):
    """A light one: plural, -ing, -ed, final e"""
    if len(w) < 4:
        return w
    if w.endswith(b"ies") and len(w) > 4:
        w = w[:-3] + b"y"
    elif w.endswith(b"sses"):
        w = w[:-2]
    elif w.endswith(b"es") and len(w) > 4 and w[-3] in b"sxzh":
        w = w[:-2]
    elif w.endswith(b"s") and w[-2] not in b"sui":
        w = w[:-1]
    cut = 3 if w.endswith(b"ing") and len(w) > 5 else 2 if w.endswith(b"ed") and len(w) > 4 else 0
    if cut:
        w = w[:-cut]
        if len(w) > 3 and w[-1] == w[-2] and w[-1] not in b"lsz":
            w = w[:-1]
    return w[:-1] if w.endswith(b"e") and len(w) > 3 else w


def terms(data):
    """bytes -> terms: the stemmed pieces of every run, and runs of several pieces as a whole (with = in front)"""
    out = []
    for m in RUN.finditer(data):
        pieces = PIECE.findall(m.group(0))
        for p in pieces:
            if len(p) > 1 or p.isdigit():
                out.append(stem(p.lower()))
        if len(pieces) > 1:
            out.append(b"=" + m.group(0).lower())
    return out


STOP_TERMS = {stem(w.encode()) for w in STOP}
SORT_TERMS = [set(terms(row.encode())) for row in SORT_WORDS]


def sort_of(kind):
    return FUNCTION if kind in ("function", "method") else VALUE if kind in ("constant", "variable", "property", "macro") else TYPE


def associations(path=TABLE):
    """-> {term: (what to add to its idf, [(term that stands for it in code, strength)])}"""
    out = {}
    with open(path, "rb") as f:
        for line in f:
            row = line.split()
            out[row[0]] = int(row[1]) / 100, [(t, int(s) / 100) for t, s in zip(row[2::2], row[3::2])]
    return out


def units(f, gone=()):
    """A data.File -> [(start, end, definition or -1, head terms {term: weight}, body terms)]. gone: definitions whose comment was taken out."""
    data, defs, out = f.data, f.defs, []
    extent = []                                        # with the comment in front
    for d in defs:
        front = d[DOC0] < d[DOC1] <= d[START]
        extent.append((d[DOC0] if front else d[START], d[END]))
    inside = collections.defaultdict(list)
    for i, d in enumerate(defs):
        inside[d[PARENT]].append(i)

    def rest(start, end, children, also=()):
        """[start, end) without children and the ranges `also`"""
        cuts, at, parts = sorted([extent[k] for k in children] + list(also)) + [(end, end)], start, []
        for a, b in cuts:
            if a > at:
                parts.append((at, min(a, end)))
            at = max(at, b)
        return parts
    for i, d in enumerate(defs):
        head = collections.Counter()
        for t in terms(data[d[NAME0]:d[NAME1]]):
            head[t] += NAME
        signature = max(d[START], d[HEAD])
        for t in terms(data[d[START]:signature]):
            head[t] += SIGNATURE
        if d[DOC1] > d[DOC0] and i not in gone:
            for t in terms(data[d[DOC0]:d[DOC1]]):
                head[t] += 1
        k = d[PARENT]
        while k >= 0:
            for t in terms(data[defs[k][NAME0]:defs[k][NAME1]]):
                head[t] += 1
            k = defs[k][PARENT]
        doc = [(d[DOC0], d[DOC1])] if d[START] <= d[DOC0] < d[DOC1] else []
        body = [t for a, b in rest(signature, d[END], inside[i], doc) for t in terms(data[a:b])]
        out.append((d[START], d[END], i, head, body))
    for a, b in rest(0, len(data), inside[-1]):
        lines = data[a:b].splitlines(keepends=True)
        for n in range(0, len(lines), LINES):
            text = b"".join(lines[n:n + LINES])
            if text.strip():
                start = a + sum(map(len, lines[:n]))
                out.append((start, start + len(text), -1, {}, terms(text)))
    return out


class Words:
    """The units of some files, to be searched. self.units: (file number, start, end, definition)"""

    def __init__(self, files, gone=None, table=None):
        """gone: {number of the file: definitions whose comment was taken out}"""
        self.units, self.places, self.sorts, length, rows = [], collections.defaultdict(list), [], [], []
        self.table = associations() if table is None else table
        for n, f in enumerate(files):
            path = set(terms(f.path.encode()))
            for start, end, i, head, body in units(f, (gone or {}).get(n, ())):
                self.units.append((n, start, end, i))
                self.sorts.append(sort_of(f.defs[i][KIND]) if i >= 0 else LINES_SORT)
                rows.append((head, body, path))
                length.append(len(body))
        mean = max(1.0, sum(length) / max(1, len(length)))
        for u, (head, body, path) in enumerate(rows):
            tf = collections.Counter(path and dict.fromkeys(path, PATH))
            for t, w in head.items():
                tf[t] += min(255, w)
            for t, w in collections.Counter(body).items():
                tf[t] += min(255, w) / (1 - B + B * length[u] / mean)
            for t, w in tf.items():
                self.places[t].append((u, w))

    def asked(self, question):
        """-> [(weight, {term: strength})]: each term with what is associated with it"""
        found = list(dict.fromkeys(terms(question.encode())))
        own = ([t for t in found if t not in STOP_TERMS] or found)[:MOST_TERMS]
        groups, room = [{t: 1.0} for t in own], MOST_TERMS - len(own)
        ties = [(-s, k, other) for k, t in enumerate(own) for other, s in self.table.get(t, (0, ()))[1]]
        taken = set()
        for s, k, other in sorted(ties, key=lambda x: x[:2]):
            if other not in own and (other in taken or len(taken) < room):
                taken.add(other)
                groups[k][other] = -s
        out, n = [], len(self.units)
        for t, group in zip(own, groups):
            df = min(n, sum(s * len(self.places.get(other, ())) for other, s in group.items()))
            out.append((max(FLOOR, math.log(1 + (n - df + 0.5) / (df + 0.5)) + self.table.get(t, (0, ()))[0]) if df > 0 else 0.0, group))
        return out

    def find(self, question, most):
        """-> [(unit, score from 0 to 1)], best first"""
        score, asked = collections.Counter(), self.asked(question)
        said = set(terms(question.encode()))
        factor = [1 if said & SORT_TERMS[k] else FACTORS[k] for k in range(len(FACTORS))]
        for weight, group in asked:
            tf = collections.Counter()
            for t, s in group.items():
                for u, w in self.places.get(t, ()):
                    tf[u] += s * w
            for u, w in tf.items():
                score[u] += weight * w / (K1 + w)
        total = sum(weight for weight, _ in asked)
        out = [(u, s * factor[self.sorts[u]] / total) for u, s in score.items()]
        return sorted(out, key=lambda x: (-x[1], x[0]))[:most]
