"""The evaluation sets on held-out repositories, with 95 % intervals, beside BM25 over chunks of 50 lines.

    python3 evaluate.py MODEL PACKS OUT.json [--sets redis,flask,...] [--strangers flask] [--tokens 32e6] [--n 400] [--dense 2e5] [--seconds 500]

PACKS holds NAME.jsonl.xz as evalpacks.py writes them. Comments of half of the documented definitions are taken out of the context,
and only those are asked for by their sentence. Ranking: over the blocks that a global layer selected or the landmarks' weighted sum
puts first, what the program orders by, and beside it the landmarks alone and with the late interaction; a block counts as right when it holds a part of the right definition. Fixed seeds."""
import argparse, collections, json, math, multiprocessing, os, random, re, sqlite3, time
import numpy as np
import torch
import by_hand as written, controls as C, data as D, docs, questions as Qs, runner, words
from rank import ASIDE, ASKED_FOR, MENTIONED, aside, asks_for_names, counted, of_tests, outright, score as ranked

START = time.time()
SMALL = (4096, 16384)                     # many contexts of this length each, sparse, dense and window
LEVELS = (131072, 1048576, 4194304, 10485760, 31457280)
PLACES = (("first", 1), ("five", 5), ("sixteen", 16))
WORD = re.compile(r"\w+")
HITS, FINDS, FEW = 1024, 16, 4            # app/lexical.c: looked at, joined, of those at most from tests


def log(*a):
    print("[%5.0fs]" % (time.time() - START), *a, flush=True)


class Repository:
    """A pack laid out as a context: segments, questions of each set with the blocks that are right"""

    def __init__(self, files, tok, most, seed, hidden=0.5, needles=64, tasks=24, order_seed=7):
        rng, self.tok = random.Random(seed), tok
        order = list(files)
        random.Random(order_seed).shuffle(order)
        cuts = [(f, s, e) for f in order for s, e in f.segments]
        lengths = np.cumsum([0] + [e - s + len(f.header) for f, s, e in cuts])
        self.levels = [l for l in LEVELS if l <= min(lengths[-1], most)] + [int(min(lengths[-1], most))]
        insert, self.tasks, used = {}, [], set()
        for level in self.levels[:-1] if len(self.levels) > 1 and self.levels[-1] < 1.3 * self.levels[-2] else self.levels:
            last = max(2, int(np.searchsorted(lengths, level * 0.97)) - 1)
            for kind in ("needle",) * min(needles, level // 1024) + Qs.TASKS * min(tasks, level // 5000):
                lines, question, words, matters, _ = Qs.task("single" if kind == "needle" else kind, rng, used)
                for i, text in enumerate(lines):
                    insert.setdefault(rng.randrange(last), []).append((text, len(self.tasks), i))
                self.tasks.append({"level": level, "kind": kind, "question": question, "words": words, "matters": matters, "blocks": {}})
        self.segments, self.headers, self.defs, self.calls, self.files, self.gone, self.pieces = [], [], [], {}, [], {}, {}
        number = {}
        nb = total = 0
        for j, (f, s, e) in enumerate(cuts):
            ranges, gone = D.comment_ranges(f, s, e, rng, hidden)
            piece = D.Piece(f, s, e, ranges)
            for text, _, _ in insert.get(j, ()):
                piece.hide(tok.ids(D.MARKS.get(f.lang, "// ") + text + "\n"), False, rng)
            piece.finish()
            for (_, task, i), at in zip(insert.get(j, ()), piece.hidden):
                self.tasks[task]["blocks"][i] = {nb + int(piece.block[t]) for t in at}
            low, high = int(f.ends[s - 1]) if s else 0, int(f.ends[e - 1])
            if id(f) not in number:
                number[id(f)] = len(self.files)
                self.files.append(f)
            at = number[id(f)]
            self.gone.setdefault(at, set()).update(gone)
            self.pieces.setdefault(at, []).append((piece, nb, low, high))
            functions = []
            for i, d in enumerate(f.defs):
                if low <= d[D.START] < high:
                    b0, b1 = piece.span(d, i in gone, high)
                    if b0 >= 0:
                        self.defs.append(dict(name=f.name(d), kind=d[D.KIND], blocks=(nb + b0, nb + b1), hidden=i in gone, file=f, d=d, key=(at, i)))
                        if d[D.KIND] in ("function", "method"):
                            functions.append((d[D.START], d[D.END]))
            declared = {d[D.NAME0] for d in f.defs}
            for m in D.CALL.finditer(f.data, low, high):
                if m.start(1) not in declared and any(a <= m.start() < b for a, b in functions):
                    b = piece.at(m.start())
                    if b >= 0:
                        self.calls.setdefault(m.group(1).decode(), set()).add(nb + b)
            self.segments.append((piece.tokens, piece.starts))
            self.headers.append(len(f.header))
            nb += len(piece.starts)
            total += piece.n
            if total >= most:
                break
        self.names = collections.Counter(x["name"] for x in self.defs)
        self.tasks = [t for t in self.tasks if len(t["blocks"]) == len(t["matters"])]
        at = np.cumsum([0] + [len(tokens) for tokens, _ in self.segments])
        self.starts, self.total = np.concatenate([np.asarray(b) + a for (_, b), a in zip(self.segments, at)] + [at[-1:]]), int(at[-1])
        self.levels = list(dict.fromkeys(min(level, self.total) for level in self.levels))

    def upto(self, level):
        """Number of blocks of the first `level` tokens"""
        return max(1, int(np.searchsorted(self.starts, level, side="right")) - 1)

    def own(self, counted=True):
        """After all is laid out: who owns a block, and the lexical channel. A definition that begins in a block owns it, else the innermost
        around its start (app/ranking.h). self.owner [blocks]: number in self.defs or -1"""
        blocks = sum(len(starts) for _, starts in self.segments)
        self.owner = D.owners([x["blocks"] for x in self.defs], [x["d"][D.START] for x in self.defs], blocks)
        started = D.begins(x for pieces in self.pieces.values() for x in pieces)
        around = {i: started.get((id(x["file"]), x["d"][D.PARENT]), -1) for i, x in enumerate(self.defs)}
        self.together, self.path, nb = [], [], 0
        for (tokens, starts), at, header in zip(self.segments, np.cumsum([0] + [len(tokens) for tokens, _ in self.segments]), self.headers):
            self.together.append(D.together(self.owner, around, nb, nb + len(starts)))
            self.path += [D.path_tokens(at, header)] * len(starts)
            nb += len(starts)
        self.together, self.path = np.concatenate(self.together), np.array(self.path, np.int64)
        self.number, self.proposed = {x["key"]: i for i, x in enumerate(self.defs)}, {}
        self.words = words.Words(self.files, self.gone) if counted else None
        self.aside = [aside(f.path) for f in self.files]
        self.blocks_aside = {b for n, pieces in self.pieces.items() if self.aside[n] for piece, nb, _, _ in pieces for b in range(nb, nb + len(piece.starts))}
        return self

    def place(self, block):
        """What a block is ranked as: the number of the definition that owns it, of one without -1 - block"""
        return int(self.owner[block]) if self.owner[block] >= 0 else -1 - int(block)

    def prepare(self, questions):
        """What propose() will say of each, found by several processes: of tens of millions of tokens it takes a second each"""
        global LAID_OUT
        LAID_OUT = self
        with multiprocessing.get_context("fork").Pool(min(16, os.cpu_count())) as pool:
            self.proposed.update(zip(questions, pool.map(_propose, questions, 4)))

    def propose(self, question, most=FINDS, each=2):
        """What the lexical channel finds -> [(definition or -1, its blocks, score)], best first"""
        if question in self.proposed:
            return self.proposed[question]
        out, few = [], 0
        for u, score in self.words.find(question, HITS):
            n, start, end, i = self.words.units[u]
            if len(out) == most:
                break
            if self.aside[n] and not of_tests(question):
                few += 1
                if few > FEW:
                    continue
            k = self.number.get((n, i), -1) if i >= 0 else -1
            if k >= 0:
                b0, b1 = self.defs[k]["blocks"]
                out.append((k, list(range(b0, min(b1, b0 + each - 1) + 1)), score))
                continue
            for piece, nb, low, high in self.pieces.get(n, ()):
                if low <= start < high and piece.at(start) >= 0:
                    out.append((-1, [nb + piece.at(start)], score))
                    break
        return out

    def priors(self, question, proposed, weight):
        """-> function of a block: what counts for the place that it is ranked as, beside its score and whatever it says: words that propose() found
        in it, and whether it is a test's (prior_of, app/ranking.c)"""
        found, against = {}, 0.0 if of_tests(question) else ASIDE
        for k, blocks, score in proposed:
            k = k if k >= 0 else -1 - blocks[0]
            found[k] = max(found.get(k, 0.0), score)
        best = max(found.values(), default=0.0)
        return lambda b: weight * counted(found.get(self.place(b), 0.0), best) - against * (b in self.blocks_aside)

    def questions(self, n, seed):
        """-> {set: [(question, right blocks, definition)]}"""
        rng = random.Random(seed)
        functions = [x for x in self.defs if x["kind"] in ("function", "method")]
        named = [x for x in functions if self.names[x["name"]] == 1 and Qs.GOOD_NAME.match(x["name"])]
        told = []
        for x in functions:
            if x["hidden"]:
                f, d = x["file"], x["d"]
                lines = docs.sentences(f.data[d[D.DOC0]:d[D.DOC1]].decode("utf-8", "replace"), x["name"], 1)
                if lines and len(lines[0]) >= 16 and x["name"].lower() not in lines[0].lower():
                    told.append((lines[0], x))
        called = [(k, v) for k, v in self.calls.items() if self.names.get(k) == 1 and len(v) <= 8]
        for row in (named, told, called):
            rng.shuffle(row)
        whole = lambda x: set(range(x["blocks"][0], x["blocks"][1] + 1))
        return {"named": [("Where is `%s` defined?" % x["name"], whole(x), x) for x in named],
                "meaning": [(t, whole(x), x) for t, x in told],
                "callers": [("Who calls `%s`?" % k, v, None) for k, v in called]}


LAID_OUT = None


def _propose(question):
    return LAID_OUT.propose(question)


def rank(seen, i):
    """Blocks of question i, best first: by what orders them, by the landmarks alone, by them and the late interaction, and by the mass
    of the upper layers"""
    mass = collections.Counter()
    for blocks, _, m, _ in seen.layers[1:]:
        for b, x in zip(blocks[i].tolist(), m[i].tolist()):
            mass[b] += x
    orders = [dict(zip(seen.blocks[i].tolist(), score[i].tolist())) for score in (seen.rank, seen.landmarks, seen.late)]
    return (*(sorted(by, key=lambda b: -by[b]) for by in orders), [b for b, _ in mass.most_common()])


def shown_order(r, seen, i, prior, question):
    """Places as the program shows them (r.place()), best first. prior: r.priors() of the question"""
    rank, beside = collections.Counter(), {}
    by = dict(zip(seen.blocks[i].tolist(), seen.rank[i].tolist()))
    top = max(by.values())
    total = math.log(sum(math.exp(v - top) for v in by.values())) + top
    for b, v in by.items():
        k = r.place(b)
        rank[k] += math.exp(v - total)
        beside[k] = prior(b)
    named = {k for k in rank if k >= 0 and outright(question, r.defs[k]["name"])}
    extra = ASKED_FOR if asks_for_names(question, {r.defs[k]["name"] for k in named}) else MENTIONED
    return sorted(rank, key=lambda k: -ranked((rank[k], 0, 0, beside[k] + extra * (k in named)), 0))


def here(rows, upto, n):
    """The first n questions whose blocks lie in the first `upto`"""
    return [x for x in rows if max(x[1]) < upto][:n]


def look(run, s, questions, upto, r=None):
    """What the first `upto` blocks' <a> sees of questions, with the lexical channel's proposals joined and counted where r, a Repository after own(), has them -> Seen, r.priors() of each"""
    proposed = [[p for p in r.propose(q) if max(p[1]) < upto] for q in questions] if r else None
    joined = [{b: 0 for _, blocks, _ in p for b in blocks} for p in proposed] if r else None
    prior = [r.priors(q, p, run.lexical) for q, p in zip(questions, proposed)] if r else None
    return run.forward([[C.Q] + run.tok.ids(q)[:96] + [C.A] for q in questions], s, upto, "sparse", joined, prior=prior)[1], prior


def retrieve(run, s, rows, upto, n, r=None, size=32):
    """-> counts over the first n questions whose blocks lie in the first `upto`. r: a Repository after own(): then the lexical channel's
    proposals are joined, and the order of definitions that the program shows is counted too."""
    rows = here(rows, upto, n)
    c = collections.Counter(n=len(rows))
    for at in range(0, len(rows), size):
        part = rows[at:at + size]
        seen, prior = look(run, s, [x[0] for x in part], upto, r)
        for i, (question, right, x) in enumerate(part):
            by, landmarks, late, mass = rank(seen, i)
            for prefix, order in (("", by), ("landmarks ", landmarks), ("late ", late)):
                for name, most in PLACES:
                    c[prefix + name] += any(b in right for b in order[:most])
            c["candidate"] += any(b in right for b in by)
            c["selected"] += any(b in right for b in seen.chosen[i].tolist())
            c["mass first"] += mass[0] in right
            c["said absent"] += seen.margin[i].item() < 0
            if r and x is not None:
                answers = x if isinstance(x, set) else {r.number[x["key"]]}
                order = shown_order(r, seen, i, prior[i], question)
                place = next((j for j, k in enumerate(order) if k in answers), 99)
                for name, most in PLACES:
                    c["shown " + name] += place < most
    return c


def absent(run, s, questions, upto, size=32):
    told = 0
    for at in range(0, len(questions), size):
        part = questions[at:at + size]
        _, seen = run.forward([[C.Q] + run.tok.ids(q)[:96] + [C.A] for q in part], s, upto)
        told += int((seen.margin < 0).sum())
    return {"n": len(questions), "recognised": told}


def solve(run, s, tasks, upto, how, size=16):
    """Synthetic tasks -> {kind: n, share of the expected words, all words exact, right block selected}"""
    out = collections.defaultdict(collections.Counter)
    order = sorted(tasks, key=lambda t: (len(t["words"]), t["kind"]))     # answers of like length together
    for at in range(0, len(order), size):
        part = order[at:at + size]
        prompts = [[C.Q] + run.tok.ids(t["question"])[:96] + [C.A] for t in part]
        if how == "sparse":
            _, seen = run.forward(prompts, s, upto)
            for i, t in enumerate(part):
                found = set(rank(seen, i)[0][:runner.JOINED]) | set(seen.chosen[i].tolist())
                need = [t["blocks"][k] for k, m in enumerate(t["matters"]) if m]
                out[t["kind"]]["selected"] += sum(bool(found & b) for b in need) / len(need)
        for t, ids in zip(part, run.answer(prompts, s, 10 if max(len(t["words"]) for t in part) == 1 else 72, upto, how)):
            text = run.tok.decode(ids)
            hit = sum(w in text for w in t["words"]) / len(t["words"])
            out[t["kind"]].update(n=1, share=hit, exact=hit == 1)
    return {k: dict(c) for k, c in sorted(out.items())}


class Bm25:
    """SQLite's FTS5 over 50-line chunks, every 40 lines, of the same files; comments that are asked for are blanked out"""

    def __init__(self, repository):
        self.db = sqlite3.connect(":memory:")
        self.db.execute("create virtual table c using fts5(t, tokenize=\"unicode61 tokenchars '_'\")")
        self.place = []
        gone = collections.defaultdict(list)
        files = {}
        for x in repository.defs:
            files[id(x["file"])] = x["file"]
            if x["hidden"]:
                gone[id(x["file"])].append((x["d"][D.DOC0], x["d"][D.DOC1]))
        for key, f in files.items():
            text = bytearray(f.data)
            for a, b in gone[key]:
                text[a:b] = re.sub(rb"[^\n]", b" ", f.data[a:b])
            lines = bytes(text).split(b"\n")
            starts = np.cumsum([0] + [len(l) + 1 for l in lines])
            for i in range(0, len(lines), 40):
                self.place.append((key, int(starts[i]), int(starts[min(i + 50, len(lines))])))
                self.db.execute("insert into c(rowid, t) values (?, ?)", (len(self.place) - 1, f.path + "\n" + b"\n".join(lines[i:i + 50]).decode("utf-8", "replace")))

    def ask(self, rows, n):
        c = collections.Counter()
        for q, _, x in rows[:n]:
            words = [w for w in dict.fromkeys(WORD.findall(q)) if len(w) > 1]
            if not words or x is None:
                continue
            c["n"] += 1
            found = self.db.execute("select rowid from c where c match ? order by bm25(c) limit 16", (" OR ".join('"%s"' % w for w in words),)).fetchall()
            hit = [self.place[r][0] == id(x["file"]) and self.place[r][1] <= x["d"][D.START] < self.place[r][2] for r, in found]
            c["first"] += any(hit[:1])
            c["five"] += any(hit[:5])
            c["sixteen"] += any(hit)
        return c


def by_hand(run, files, log):
    """The questions written by hand, each asked of its own repository with all comments left in -> counts"""
    c, missing = collections.Counter(), []
    for repo, rows in written.read().items():
        mine = [f for f in files if f.repo == repo]
        if not mine:
            missing.append(repo)
            continue
        r = Repository(mine, run.tok, 1e9, 1, hidden=0, needles=0, tasks=0)
        r.own()
        s, asked = run.encode(r.segments, r.path, r.together), []
        for q in rows:
            answers = written.answers(q)
            defs = {i for i, x in enumerate(r.defs) if x["kind"] in ("function", "method") and written.is_answer(answers, x["file"].path, re.split(r"::|\.", x["name"])[-1])}
            right = {b for i in defs for b in range(r.defs[i]["blocks"][0], r.defs[i]["blocks"][1] + 1)}
            if right:
                asked.append((q["question"], right, defs))
            else:
                missing.append(q["path"] + " " + q["name"])
        c.update(retrieve(run, s, asked, s.blocks, len(asked), r))
    log("by hand; not found in the packs:", missing)
    return c


def shown(c):
    return {k: v if k == "n" else written.interval(v, c["n"]) for k, v in c.items()}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model"); ap.add_argument("packs"); ap.add_argument("out")
    ap.add_argument("--sets", default="flask,redis")
    ap.add_argument("--strangers", help="a further set, of which only names are asked for that the others do not have")
    ap.add_argument("--tokens", type=float, default=32e6)
    ap.add_argument("--n", type=int, default=400)
    ap.add_argument("--dense", type=float, default=2e5, help="the synthetic tasks also with dense attention up to this length")
    ap.add_argument("--seconds", type=float, default=500)
    ap.add_argument("--contexts", type=int, default=16, help="how many small contexts")
    ap.add_argument("--no-bm25", action="store_true")
    ap.add_argument("--no-small", action="store_true", help="without the contexts of 4 K and 16 K tokens")
    ap.add_argument("--no-words", action="store_true", help="landmarks alone: the words of tens of millions of tokens take minutes and some 40 GB to count")
    ap.add_argument("--ranked", help="lengths in M (2^20) tokens at which questions are asked, as 1,30; else at all")
    ap.add_argument("--wait", action="store_true", help="lay the sets out first, then wait for the model's weights: beside a training run")
    a = ap.parse_args()
    tokenizer = os.path.join(a.model, "tokenizer.json")
    tok = D.Tokenizer(tokenizer)
    D.learn_newlines(tok)
    results, repositories, sets = {}, {}, {}

    def save():
        with open(a.out, "w") as f:
            json.dump(results, f, indent=1)
    for name in a.sets.split(",") + [a.strangers] * bool(a.strangers):
        shards = [os.path.join(a.packs, f) for f in sorted(os.listdir(a.packs)) if re.fullmatch(re.escape(name) + r"(-[0-9]+)?\.jsonl\.xz", f)]
        repositories[name] = D.load(shards, tokenizer, 12)
        log(name, "read:", len(repositories[name]), "files")
    for name, files in repositories.items():
        if name in ("questions", a.strangers):
            continue
        r = Repository(files, tok, a.tokens, 11)
        r.own(not a.no_words)
        rows = r.questions(a.n, 1)
        ranked_at = [level for level in r.levels if (level > 100000 or level == r.levels[-1]) and (not a.ranked or round(level / 2**20) in map(int, a.ranked.split(",")))]
        if not a.no_words:
            r.prepare(list(dict.fromkeys(x[0] for row in rows.values() for level in ranked_at for x in here(row, r.upto(level), a.n))))
        others = [f for k, fs in repositories.items() if k != name for f in fs if not any(f.repo == g.repo for g in files)]
        rng, strange = random.Random(5), []
        while others and len(strange) < a.n:
            f = rng.choice(others)
            if f.defs:
                d = rng.choice(f.defs)
                if Qs.GOOD_NAME.match(f.name(d)) and f.name(d) not in r.names and f.name(d).lower() not in Qs.DULL:
                    strange.append("Where is `%s` defined?" % f.name(d))
        if not a.no_bm25:
            index = Bm25(r)
            for kind in ("named", "meaning"):
                c = index.ask(rows[kind], a.n)
                results["%s bm25 %s" % (name, kind)] = shown(c)
                log(name, "BM25", kind, json.dumps(shown(c)))
        sets[name] = (files, r, rows, strange, ranked_at)
        log(name, "is laid out: segments", len(r.segments), "definitions", len(r.defs))
    while a.wait and not os.path.exists(os.path.join(a.model, "model.safetensors")):
        time.sleep(0.5)
    global START
    START = time.time()                      # --seconds is the model's time
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    model = runner.open_model(a.model, device, torch.bfloat16 if gpu else torch.float32)
    run = runner.Runner(model, *((8, 32768) if gpu else (1, 3072)))
    run.tok = tok
    with open(os.path.join(a.model, "config.json")) as f:
        run.lexical = json.load(f)["lexical_weight"]
    if "questions" in repositories:
        c = by_hand(run, repositories["questions"], log)
        results["by hand"] = shown(c)
        log("by hand", json.dumps(shown(c)))
        save()
    for name, (files, r, rows, strange, ranked_at) in sets.items():
        t = time.time()
        s = run.encode(r.segments, r.path, r.together)
        if gpu:
            torch.cuda.synchronize()
        log(name, "files", len(files), "tokens", s.tokens, "blocks", s.blocks, "encoded in %.1f s" % (time.time() - t))
        for level in SMALL if not a.no_small else ():
            sums = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
            for i in range(a.contexts):
                small = Repository(files, run.tok, level, 100 + i, needles=64, tasks=2, order_seed=100 + i).own(False)
                encoded = run.encode(small.segments, small.path, small.together)
                for how in ("sparse", "dense", "window"):
                    for kind, c in solve(run, encoded, small.tasks, encoded.blocks, how).items():
                        sums[how][kind].update(c)
            results["%s %d" % (name, level)] = {how: {k: shown(c) for k, c in kinds.items()} for how, kinds in sums.items()}
            for how, v in results["%s %d" % (name, level)].items():
                log(name, level, how, json.dumps(v))
        for level in r.levels:
            if time.time() - START > a.seconds:
                log("no time left for", name, level)
                break
            upto = r.upto(level)
            tasks = [t for t in r.tasks if min(t["level"], s.tokens) == level and max(max(b) for b in t["blocks"].values()) < upto]
            out = {}
            if level in ranked_at:
                for kind, q in rows.items():
                    out[kind] = shown(retrieve(run, s, q, upto, a.n, None if a.no_words else r))
                out["absent"] = shown(absent(run, s, strange, upto))
            results["%s %d" % (name, level)] = out
            save()                               # what follows may run out of time or memory
            for how in ("sparse", "dense"):
                if tasks and (how == "sparse" or (how == "dense" and level <= a.dense)):
                    out[how] = {k: shown(v) for k, v in solve(run, s, tasks, upto, how).items()}
            for k, v in out.items():
                log(name, "%.3fM" % (level / 1e6), k, json.dumps(v))
            save()
        for kind in ("named", "meaning"):                        # a few to read
            for q, right, x in rows[kind][:4]:
                p = [C.Q] + run.tok.ids(q)[:96] + [C.A]
                log("Q:", q, "| right:", x["name"], x["file"].path, "| A:", repr(run.tok.decode(run.answer([p], s, 28)[0])))
        del s


if __name__ == "__main__":
    main()
