"""The weights with which landmarks and words rank definitions together: fitted on the packages of development.txt.

    python3 rank.py features MODEL DEV.jsonl.xz OUT.jsonl     # with a GPU: what is known of every candidate of every question
    python3 rank.py fit OUT.jsonl [MODEL/config.json]         # the weight, by maximum likelihood, written there; figures with and without each part

Candidates are the definitions whose blocks a global layer selected or the lexical channel proposed. A candidate's score is
log(sum over its chosen blocks of the softmax of the layers' weighted scores) + lexical * BM25F / (sum of the question words' idf)."""
import json, math, os, random, sys
import numpy as np

KINDS = ("named", "meaning", "asked", "words")


def features(folder, pack, out):
    import collections
    import torch
    import controls as C, data as D, evaluate, questions as Qs, runner
    gpu = torch.cuda.is_available()
    run = runner.Runner(runner.open_model(folder, torch.device("cuda" if gpu else "cpu"), torch.bfloat16 if gpu else torch.float32), *((8, 32768) if gpu else (1, 3072)))
    tokenizer = os.path.join(folder, "tokenizer.json")
    run.tok = D.Tokenizer(tokenizer)
    D.learn_newlines(run.tok)
    repos = collections.defaultdict(list)
    for f in D.load([pack], tokenizer, 1):
        repos[f.repo].append(f)
    with open(out, "w") as sink:
        for name, files in sorted(repos.items()):
            r = evaluate.Repository(files, run.tok, 1e9, 11, needles=0, tasks=0)
            r.own()
            s, rng, rows = run.encode(r.segments), random.Random(3), r.questions(300, 1)
            asked = [("named", q, x) for q, _, x in rows["named"][:150]] + [("meaning", q, x) for q, _, x in rows["meaning"][:300]]
            asked += [("asked", Qs.meaning(q, x["kind"], rng), x) for q, _, x in rows["meaning"][:300]]
            asked += [("words", w, x) for q, _, x in rows["named"][150:300] for w in [Qs.by_words(x["name"], x["kind"], rng)] if w]
            for at in range(0, len(asked), 32):
                part = asked[at:at + 32]
                proposed = [r.propose(q) for _, q, _ in part]
                joined = [list(dict.fromkeys(b for _, blocks, _ in p for b in blocks)) for p in proposed]
                _, seen = run.forward([[C.Q] + run.tok.ids(q)[:96] + [C.A] for _, q, _ in part], s, None, "sparse", joined)
                for i, (kind, q, x) in enumerate(part):
                    right, scores, words = r.number[x["key"]], {}, {}
                    by = dict(zip(seen.blocks[i].tolist(), seen.rank[i].tolist()))
                    top = max(by.values())
                    total = math.log(sum(math.exp(v - top) for v in by.values())) + top
                    for b, v in by.items():
                        k = int(r.owner[b]) if r.owner[b] >= 0 else -1 - b
                        scores[k] = scores.get(k, 0.0) + math.exp(v - total)
                    most = r.words.most(q)
                    for k, blocks, score in proposed[i]:
                        k = k if k >= 0 else -1 - blocks[0]
                        words[k] = max(words.get(k, 0.0), score / most)
                    margin = sum(l[3][i].item() for l in seen.layers)
                    row = [(round(math.log(max(v, 1e-9)), 3), round(words.get(k, 0.0), 4), int(k == right)) for k, v in scores.items()]
                    sink.write(json.dumps({"repo": name, "kind": kind, "question": q, "margin": round(margin, 3), "rows": row}) + "\n")
            print(name, s.tokens, "tokens", len(asked), "questions", flush=True)


def fit(path, config=None):
    rows = [json.loads(line) for line in open(path)]
    for r in rows:
        r["x"] = np.array([x[:2] for x in r["rows"]], float)
        r["right"] = np.array([x[2] for x in r["rows"]], bool)

    def figures(w, kind):
        mine = [r for r in rows if r["kind"] == kind]
        place = []
        for r in mine:
            if not r["right"].any():
                place.append(99)
                continue
            s = r["x"] @ w
            place.append(int((s > s[r["right"]].max()).sum()))
        return "%s %.1f/%.1f/%.1f" % (kind, *(100 * np.mean([p < k for p in place]) for k in (1, 5, 16)))

    def loss(w, which):
        total = 0.0
        for r in which:
            s = r["x"] @ w
            s = s - s.max()
            total -= math.log(np.exp(s)[r["right"]].sum() / np.exp(s).sum())
        return total / len(which)
    able = [r for r in rows if r["right"].any()]
    best = min(((loss(np.array([a, b]), able), a, b) for a in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2) for b in (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15)))
    print("loss %.4f landmarks %.2f lexical %.2f (ratio %.2f)" % (*best, best[2] / best[1]))
    for name, w in (("landmarks alone", (1, 0)), ("words alone", (1e-6, 1)), ("together", best[1:])):
        print("%-16s" % name, ", ".join(figures(np.array(w), k) for k in KINDS))
    if config:
        with open(config) as f:
            c = json.load(f)
        c["lexical_weight"] = round(best[2] / best[1], 3)
        with open(config, "w") as f:
            json.dump(c, f, indent=2)
            f.write("\n")
    for repo in sorted({r["repo"] for r in rows}):
        mine = [r for r in able if r["repo"] == repo]
        print("%-16s loss alone %.3f together %.3f" % (repo, loss(np.array([1.0, 0]), mine), loss(np.array(best[1:]), mine)))


if __name__ == "__main__":
    {"features": features, "fit": fit}[sys.argv[1]](*sys.argv[2:])
