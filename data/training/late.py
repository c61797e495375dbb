"""What the late interaction should count beside the landmarks: export.py's factor, by maximum likelihood on packages that are not trained on.

    python3 late.py MODEL CORPUS/dev.jsonl.xz [OUT.json] [--wait]

Each package is a context of its own, comments of half its documented functions taken out; asked are their first sentences and people's
questions. Candidates are the definitions of the blocks that evaluate.py orders, words joined and counted as the program shows them.
Factors are beside the one that the model's matrix already holds. Then every package is asked the questions of the next one: how much what the
first passage says, read alone, should count in whether anything answers (config.json's read_null_weight and read_null_score), where ALARMS of the
questions that have an answer may be called absent. A GPU is of use; --wait as in evaluate.py."""
import collections, json, math, os, random, sys, time
import numpy as np
import torch
import asked as people, controls as C, data as D, evaluate, runner
from rank import LEAST_RANK

EACH = 80                                # questions of a kind and package
FACTORS = (0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1, 1.2, 1.4)
ALARMS = 0.02                            # of the questions that have an answer
WEIGHTS = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5)   # of what the first passage says, beside the landmarks' margin
SCALES = (0.3, 0.4, 0.5, 0.6, 0.8, 1)   # of the whole score, as rank.py has them: order matters, not how sure it is


def questions(files, r):
    """-> [(kind, question, numbers of the definitions in r.defs that are right)]"""
    rng, rows = random.Random(20261127), []
    meaning = [("meaning", q, {r.number[x["key"]]}) for q, _, x in r.questions(EACH, 1)["meaning"][:EACH]]
    asked = people.of(files)
    for i, f in enumerate(r.files):
        at = next(j for j, g in enumerate(files) if g is f)
        for d, texts in asked.get(at, {}).items():
            if (i, d) in r.number:
                rows += [("people", t, {r.number[i, d]}) for t in texts]
    rng.shuffle(rows)
    return meaning + rows[:EACH]


def candidates(run, r, s, rows, size=32):
    """-> of each question: kind, [(right or not, what counts beside, [(landmarks, late interaction, reading alone) of its blocks])]; and kind,
    by how much the best landmarks are above "not here", what the first passage says read alone"""
    run.c.read_null_weight, run.c.read_null_score, out, sure = 1.0, 0.0, [], []
    for at in range(0, len(rows), size):
        part = rows[at:at + size]
        seen, prior = evaluate.look(run, s, [q for _, q, _ in part], s.blocks, r)
        for i, (kind, _, right) in enumerate(part):
            blocks, first = np.unique(seen.blocks[i].cpu().numpy(), return_index=True)
            landmarks, late, rank = (x[i].float().cpu().numpy()[first] for x in (seen.landmarks, seen.late, seen.rank))
            parts, beside = collections.defaultdict(list), {}
            for b, x in zip(blocks.tolist(), zip(landmarks.tolist(), (late - landmarks).tolist(), (rank - late).tolist())):
                k = r.place(b)
                parts[k].append(x)
                beside[k] = prior[i](b)
            out.append((kind, [(k in right, beside[k], x) for k, x in parts.items()]))
            margin = sum(l[3][i].item() for l in seen.layers)
            sure.append((kind, margin, seen.margin[i].item() - margin))
    return out, sure


def told(here, elsewhere):
    """What candidates() says second, of questions with an answer and without -> {weight: the sum at which ALARMS of the former are called absent and the score that gives it, {kind: per cent of
    the latter that are}}"""
    results = {}
    for w in WEIGHTS:
        limit = float(np.quantile([m + w * x for _, m, x in here], ALARMS))
        kinds = collections.defaultdict(list)
        for kind, m, x in elsewhere:
            kinds[kind].append(m + w * x < limit)
        results[w] = {"limit": round(limit, 3), "score": round(limit / w, 3) if w else None, **{k: round(100 * float(np.mean(v)), 1) for k, v in kinds.items()}}
    return results


def tried(rows, factor):
    """-> mean -log likelihood of the right definition; {kind: [first, five, sixteen in per cent]}"""
    losses, n, places = np.zeros(len(SCALES)), 0, collections.defaultdict(list)
    for kind, row in rows:
        blocks = [[l + factor * a + b for l, a, b in x] for _, _, x in row]
        top = max(max(b) for b in blocks)
        mass = np.array([sum(math.exp(v - top) for v in b) for b in blocks])
        score = np.log(np.maximum(mass / mass.sum(), LEAST_RANK)) + np.array([w for _, w, _ in row])
        right = np.array([x[0] for x in row])
        places[kind].append((score > score[right].max()).sum() if right.any() else 999)
        if right.any():
            score = score - score.max()
            losses -= [math.log(np.exp(s * score[right]).sum() / np.exp(s * score).sum()) for s in SCALES]
            n += 1
    return losses.min() / max(1, n), {k: [round(100 * np.mean([p < m for p in v]), 1) for m in (1, 5, 16)] for k, v in places.items()}


def main(folder, dev, out=None, wait=False):
    tokenizer = os.path.join(folder, "tokenizer.json")
    tok = D.Tokenizer(tokenizer)
    D.learn_newlines(tok)
    repos, laid = collections.defaultdict(list), []
    for f in D.load([dev], tokenizer, 1):
        repos[f.repo].append(f)
    for repo, files in sorted(repos.items()):
        r = evaluate.Repository(files, tok, 1e9, 11, needles=0, tasks=0)
        r.own()
        laid.append((repo, r, questions(files, r)))
        evaluate.log(repo, r.total, "tokens", len(laid[-1][2]), "questions")
    while wait and not os.path.exists(os.path.join(folder, "model.safetensors")):
        time.sleep(0.5)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = runner.Runner(runner.open_model(folder, device, torch.bfloat16 if device.type == "cuda" else torch.float32), *((8, 32768) if device.type == "cuda" else (1, 3072)))
    run.tok = tok
    with open(os.path.join(folder, "config.json")) as f:
        run.lexical = json.load(f)["lexical_weight"]
    rows, here, elsewhere = [], [], []
    for (repo, r, asked), (_, _, others) in zip(laid, laid[1:] + laid[:1]):
        s = run.encode(r.segments, r.path, r.together)
        mine, sure = candidates(run, r, s, asked)
        rows, here = rows + mine, here + sure
        elsewhere += candidates(run, r, s, others)[1]
        evaluate.log(repo, "asked")
    results, absent = {}, told(here, elsewhere)
    for w, row in absent.items():
        evaluate.log("read_null_weight", w, "limit, read_null_score and recognised:", json.dumps(row))
    for factor in FACTORS:
        loss, shares = tried(rows, factor)
        results[factor] = {"loss": round(loss, 4), **shares}
        evaluate.log("late interaction %.2f: loss %.4f" % (factor, loss), json.dumps(shares))
    if out:
        with open(out, "w") as f:
            json.dump({"questions": len(rows), "factors": results, "absent": absent, "rows": rows}, f)


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if a != "--wait"]
    main(*args, wait="--wait" in sys.argv)
