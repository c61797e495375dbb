"""RULER's tasks and needles of questions.py, planted in a pack's source and asked of the program itself.

    python3 ask_planted.py SPARSEX PACK.jsonl.xz WORK [MODEL]

Writes the pack as a git repository under WORK, 24 tasks of each kind and 64 needles as comment lines at random places of it, lets SPARSEX answer (on this machine's
CPU, with the bundled model or MODEL), and prints how many answers hold every expected word, with 95 % intervals, and the mean over the kinds of tasks."""
import collections, os, random, shutil, sys
import ask_by_hand, by_hand, data as D, questions as Q, shards

SEED, EACH, NEEDLES = 20261128, 24, 64


def planted(records, rng, each=EACH, needles=NEEDLES):
    """Puts the tasks' lines into the records' text -> [(kind, question, expected words)]"""
    used, rows, places = set(), [], collections.defaultdict(list)
    sizes = [len(r["text"]) for r in records]
    for kind in ("needle",) * needles + Q.TASKS * each:
        lines, question, words, _, _ = Q.task("single" if kind == "needle" else kind, rng, used)
        for line in lines:                               # by length, so that every part of the context is as likely
            r = rng.choices(records, sizes)[0]
            places[id(r)].append((rng.randrange(r["text"].count("\n") + 1), line))
        rows.append((kind, question, words))
    for r in records:
        text, mark = r["text"].split("\n"), D.MARKS.get(r["lang"], "// ")
        for at, line in sorted(places[id(r)], reverse=True):
            text.insert(at, mark + line)
        r["text"] = "\n".join(text)
    return rows


def main(sparsex, pack, work, *model):
    records = list(shards.read(pack))
    for r in records:
        r["path"] = r["repo"] + "/" + r["path"]
    rows = planted(records, random.Random(SEED))
    folder = os.path.join(os.path.abspath(work), "planted-" + os.path.basename(pack).split(".")[0])
    shutil.rmtree(folder, ignore_errors=True)
    ask_by_hand.repository(folder, records)
    answers = ask_by_hand.answers_of(sparsex, folder, [q for _, q, _ in rows], ["--model", *model] if model else [])
    exact = collections.defaultdict(list)
    for (kind, _, words), answer in zip(rows, answers):
        exact[kind].append(all(w in answer["answer"] for w in words))
    for kind, hits in exact.items():
        print("%-12s n %3d  every word in %s" % (kind, len(hits), by_hand.interval(sum(hits), len(hits))))
    tasks = [sum(h) / len(h) for k, h in exact.items() if k != "needle"]
    print("mean of the %d kinds %.1f" % (len(tasks), 100 * sum(tasks) / len(tasks)))


if __name__ == "__main__":
    main(*sys.argv[1:])
