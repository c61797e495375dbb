"""Shards -> tokens -> training sequences: context segments, then questions with the blocks that answer them."""
import bisect, re, zlib
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import asked, controls as C, docs, questions as Qs, shards
from tokens import Tokenizer
from units import DOC0, DOC1, END, HEAD, KIND, NAME0, NAME1, PARENT, START, line_start, whole_lines

SEGMENT, BLOCK, TINY, HEADER = 1536, 64, 8, 64
GOLD = 8                                        # at most this many blocks answer one question
PATH, TOGETHER = 24, 5                          # what a block is read with: so many tokens of its path; so many blocks, one of the definition around (app/passages.c)
SMALL = {"constant", "variable", "property", "macro", "type"}
TYPES = ("named", "meaning", "explain", "needle", "callers", "words", "inner", "message", "absent", "task", "asked")
SHARE = dict(named=.04, meaning=.34, explain=.03, needle=.03, callers=.05, words=.05, inner=.05, message=.03, absent=.03, task=.15, asked=.20)
ANSWERED = dict(named=.7, meaning=.35, explain=1, needle=1, callers=1, words=.1, inner=.1, message=.3, absent=1, task=1, asked=.3)
TO_READ = ("meaning", "asked", "callers", "inner", "absent")
MARKS = {"python": "# ", "ruby": "# ", "bash": "# ", "lua": "-- "}
CALL = re.compile(rb"\b([A-Za-z_]\w{3,})\s*\(")
LITERAL = re.compile(rb'"((?:[^"\\\n]|\\.){14,160})"|(?<![\w"])\'((?:[^\'\\\n]|\\.){14,160})\'')
INNER = {"hash": re.compile(rb"(?m)^[ \t]+#(?!!)[^\n]*\n(?:[ \t]+#[^\n]*\n)*"), "dash": re.compile(rb"(?m)^[ \t]+--(?!\[)[^\n]*\n(?:[ \t]+--[^\n]*\n)*"),
         "slash": re.compile(rb"(?m)^[ \t]+//[^\n]*\n(?:[ \t]+//[^\n]*\n)*|^[ \t]+/\*[^*]*(?:\*(?!/)[^*]*)*\*/[ \t]*\n")}


def cut_segments(n, boundaries, segment=SEGMENT):
    """[0, n) -> [(start, end)]: at most `segment` tokens, cut at the last boundary in the second half."""
    out, s = [], 0
    while s < n:
        e = min(s + segment, n)
        if e < n:
            i = bisect.bisect_right(boundaries, e)
            if i and boundaries[i - 1] > s + segment // 2:
                e = boundaries[i - 1]
        out.append((s, e))
        s = e
    return out


def cut_blocks(n, boundaries, block=BLOCK, tiny=TINY):
    """Block starts inside a segment of n tokens, as the engine cuts them."""
    starts, out = sorted({0} | {b for b in boundaries if 0 < b < n}), []
    for b, following in zip(starts, starts[1:] + [n]):
        if out and out[-1] != 0 and b - out[-1] < tiny and following - out[-1] <= block:
            continue
        out += range(b, following, block)
    return out


def boundaries(data, definitions):
    """[n, 2]: where a block may start because of a definition, with its comment and without it; -1: nowhere (the engine's rule)"""
    out = np.full((len(definitions), 2), -1, np.int32)
    for i, d in enumerate(definitions):
        small = d[KIND] in SMALL and b"\n" not in data[d[START]:d[END]]
        if d[DOC0] < d[DOC1] <= d[START]:
            out[i, 0] = line_start(data, d[DOC0])
        elif not small:
            out[i, 0] = line_start(data, d[START])
        if not small:
            out[i, 1] = line_start(data, d[START])
    return out


class File:
    """One source file: bytes, tokens and definitions; all positions are bytes, ends[] leads from bytes to tokens."""
    __slots__ = ("repo", "path", "lang", "data", "ids", "ends", "header", "defs", "bounds", "segments", "key")

    def __init__(self, record, tokenizer):
        self.repo, self.path, self.lang, self.data = record["repo"], record["path"], record["lang"], record["text"].encode()
        self.ids, self.ends = tokenizer.with_ends(record["text"])
        self.header = np.array([C.FILE] + tokenizer.ids(self.path + "\n")[:HEADER - 1], np.uint16)
        self.defs, self.bounds = record["defs"], boundaries(self.data, record["defs"])
        self.segments = cut_segments(len(self.ids), sorted({self.token(b) for b in self.bounds[:, 0] if b > 0}))
        self.key = number((self.repo + "/" + self.path).encode())

    def token(self, byte):
        """The token that holds a byte"""
        return int(np.searchsorted(self.ends, byte, side="right"))

    def tokens_of(self, a, b):
        """The tokens that hold bytes of [a, b): a mark and the end of its line are one, so the last may reach further. -> first, behind the last"""
        return self.token(a), self.token(b - 1) + 1

    def name(self, d):
        return self.data[d[NAME0]:d[NAME1]].decode("utf-8", "replace")


def number(name):
    """A name as a number above 0: what blocks and questions are compared by"""
    return zlib.crc32(name) & 0x7fffffff or 1


def _load(job):
    name, tokenizer = job
    t = Tokenizer(tokenizer)
    return [File(r, t) for r in shards.read(name)]


def load(names, tokenizer, workers=12):
    """Shards -> [File], repository after repository"""
    if workers < 2 or len(names) < 2:
        return [f for n in names for f in _load((n, tokenizer))]
    with ProcessPoolExecutor(workers) as pool:
        return [f for part in pool.map(_load, [(n, tokenizer) for n in names]) for f in part]


class Piece:
    """A segment as it stands in a sequence: tokens, block starts, and where the bytes of the file went."""

    def __init__(self, file, s, e, remove=(), shortened=()):
        """remove: token ranges of the file that are left out; shortened: numbers of definitions that keep a part of their comment"""
        keep = np.ones(e - s, bool)
        for a, b in remove:
            keep[max(0, a - s):max(0, b - s)] = False
        h = len(file.header)
        self.place = np.concatenate([[0], np.cumsum(keep)]) + h      # token of the file - s -> token here
        self.tokens = np.concatenate([file.header, file.ids[s:e][keep]])
        self.file, self.s, self.e, self.hidden = file, s, e, []
        gone = {a for a, _ in remove}
        self.marks = set()
        for i, (with_doc, without) in enumerate(file.bounds):
            if with_doc < 0 and without < 0:
                continue
            t = file.token(with_doc) if with_doc >= 0 else -1
            if t in gone and i not in shortened:
                t = file.token(without) if without >= 0 else -1
            if s <= t < e:
                self.marks.add(int(self.place[t - s]))

    def hide(self, ids, own_block, rng):
        """Puts a line at the start of a random line; self.hidden[-1] says where, [first token, last token]."""
        h, n = len(self.file.header), len(ids)
        ends = np.flatnonzero(np.isin(self.tokens[h:-1], Piece.newlines)) + h + 1
        at = int(rng.choice(ends.tolist() or [h]))
        self.tokens = np.concatenate([self.tokens[:at], np.array(ids, self.tokens.dtype), self.tokens[at:]])
        self.place = np.where(self.place >= at, self.place + n, self.place)
        self.marks = {m + n if m >= at else m for m in self.marks}
        if own_block:
            self.marks |= {at, at + n}
        self.hidden = [[a + n, b + n] if a >= at else [a, b] for a, b in self.hidden] + [[at, at + n - 1]]

    def finish(self, room=10**9):
        """Cuts to `room` tokens and into blocks; last."""
        self.tokens = self.tokens[:room]
        self.n = len(self.tokens)
        self.starts = cut_blocks(self.n, self.marks)
        self.block = np.zeros(self.n, np.int32)
        self.block[self.starts[1:]] = 1
        self.block = np.cumsum(self.block)
        return self

    newlines = None                              # ids of tokens that end a line: learn_newlines()

    def span(self, d, hidden, high):
        """The blocks here of a definition of which [.., high) is here: from its doc comment in front, if that was left in, which is
        where the engine lets a definition begin. -> first, last; (-1, -1) if it does not begin here"""
        front = not hidden and d[DOC0] < d[DOC1] <= d[START]
        b0, b1 = self.at(d[DOC0]) if front else -1, self.at(min(d[END], high) - 1, True)
        if b0 < 0:
            b0 = self.at(d[START])
        return (b0, b1) if 0 <= b0 <= b1 else (-1, -1)

    def at(self, byte, end=False):
        """The block here of a byte of the file, or -1 if it is not here"""
        t = self.file.token(byte) - self.s
        if not 0 <= t < self.e - self.s:
            return -1
        p = int(self.place[t])
        return int(self.block[min(p, self.n - 1)]) if p < self.n or end else -1


def learn_newlines(tok):
    probe = [tok.ids(t) for t in ("x\ny", "x\n\ny", "x\n\n\ny", ";\n", "{\n", "}\n", ")\n", ",\n", " {\n", ");\n", ":\n", "();\n", "*/\n", " \n", "\t\n")]
    Piece.newlines = np.array(sorted({i for ids in probe for i in ids if tok.decode([i]).endswith("\n")}), np.uint16)


def owners(spans, starts, n):
    """Whose each of n blocks is: spans [(first, last block)] of definitions that start at bytes `starts` -> [n] number of the definition, or -1.
    One that begins in a block owns it, else the innermost around its start (app/ranking.h)"""
    owner = np.full(n, -1, np.int64)
    for i in sorted(range(len(spans)), key=lambda i: spans[i][0] - spans[i][1]):
        owner[spans[i][0]:spans[i][1] + 1] = i
    for i in sorted(range(len(spans)), key=lambda i: -starts[i]):
        owner[spans[i][0]] = i
    return owner


def begins(pieces):
    """pieces: (Piece, its first block, ..) -> {(id of a file, number of a definition): the block that it starts in, behind a comment in front}"""
    out = {}
    for piece, nb, *_ in pieces:
        f = piece.file
        low, high = int(f.ends[piece.s - 1]) if piece.s else 0, int(f.ends[piece.e - 1])
        for i, d in enumerate(f.defs):
            b = piece.at(d[START]) if low <= d[START] < high else -1
            if b >= 0:
                out[id(f), i] = nb + b
    return out


def path_tokens(at, header):
    """Of a header of so many tokens from token `at` on, those that a block is read with -> the first, how many"""
    return at + max(0, header - PATH), min(header, PATH)


def together(owner, around, low, high):
    """The blocks that each of the blocks [low, high) of a segment is read with, itself among them: that of the definition around its owner
    (around: {owner: block}), then its owner's first, in the order of the file -> [high - low, TOGETHER] numbers, -1 where there are fewer"""
    out = np.full((high - low, TOGETHER), -1, np.int64)
    first = low
    for b in range(low, high):
        if b == low or owner[b] < 0 or owner[b] != owner[b - 1]:
            first, end = b, b + 1
            while owner[b] >= 0 and end < high and owner[end] == owner[b]:
                end += 1
        mine = list(range(first, min(end, first + TOGETHER - 1)))
        if b not in mine:
            mine[-1] = b
        outer = around.get(int(owner[b]), -1)
        out[b - low, 1:1 + len(mine)] = mine
        if outer >= 0 and outer not in mine:
            out[b - low, 0] = outer
    return out


def comment_ranges(f, s, e, rng, share, part=0.0):
    """Takes comments of some definitions of a segment out, or (a share `part` of them) their first sentence
    -> token ranges; {number of a definition: None, or the sentence that went}"""
    ranges, gone = [], {}
    low, high = int(f.ends[s - 1]) if s else 0, int(f.ends[e - 1])
    for i, d in enumerate(f.defs):
        if d[DOC1] > d[DOC0] and low <= d[DOC0] and d[DOC1] <= high and low <= d[START] < high and rng.random() < share:
            a, b = (line_start(f.data, d[DOC0]), line_start(f.data, d[START])) if d[DOC1] <= d[START] else whole_lines(f.data, d[DOC0], d[DOC1])
            if b <= d[DOC0] or (d[DOC1] <= d[START] and f.data[d[DOC1]:b].strip() and b - d[DOC1] > 200):
                b = d[DOC1]
            sentence = None
            if part and rng.random() < part:
                some = docs.first_sentence(f.data[d[DOC0]:d[DOC1]].decode("utf-8", "replace"), f.name(d))
                if some:
                    a, b, sentence = d[DOC0] + some[0], d[DOC0] + some[1], some[2]
            a, b = f.tokens_of(a, b) if sentence is None else (f.token(a), f.token(b))
            if s <= a < b <= e:
                ranges.append((a, b))
                gone[i] = sentence
    return ranges, gone


def blank(c):
    """A sequence with nothing in it"""
    L, LC, NB, NQ = c.L, c.LC, c.NB, c.NQ
    return dict(T=np.zeros(L, np.int32), y=np.zeros(L, np.int32), w=np.zeros(L, np.float32), seg=np.full(L, -1, np.int32), pos=np.zeros(L, np.int32), blk=np.full(L, NB - 1, np.int32),
                gold=np.full((NQ, GOLD), -1, np.int32), apos=np.full(NQ, -1, np.int32), qof=np.full(L - LC, -1, np.int32), aim=np.full((L - LC, 2), -1, np.int32), qtype=np.zeros(NQ, np.int32),
                qkey=np.full((NQ, 3), -1, np.int32), bkey=np.zeros((NB, 4), np.int32), path=np.zeros((NB, 2), np.int32), together=np.full((NB, TOGETHER), -1, np.int32))


class Builder:
    """Makes groups of sequences: c.L tokens a sequence, the first c.LC of them context; c.NB blocks; c.NQ questions at most."""

    def __init__(self, files, tokenizer, rng, c):
        """c: settings.Settings"""
        self.asked, self.asked_in = asked.of(files) if c.asked else {}, {}     # {file: {definition: questions}}
        self.wanted = sorted(self.asked)
        for i in self.wanted:
            self.asked_in.setdefault(files[i].repo, []).append(i)
        self.files, self.rng, self.c = files, rng, c
        self.tok = Tokenizer(tokenizer)
        self.segments, self.repos, self.first = [], {}, []
        for i, f in enumerate(files):
            self.first.append(len(self.segments))
            for s, e in f.segments:
                self.repos.setdefault(f.repo, []).append(len(self.segments))
                self.segments.append((i, s, e))
        self.names = sorted(self.repos)
        self.weights = [len(self.repos[r]) ** 0.75 for r in self.names]
        learn_newlines(self.tok)

    def neighbours(self, budget):
        """Yields segment numbers: runs of neighbours of one repository, without repeating, then of others."""
        rng = self.rng
        while True:
            if rng.random() < self.c.repository:
                mine = self.repos[rng.choices(self.names, self.weights)[0]]
                step = 6
                order = list(range(0, len(mine), step))
                rng.shuffle(order)
                for o in order[:max(1, budget // (step * 1000))]:
                    yield from mine[o:o + step]
            else:
                for _ in range(8):
                    first = rng.randrange(len(self.segments))
                    for k in range(first, min(first + rng.choice((2, 4, 8, 12)), len(self.segments))):
                        yield k

    def runs(self, budget):
        """Yields segment numbers: neighbours(), and between them files that people's questions are about (asked.py), of the repository
        that is at hand where it has some, so that what is near is what must be told apart."""
        rng, plain = self.rng, self.neighbours(budget)
        while True:
            for _ in range(6):
                k = next(plain)
                yield k
            if self.asked and rng.random() < self.c.asked:
                i = rng.choice(self.asked_in.get(self.files[self.segments[k][0]].repo) or self.wanted)
                yield from range(self.first[i], self.first[i] + len(self.files[i].segments))

    def removals(self, f, s, e):
        """-> what is taken out of a segment: token ranges; documented definitions whose comment goes; inner comments that go"""
        rng, inner = self.rng, []
        ranges, gone = comment_ranges(f, s, e, rng, self.c.strip, self.c.part)
        low, high = int(f.ends[s - 1]) if s else 0, int(f.ends[e - 1])
        pattern = INNER["hash" if f.lang in ("python", "ruby", "bash") else "dash" if f.lang == "lua" else "slash"]
        functions = [(d[START], d[END], i) for i, d in enumerate(f.defs) if d[KIND] in ("function", "method") and d[END] > low and d[START] < high]
        if functions:
            first = [x[0] for x in functions]
            for m in pattern.finditer(f.data, low, high):
                k = bisect.bisect_right(first, m.start()) - 1
                if k < 0 or m.start() >= functions[k][1] or m.end() - m.start() > 600 or rng.random() < 0.4:
                    continue
                a, b = f.tokens_of(m.start(), m.end())
                if s <= a < b <= e and not any(a < y and x < b for x, y in ranges):
                    told = docs.sentences(m.group(0).decode("utf-8", "replace"), "", 1)
                    if told and len(told[0]) >= 18:
                        ranges.append((a, b))
                        inner.append((m.end(), functions[k][2], told[0]))
        return ranges, gone, inner

    def group(self, n):
        """-> a dictionary of arrays, n sequences that belong together"""
        source, seen, made = self.runs(n * self.c.LC), set(), []
        for _ in range(n):
            made.append(self.sequence(source, seen))
        return {k: np.stack([m[k] for m in made]) for k in made[0]}

    def sequence(self, source, seen):
        rng, LC, NB = self.rng, self.c.LC, self.c.NB
        o = blank(self.c)
        p = nseg = nb = misses = 0
        pieces, needles, used = [], [], set()
        tasks = [list(Qs.task(kind, rng, used, teach=True)) + [[]] for kind in rng.sample(Qs.TASKS + 4 * Qs.HARD, 18)]
        waiting = [(t, i) for t in tasks for i in range(len(t[0]))]
        rng.shuffle(waiting)
        while p < LC - 200 and nb < NB - 60 and misses < 400:
            k = next(source)
            if k in seen and misses < 300:
                misses += 1
                continue
            fi, s, e = self.segments[k]
            f = self.files[fi]
            ranges, gone, inner = self.removals(f, s, e)
            lines = []                               # what is hidden here: (task, line), or a needle alone
            mark = MARKS.get(f.lang, "// ")
            while waiting and len(lines) < 6 and rng.random() < 0.9:
                lines.append(waiting.pop())
            if not lines and rng.random() < 0.15:
                key, value = Qs.needle(rng, used)
                used.add(key)
                lines.append(rng.choice(Qs.NEEDLE_TEXT).format(k=key, v=value, u=re.sub(r"\W", "_", key).upper()))
            piece = Piece(f, s, e, ranges, {i for i, sentence in gone.items() if sentence})
            for x in lines:
                text = x if isinstance(x, str) else x[0][0][x[1]]
                piece.hide(self.tok.ids(("" if text.startswith("#define") else mark) + text + "\n"), rng.random() < 0.35, rng)
            piece.finish(LC - p)
            if piece.n < 16:
                misses += 1
                continue
            if len(piece.starts) > NB - 2 - nb:
                break
            seen.add(k)
            n = piece.n
            o["T"][p:p + n], o["seg"][p:p + n], o["pos"][p:p + n], o["blk"][p:p + n] = piece.tokens, nseg, np.arange(n), nb + piece.block
            o["w"][p:p + n - 1] = 1
            o["bkey"][nb:nb + len(piece.starts), 0] = f.key
            for x, (first, last) in zip(lines, piece.hidden):
                if last < n:
                    place = sorted({nb + int(piece.block[first]), nb + int(piece.block[last])})
                    if isinstance(x, str):
                        needles.append((key, value, place))
                    else:
                        x[0][5].append((x[1], place))
            o["path"][nb:nb + len(piece.starts)] = path_tokens(p, len(f.header))
            pieces.append((piece, nb, gone, inner, self.asked.get(fi, {})))
            nb += len(piece.starts)
            p += n
            nseg += 1
        self.questions(o, pieces, needles, [t for t in tasks if len(t[5]) == len(t[0])], nseg)
        o["y"][:-1] = o["T"][1:]
        return o

    def targets(self, o, pieces):
        """What can be asked about: definitions, inner comments, strings and calls of a sequence's context, and what people ask"""
        rng, defs, inner, strings, calls, names, people = self.rng, [], [], [], {}, {}, []
        started = begins(pieces)
        for piece, nb, gone, comments, questions in pieces:
            f, s, e = piece.file, piece.s, piece.e
            low, high = int(f.ends[s - 1]) if s else 0, int(f.ends[e - 1])
            blocks = {}
            for i, d in enumerate(f.defs):
                if not low <= d[START] < high:
                    continue
                hidden = i in gone and (gone[i] or True)         # the sentence that went, or all of the comment
                b0, b1 = piece.span(d, hidden is True, high)
                if b0 < 0:
                    continue
                blocks[i] = (nb + b0, nb + b1)
                name = f.name(d)
                item = (f, d, name, nb + b0, nb + b1, d[DOC1] > d[DOC0], hidden)
                defs.append(item)
                people += [(item, text) for text in questions.get(i, ())]
                names.setdefault(name, []).append(item)
                key = o["bkey"][nb + b0]
                key[1 if not key[1] else 2] = number(name.encode())
                if d[DOC1] > d[DOC0]:
                    key[3] = number(f.data[d[DOC0]:min(d[DOC1], d[DOC0] + 200)])
            mine = sorted(blocks)
            owner = owners([blocks[i] for i in mine], [f.defs[i][START] for i in mine], nb + len(piece.starts))
            o["together"][nb:nb + len(piece.starts)] = together(owner, {n: started.get((id(f), f.defs[i][PARENT]), -1) for n, i in enumerate(mine)}, nb, nb + len(piece.starts))
            for end, i, told in comments:
                at = piece.at(end)
                if at >= 0 and i in blocks:
                    b0, b1 = blocks[i]
                    at += nb
                    inner.append((f, f.defs[i], told, list(range(b0, b1 + 1)) if b1 - b0 < GOLD else list(range(max(b0, at - 2), min(b1, at + GOLD - 3) + 1))))
            for m in LITERAL.finditer(f.data, low, high):
                if rng.random() < 0.5:
                    b = piece.at(m.start())
                    if b >= 0:
                        strings.append((f, (m.group(1) or m.group(2)).decode("utf-8", "replace"), sorted({nb + b, nb + max(b, piece.at(m.end() - 1, True))})))
            starts = [(d[START], d[END], f.name(d)) for d in f.defs if d[KIND] in ("function", "method") and low <= d[START] < high]
            first = [x[0] for x in starts]
            declared = {d[NAME0] for d in f.defs}
            for m in CALL.finditer(f.data, low, high):
                if m.start(1) in declared:
                    continue
                k = bisect.bisect_right(first, m.start()) - 1
                b = piece.at(m.start())
                if b >= 0 and k >= 0 and m.start() < starts[k][1]:
                    calls.setdefault(m.group(1).decode(), []).append((nb + b, starts[k][2]))
        return defs, inner, strings, calls, names, people

    def absent(self, repos, names):
        """A question about a definition of another repository"""
        rng = self.rng
        for _ in range(20):
            f = rng.choice(self.files)
            if f.repo in repos or not f.defs:
                continue
            d = rng.choice(f.defs)
            name = f.name(d)
            if name in names or not Qs.GOOD_NAME.match(name) or name.lower() in Qs.DULL:
                continue
            key = [f.key, number(name.encode()), -1]
            if d[DOC1] > d[DOC0] and rng.random() < 0.5:
                told = docs.sentences(f.data[d[DOC0]:d[DOC1]].decode("utf-8", "replace"), name, 1)
                if told and len(told[0]) > 30:
                    key[2] = number(f.data[d[DOC0]:min(d[DOC1], d[DOC0] + 200)])
                    return Qs.meaning(told[0], d[KIND], rng), key
            return Qs.named(name, "", d[KIND], rng), key
        return None, None

    def steps(self, steps, places):
        """Steps of a task's answer, {line: its blocks} -> tokens of the answer; for each the blocks it is read from, none where it is no matter"""
        texts = [(" " if i == 0 else ", ") + text for i, (text, _) in enumerate(steps)]
        ids, ends = self.tok.with_ends("".join(texts))
        until = np.cumsum([len(t.encode()) for t in texts])
        of = np.searchsorted(until, ends, side="left")
        return ids.tolist(), [places[steps[i][1]] if steps[i][1] is not None else [] for i in of]

    def questions(self, o, pieces, needles, tasks, nseg):
        rng, L, LC = self.rng, self.c.L, self.c.LC
        defs, inner, strings, calls, names, people = self.targets(o, pieces)
        repos = {piece.file.repo for piece, *_ in pieces}
        called = [n for n in calls if n in names and len(calls[n]) <= 8 and len(names[n]) <= 2]
        told, lines_of = {}, {}
        for x in defs:
            if x[5] and Qs.GOOD_NAME.match(x[2]):
                lines_of[id(x)] = docs.sentences(x[0].data[x[1][DOC0]:x[1][DOC1]].decode("utf-8", "replace"), x[2])
                if x[6]:
                    told[id(x)] = [t for t in (lines_of[id(x)] if x[6] is True else [x[6]]) if x[2].lower() not in t.lower()]
        hidden = [x for x in defs if told.get(id(x))]
        documented = [x for x in defs if lines_of.get(id(x)) and not x[6]]
        types, shares = list(SHARE), list(SHARE.values())
        rows, room, often = [], L - LC, {}
        for _ in range(6 * self.c.NQ):
            if len(rows) >= self.c.NQ or not defs:
                break
            kind = rng.choices(types, shares)[0]
            question = answer = None
            gold, key, aims = [], [-1, -1, -1], []
            if kind == "needle":
                if not needles:
                    continue
                k, answer, gold = rng.choice(needles)
                question, answer = rng.choice(Qs.NEEDLE_ASK).format(k=k), " " + answer
            elif kind == "task":
                if not tasks:
                    continue
                _, question, _, matters, steps, places = tasks.pop(rng.randrange(len(tasks)))         # each is asked once
                answer, aims = self.steps(steps, dict(places))
                gold = sorted({b for i, place in places if matters[i] for b in place})
            elif kind == "absent":
                question, key = self.absent(repos, names)
                answer = Qs.NOT_HERE
            elif kind == "inner":
                if not inner:
                    continue
                f, d, text, gold = rng.choice(inner)
                question, key = Qs.meaning(text, "code", rng), [f.key, number(f.name(d).encode()), -1]
                answer = f.ids[f.token(d[START]):f.token(d[END] - 1) + 1][:24].tolist()
            elif kind == "message":
                if not strings:
                    continue
                f, text, gold = rng.choice(strings)
                question, key = Qs.message(text, rng), [f.key, -1, -1]
                answer = " " + f.path.rsplit("/", 1)[-1]
            elif kind == "callers":
                if not called:
                    continue
                name = rng.choice(called)
                gold = sorted({b for b, _ in calls[name]})
                question, key = rng.choice(Qs.CALLERS).format(n=name), [-1, number(name.encode()), -1]
                answer = " " + ", ".join(dict.fromkeys(c for _, c in calls[name] if c != name))
                if len(answer) < 4 or len(answer) > 120:
                    continue
            else:
                open_one = kind == "meaning" and rng.random() < self.c.told
                pool = people if kind == "asked" else documented if kind == "explain" or open_one else hidden if kind == "meaning" else defs
                if not pool:
                    continue
                item, text = pool.pop(rng.randrange(len(pool))) if kind == "asked" else (rng.choice(pool), None)      # a person's question once
                f, d, name, b0, b1, _, _ = item
                if not Qs.GOOD_NAME.match(name) or often.get((kind, b0, name), 0) >= (4 if kind in ("meaning", "asked") else 2):
                    continue
                often[kind, b0, name] = often.get((kind, b0, name), 0) + 1
                everyone = names[name]
                wide = b1 - b0 < GOLD or d[KIND] in ("function", "method")
                gold = list(range(b0, min(b1, b0 + (GOLD - 1 if wide else 2)) + 1))
                key = [f.key, number(name.encode()), -1]
                answer = f.ids[f.token(d[START]):f.token(max(d[START], min(d[END], d[HEAD] + 60)) - 1) + 1][:32].tolist()
                if d[DOC1] > d[DOC0] and kind in ("meaning", "explain", "asked"):
                    key[2] = number(f.data[d[DOC0]:min(d[DOC1], d[DOC0] + 200)])
                if kind in ("meaning", "explain"):
                    lines = told[id(item)] if kind == "meaning" and not open_one else lines_of[id(item)]
                if kind == "meaning":
                    text = lines[0] if rng.random() < 0.7 else rng.choice(lines) if rng.random() < 0.7 else " ".join(lines[:2])
                    question = Qs.meaning(text, d[KIND], rng)
                elif kind == "asked":
                    question = Qs.people(text, rng)
                elif kind == "explain":
                    if len(everyone) > 1:
                        continue
                    question, answer = rng.choice(Qs.EXPLAIN).format(n=name, k=d[KIND]), " " + lines[0]
                elif kind == "named":
                    if len(everyone) > 3:
                        continue
                    gold = sorted({b for x in everyone for b in range(x[3], min(x[4], x[3] + 2) + 1)})
                    parent = f.name(f.defs[d[PARENT]]) if 0 <= d[PARENT] < len(f.defs) else ""
                    question = Qs.named(name, parent, d[KIND], rng)
                else:
                    if name.lower() in Qs.DULL or len(everyone) > 3:
                        continue
                    gold = sorted({b for x in everyone for b in range(x[3], min(x[4], x[3] + 2) + 1)})
                    question = Qs.by_words(name, d[KIND], rng)
            if not question or not (gold or kind == "absent"):
                continue
            ids = [C.Q] + self.tok.ids(question)[:96] + [C.A]
            tail = []
            if rng.random() < ANSWERED[kind]:
                tail = (self.tok.ids(answer) if isinstance(answer, str) else answer)[:72 if kind == "task" else 48] + [C.EOS]
            if len(ids) + len(tail) > room:
                break
            room -= len(ids) + len(tail)
            rows.append((kind, ids, tail, gold if len(gold) <= GOLD else sorted(rng.sample(gold, GOLD)), key, aims))
        # the first questions are those that are also read (settings.read_questions): mostly such as are hard to put in order
        first = [i for i, row in enumerate(rows) if row[0] in TO_READ][:self.c.read_questions * 3 // 4]
        chosen = set(first)
        rows = [rows[i] for i in first] + [row for i, row in enumerate(rows) if i not in chosen]
        p = LC
        for qi, (kind, ids, tail, gold, key, aims) in enumerate(rows):
            n, a = len(ids) + len(tail), p + len(ids) - 1
            o["T"][p:p + n], o["seg"][p:p + n], o["pos"][p:p + n] = ids + tail, nseg, np.arange(n)
            if tail:
                o["w"][a:p + n - 1] = 1.5 if kind == "explain" else 3
                if kind != "absent":
                    o["qof"][a - LC:p + n - LC - 1] = qi
                for i, where in enumerate(aims[:len(tail) - 1]):
                    o["aim"][a - LC + i, :len(where)] = where
            o["apos"][qi], o["qtype"][qi], o["qkey"][qi] = a, TYPES.index(kind), key
            o["gold"][qi, :len(gold)] = gold
            p += n
            nseg += 1
