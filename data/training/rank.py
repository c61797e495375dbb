"""The weight with which words rank definitions beside landmarks: fitted through the program on packages of development.txt.

    python3 rank.py ask SPARSEX CORPUS/dev.jsonl.xz WORK OUT.jsonl [package ...]   # asks; what is known of every candidate of every question
    python3 rank.py fit OUT.jsonl [MODEL/config.json]                              # the weight, by maximum likelihood, written there

Comments of half of the documented functions are taken out of the sources, and those functions are asked for by their first sentence, as it
stands and as someone would put it; others by name, by the words of their name, and with the questions of people (asked.py), whose functions
keep their comments. Candidates are the places that the program
selected; a candidate's score is log(rank) + lexical_weight * (words / the best find's)^2, more for a name in the question, less for tests
(app/ranking.h).
Standard library only."""
import collections, functools, json, math, os, random, re, subprocess, sys
import ask_by_hand, asked as people, docs, questions as Qs, shards
from units import DOC0, DOC1, END, KIND, NAME0, NAME1, START, line_start, whole_lines

KINDS = ("named", "meaning", "asked", "words", "people")
EACH = 120                       # questions of a kind and package
WEIGHT = 4                       # lexical_weight of a model for which none was fitted: without, evaluations would order by the model alone
LEAST_RANK, ASIDE, MENTIONED, ASKED_FOR = 1e-5, 5.0, 3.0, 1000.0        # app/ranking.[ch]
CLASSES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "indexer", "blob.c")
ASKING = set("""a about an and are by call called caller callers calls can class code constant declared declaration define defined defines definition describe did do does enum
    explain file files find for from function get functions go here how i implementation implemented implements in interface is it its locate look macro me method methods module of
    on open or purpose s see show source struct tell that the there this to trait type usages use used uses variable was what where which who at""".split())


def outright(question, name):
    """Does the question give this name, clearly as a name? (app/ranking.h)"""
    for m in re.finditer(r"(?<!\w)" + re.escape(name) + r"(?!\w)", question) if name else ():
        before, behind = question[m.start() - 1:m.start()], question[m.end():m.end() + 1]
        if behind == "(" or (before == behind and before in ("`", "'")) or re.search(r"[_0-9]|.[A-Z]", name):
            return True
    return False


def asks_for_names(question, names):
    """Does the question ask for these names, which are outright in it, and say no more? (app/ranking.h)"""
    for name in names:
        question = question.replace(name, " " * len(name))
    return sum(len(w) > 1 and w.lower() not in ASKING for w in re.findall(r"(?:\w|[^\x00-\x7f])+", question, re.A)) <= 1


@functools.lru_cache(1)
def asides():
    """-> expressions that paths of tests and vendored copies fit, from the program's own lists (indexer/blob.c)"""
    with open(CLASSES, encoding="utf-8") as f:
        lists = {m[1]: "".join(re.findall('"([^"]*)"', m[2])).split() for m in re.finditer(r'static const char (\w+)\[\] =\s*((?:"[^"]*"\s*)+);', f.read())}
    folders = "|".join(map(re.escape, lists["vendored_directories"] + lists["test_directories"]))
    ends = "|".join(map(re.escape, lists["test_ends"]))
    return re.compile(r"(^|/)(%s)/|(%s)$" % (folders, ends), re.I), re.compile(r"(^|/)(test_[^/]*|conftest\.py)$")


def aside(path):
    """Is this the path of a test or of a vendored copy? Of source: a document never counts as one (sx_blob_class)"""
    return any(x.search(path) for x in asides())


def of_tests(question):
    """sx_question_of_tests"""
    return "test" in question.lower()


def prepare(records, rng):
    """-> records with some comments taken out, {kind: [(question, path, name)]}"""
    out, rows, names, questions = [], collections.defaultdict(list), collections.Counter(), people.read()
    for r in records:
        data = r["text"].encode()
        cuts, mine = [], questions.get((r["repo"], r["path"]), {})
        rows["people"] += [(q, r["path"], n) for n, texts in mine.items() for q in texts]
        for d in r["defs"]:
            name = data[d[NAME0]:d[NAME1]].decode("utf-8", "replace")
            names[name] += 1
            if d[KIND] not in ("function", "method") or not Qs.GOOD_NAME.match(name):
                continue
            rows["all"].append((r["path"], name, d[KIND]))
            if d[DOC1] <= d[DOC0] or rng.random() < 0.5 or name in mine:
                continue
            cuts.append((line_start(data, d[DOC0]), max(d[DOC1], line_start(data, d[START]))) if d[DOC1] <= d[START] else whole_lines(data, d[DOC0], d[DOC1]))
            told = docs.sentences(data[d[DOC0]:d[DOC1]].decode("utf-8", "replace"), name, 1)
            if told and len(told[0]) >= 16 and name.lower() not in told[0].lower():
                rows["told"].append((told[0], r["path"], name, d[KIND]))
        for a, b in sorted(cuts, reverse=True):
            data = data[:a] + data[b:]
        out.append(dict(r, text=data.decode("utf-8", "replace")))
    rng.shuffle(rows["told"])
    rng.shuffle(rows["all"])
    one = [x for x in rows["all"] if names[x[1]] == 1]
    asked = {"meaning": [(t, p, n) for t, p, n, _ in rows["told"][:EACH]], "asked": [(Qs.meaning(t, k, rng), p, n) for t, p, n, k in rows["told"][:EACH]],
             "named": [("Where is `%s` defined?" % n, p, n) for p, n, _ in one[:EACH]], "people": rows["people"]}
    asked["words"] = [(w, p, n) for p, n, k in one[EACH:3 * EACH] for w in [Qs.by_words(n, k, rng)] if w][:EACH]
    return out, asked


def ask(sparsex, dev, work, out, *names):
    repos = collections.defaultdict(list)
    for r in shards.read(dev):
        repos[r["repo"]].append(r)
    with open(out, "w") as sink:
        for repo in names or sorted(repos):
            records, asked = prepare(repos[repo], random.Random("20261126 " + repo))
            folder = os.path.join(os.path.abspath(work), repo)
            if not os.path.isdir(os.path.join(folder, ".git")):
                ask_by_hand.repository(folder, records)
            rows = [(kind, *x) for kind in KINDS for x in asked[kind]]
            answers = ask_by_hand.answers_of(sparsex, folder, [q for _, q, _, _ in rows], ["--top", "100"])
            for (kind, question, path, name), answer in zip(rows, answers):
                shown = [ask_by_hand.unscoped(s["name"]) for s in answer["spans"]]
                named = [outright(question, n) for n in shown]
                extra = ASKED_FOR if asks_for_names(question, {n for n, is_named in zip(shown, named) if is_named}) else MENTIONED
                spans = [(round(s["rank"], 9), round(s["words"], 5), int(s["path"] == path and s["name"] == name),
                          extra * n - (ASIDE if aside(s["path"]) and not of_tests(question) else 0)) for s, n in zip(answer["spans"], named)]
                sink.write(json.dumps({"repo": repo, "kind": kind, "question": question, "rows": spans}) + "\n")
            print(repo, len(rows), "questions", flush=True)


def counted(words, best):
    """What lexical_weight is multiplied with: words, and the most that any find has"""
    return (words / best) ** 2 if best > 0 else 0.0


def score(row, weight):
    """row: rank, counted() of its words, is it right, what counts beside"""
    return math.log(max(row[0], LEAST_RANK)) + weight * row[1] + row[3]


def write_config(path, config):
    """One key a line"""
    with open(path, "w") as f:
        f.write("{\n" + ",\n".join("  %s: %s" % (json.dumps(k), json.dumps(v)) for k, v in config.items()) + "\n}\n")


def fit(path, config=None):
    with open(path) as f:
        rows = [json.loads(line) for line in f]
    for r in rows:
        best = max((words for _, words, _, _ in r["rows"]), default=0.0)
        r["rows"] = [(share, counted(words, best), right, beside) for share, words, right, beside in r["rows"]]

    def figures(kind, key):
        place = []
        for r in (r for r in rows if r["kind"] == kind):
            order = sorted(r["rows"], key=key, reverse=True)
            place.append(next((i for i, x in enumerate(order) if x[2]), 999))
        n = max(1, len(place))
        return "%s %.1f/%.1f/%.1f" % (kind, *(100 * sum(p < k for p in place) / n for k in (1, 5, 16)))

    def loss(weight, scale, which):
        total = 0.0
        for r in which:
            s = [scale * score(x, weight) for x in r["rows"]]
            top = max(s)
            total -= math.log(sum(math.exp(v - top) for v, x in zip(s, r["rows"]) if x[2]) / sum(math.exp(v - top) for v in s) + 1e-12)
        return total / max(1, len(which))
    able = [r for r in rows if r["kind"] != "named" and any(x[2] for x in r["rows"])]     # a name outright comes first whatever the weight
    weights = (0, 1, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 10, 12, 15, 20)
    best = min((loss(w, s, able), w) for w in weights for s in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0))
    print("questions", len(rows), "with the right one among the candidates", len(able), "without names; loss %.4f at weight %g" % best)
    for w in weights:
        print("weight %4g: %s" % (w, ", ".join(figures(k, lambda x: score(x, w)) for k in KINDS)))
    print("words alone: %s" % ", ".join(figures(k, lambda x: x[1]) for k in KINDS))
    if config:
        with open(config) as f:
            c = json.load(f)
        c["lexical_weight"] = best[1]
        write_config(config, c)


if __name__ == "__main__":
    {"ask": ask, "fit": fit}[sys.argv[1]](*sys.argv[2:])
