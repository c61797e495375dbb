"""What the words of questions are called in code, and how much each word tells: learned from comments and the code below them.

    python3 associate.py CORPUS data/associations.txt          # about 25 minutes on two cores; numpy and PyTorch, no GPU

Pairs are the terms of what is asked and the terms of a definition's name, signature and body: each question that somebody wrote about a function
(asked.py), and of the other documented definitions of CORPUS/train-*.jsonl.xz, at most so many a package, the first two sentences of the comment.
IBM's model 1 (Brown et al. 1993) says which terms of the code call for which of the question (num and count for number): the candidates. Then their
strengths, and a weight for each term of a question beside its idf, are learned so that BM25 as words.py has it finds the pair's code among other
definitions of its package, no definition twice (cross entropy). A line of what is written:

    term weight other strength other strength ...               in hundredths; strongest first; terms in byte order"""
import collections, glob, math, os, random, sys
import numpy as np
import asked as people, docs, shards, words
from units import DOC0, DOC1, END, KIND, NAME0, NAME1, PARENT, START

SEED, BODY = 20261126, 3000        # bytes of a definition that are read
OFTEN_ASKED, OFTEN_THERE = 60, 60  # pairs that a term must stand in to be learned
TERMS, ROUNDS = 48, 5              # rarest terms of one code that model 1 looks at; its iterations
PACKAGES = 4                       # that an association must be seen in
CANDIDATES, MOST, LEAST = 24, 8, 0.05
EPOCHS, BATCH, SMALLEST = 2, 384, 64
COMMENTS = 1500                    # of a package


def pieces(data, memo={}):
    """Terms without whole names and numbers"""
    out = []
    for m in words.RUN.finditer(data):
        run = m.group(0)
        found = memo.get(run)
        if found is None:
            found = tuple(t for t in words.terms(run) if not t.startswith(b"=") and not t.isdigit())
            if len(memo) < 2_000_000:
                memo[run] = found
        out += found
    return out


class Lists:
    """Many lists of numbers, one behind the other"""

    def __init__(self):
        self.all, self.ends = [], [0]

    def add(self, numbers):
        self.all.append(np.array(sorted(numbers), np.int32))
        self.ends.append(self.ends[-1] + len(numbers))

    def close(self, place, n):
        """Numbers -> their place; those without one are left out"""
        flat = place[np.concatenate(self.all)]
        kept = np.concatenate([[0], np.cumsum(flat >= 0)])
        self.flat, self.ends = flat[flat >= 0].astype(np.int64), kept[np.array(self.ends)]
        return np.bincount(self.flat, minlength=n)

    def __getitem__(self, i):
        return self.flat[self.ends[i]:self.ends[i + 1]]

    def rows(self, chosen):
        """-> (row, number) of the lists chosen, rows counted from 0"""
        parts = [self[i] for i in chosen]
        return np.repeat(np.arange(len(parts)), [len(p) for p in parts]), np.concatenate(parts)


def asks(record, data, table):
    """-> [(definition, what is asked, which of its questions it is)]"""
    out, mine, documented = [], table.get((record["repo"], record["path"]), {}), []
    names = collections.Counter(data[d[NAME0]:d[NAME1]].decode("utf-8", "replace") for d in record["defs"])
    for d in record["defs"]:
        name = data[d[NAME0]:d[NAME1]].decode("utf-8", "replace")
        if name in mine and names[name] == 1 and d[KIND] in people.ASKABLE:
            out += [(d, text, i) for i, text in enumerate(mine[name])]
        elif d[DOC1] > d[DOC0]:
            documented.append(d)
    for d in documented:
        said = docs.sentences(data[d[DOC0]:d[DOC1]].decode("utf-8", "replace"), data[d[NAME0]:d[NAME1]].decode("utf-8", "replace"), 2)
        if said:
            out.append((d, " ".join(said), 0))
    return out


def read(corpus):
    """-> vocabulary, questions, names, codes (Lists of its numbers), package of each pair, which of its definition's questions it is"""
    number, told, names, code, package, which = {}, Lists(), Lists(), Lists(), [], []
    table, rng, kept = people.read(), random.Random(SEED), collections.Counter()

    def numbers(terms):
        return {number.setdefault(t, len(number)) for t in terms}
    for shard in sorted(glob.glob(os.path.join(corpus, "train-*.jsonl.xz"))):
        records = shards.read(shard)
        rng.shuffle(records)
        for r in records:
            data = r["text"].encode()
            mine = table.get((r["repo"], r["path"]))
            if not mine and kept[r["repo"]] >= COMMENTS:
                continue
            for d, text, i in asks(r, data, table):
                is_comment = not mine or data[d[NAME0]:d[NAME1]].decode("utf-8", "replace") not in mine
                if is_comment and kept[r["repo"]] >= COMMENTS:
                    continue
                kept[r["repo"]] += is_comment
                asked = numbers(set(pieces(text.encode())) - words.STOP_TERMS)
                if not asked:
                    continue
                end = min(d[END], d[START] + BODY)
                body = data[d[START]:d[DOC0]] + b" " + data[min(d[DOC1], end):end] if d[START] <= d[DOC0] < end else data[d[START]:end]
                around, k = b"", d[PARENT]
                while k >= 0:
                    around, k = around + b" " + data[r["defs"][k][NAME0]:r["defs"][k][NAME1]], r["defs"][k][PARENT]
                name = pieces(data[d[NAME0]:d[NAME1]])
                told.add(asked)
                names.add(numbers(name))
                code.add(numbers(set(pieces(body + around)) | set(name)))
                package.append(r["repo"])
                which.append(i)
        print(os.path.basename(shard), len(package), "pairs", flush=True)
    return [t for t, _ in sorted(number.items(), key=lambda x: x[1])], told, names, code, package, which


def model_1(told, names, code, n_asked, n_there, often):
    """-> expected counts [n_asked, n_there + 1]: how often a term of a code (the last: none of them) called for one of a comment"""
    rare, wide, chunk, blocks = -np.log(often + 1.0), n_there + 1, 12000, []
    for first in range(0, len(told.ends) - 1, chunk):
        cells, weights, starts, n = [], [], [], 0
        for i in range(first, min(first + chunk, len(told.ends) - 1)):
            a, c = told[i], code[i]
            if not len(a):
                continue
            if len(c) > TERMS:
                c = c[np.argpartition(-rare[c], TERMS)[:TERMS]]
            w = np.append(np.where(np.isin(c, names[i]), 4, 1), 4).astype(np.float32)
            c = np.append(c, n_there)
            cells.append((a[:, None] * wide + c).ravel())
            weights.append(np.tile(w, len(a)))
            starts.append(n + np.arange(len(a)) * len(c))
            n += len(a) * len(c)
        blocks.append([np.concatenate(x) for x in (cells, weights, starts)])
    chance = np.full(n_asked * wide, 1 / n_asked, np.float32)
    for turn in range(ROUNDS):
        count, loss = np.zeros(n_asked * wide, np.float32), 0.0
        for cells, weights, starts in blocks:
            p = chance[cells] * weights
            total = np.add.reduceat(p, starts)
            loss -= np.log(total).sum()
            count += np.bincount(cells, p / np.repeat(total, np.diff(np.append(starts, len(p)))), minlength=len(count)).astype(np.float32)
        chance = (count.reshape(n_asked, wide) / np.maximum(count.reshape(n_asked, wide).sum(0), 1e-9)).ravel()
        print("model 1: turn %d, loss %.0f" % (turn, loss), flush=True)
    return count.reshape(n_asked, wide)


def spread(told, code, of, candidates, wide):
    """How many packages each candidate (place = term asked * wide + term there) stands in"""
    seen = np.zeros(len(candidates), np.int32)
    for chosen in of.values():
        found = np.unique(np.concatenate([(told[i][:, None] * wide + code[i]).ravel() for i in chosen]))
        seen += np.isin(candidates, found, assume_unique=True)
    return seen


def learn(told, names, code, of, asked, there, pairs, strength, weight):
    """-> strengths of the pairs (term asked, term there), weights of the terms asked"""
    import torch
    torch.manual_seed(SEED)
    rng, place = random.Random(SEED), {t: i for i, t in enumerate(there)}
    itself = torch.tensor([place[t] for t in asked])
    pairs = torch.tensor(pairs.T)
    strength, weight, scale = (torch.tensor(x, dtype=torch.float32, requires_grad=True) for x in (strength, weight, 1.0))
    df = {p: torch.tensor(np.bincount(np.concatenate([code[i] for i in chosen]), minlength=len(there)), dtype=torch.float32) for p, chosen in of.items()}
    step = torch.optim.Adam([{"params": [strength], "lr": .005}, {"params": [weight], "lr": .02}, {"params": [scale], "lr": .01}])
    past = []
    for epoch in range(EPOCHS):
        batches = []
        for p, chosen in of.items():
            chosen = rng.sample(chosen, len(chosen))
            batches += [(p, chosen[k:k + BATCH]) for k in range(0, len(chosen), BATCH) if len(chosen) - k >= SMALLEST]
        rng.shuffle(batches)
        for n, (p, chosen) in enumerate(batches):
            text = torch.zeros(len(chosen), len(there))
            text[code.rows(chosen)] = 1.0
            text[names.rows(chosen)] = float(words.NAME)
            row, term = told.rows(chosen)
            used, at = np.unique(term, return_inverse=True)
            where = torch.full((len(asked),), -1)
            where[torch.tensor(used)] = torch.arange(len(used))
            mine = where[pairs[0]] >= 0
            other = torch.zeros(len(used), len(there)).index_put((where[pairs[0][mine]], pairs[1][mine]), strength[mine])
            tf = text @ other.t() + text[:, itself[used]]
            units = len(of[p])
            held = (df[p][itself[used]] + other.detach() @ df[p]).clamp(max=units)
            worth = (torch.log(1 + (units - held + .5) / (held + .5)) + weight[used]).clamp(min=words.FLOOR)
            question = torch.zeros(len(chosen), len(used))
            question[row, at] = 1.0
            loss = torch.nn.functional.cross_entropy(scale * ((question * worth) @ (tf / (words.K1 + tf)).t()), torch.arange(len(chosen)))
            past.append(float(loss))
            (loss + 1e-4 * weight.pow(2).sum() / len(weight) ** .5).backward()
            step.step()
            step.zero_grad()
            with torch.no_grad():
                strength.clamp_(0, 1)
                weight.clamp_(-4, 3)
            if n % 100 == 99:
                print("epoch %d, %d of %d: loss %.3f" % (epoch, n + 1, len(batches), sum(past[-100:]) / 100), flush=True)
    return strength.detach().numpy(), weight.detach().numpy()


def main(corpus, target):
    vocabulary, told, names, code, package, which = read(corpus)
    plain = np.array([t.isalnum() and t.isascii() and len(t) > 1 for t in vocabulary])
    often_asked, stands = (np.bincount(np.concatenate(x.all), minlength=len(vocabulary)) for x in (told, code))
    asked = np.flatnonzero((often_asked >= OFTEN_ASKED) & plain)
    there = np.union1d(np.flatnonzero((stands >= OFTEN_THERE) & plain), asked)
    place = np.full((2, len(vocabulary)), -1)
    place[0, asked], place[1, there] = np.arange(len(asked)), np.arange(len(there))
    told.close(place[0], len(asked))
    names.close(place[1], len(there))
    often = code.close(place[1], len(there))
    of, among = collections.defaultdict(list), collections.defaultdict(list)         # of a package; among those no definition stands twice
    for i, p in enumerate(package):
        if len(told[i]):
            of[p].append(i)
            among[p, which[i]].append(i)
    print(len(package), "pairs;", len(asked), "terms asked,", len(there), "there", flush=True)
    count = model_1(told, names, code, len(asked), len(there), often)[:, :-1]
    guess = count / np.maximum(count.sum(0), 1e-9) * count / (count + 10)             # what called for it seldom is not sure
    guess[count < 5] = 0
    itself = place[1, asked]
    guess[np.arange(len(asked)), itself] = 0
    guess[guess < np.maximum(.01, np.sort(guess, 1)[:, -CANDIDATES][:, None])] = 0
    pairs = np.argwhere(guess > 0)
    pairs = pairs[spread(told, code, of, pairs[:, 0] * len(there) + pairs[:, 1], len(there)) >= PACKAGES]
    hits, n = np.zeros(len(asked)), np.bincount(told.flat, minlength=len(asked))
    for i in range(len(package)):
        a = told[i]
        hits[a[np.isin(itself[a], code[i])]] += 1
    share = hits.sum() / n.sum()
    odds = np.clip((hits + 20 * share) / (n + 20), .005, .97)
    strength, weight = learn(told, names, code, among, [vocabulary[k] for k in asked], [vocabulary[k] for k in there], pairs, guess[pairs[:, 0], pairs[:, 1]],
                             np.log(odds / (1 - odds)) - math.log(share / (1 - share)))
    others = collections.defaultdict(list)
    for (a, b), s in zip(pairs, strength):
        if s >= LEAST:
            others[a].append((int(round(100 * float(s))), vocabulary[there[b]].decode()))
    lines = []
    for a in range(len(asked)):
        best = sorted(others[a], key=lambda x: (-x[0], x[1]))[:MOST]
        lines.append(" ".join([vocabulary[asked[a]].decode(), str(int(round(75 * float(weight[a]))))] + ["%s %d" % (t, s) for s, t in best]) + "\n")
    with open(target, "w", encoding="ascii") as out:
        out.writelines(sorted(lines, key=lambda line: line.split(" ")[0]))
    print(target, len(lines), "terms,", sum(min(MOST, len(x)) for x in others.values()), "associations,", os.path.getsize(target), "bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
