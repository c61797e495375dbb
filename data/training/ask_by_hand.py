"""The questions written by hand, asked of the program itself: what a user sees, ranking and all.

    python3 ask_by_hand.py SPARSEX PACKS WORK [repository ...]

Makes a git repository of each project in PACKS/questions.jsonl.xz under WORK, lets SPARSEX answer (on this machine's CPU, bundled model), and prints how often a right
definition comes first and within five of the places that are shown, with 95 % intervals (Wilson 1927)."""
import collections, json, os, re, subprocess, sys
import by_hand, shards

def repository(folder, files):
    for f in files:
        path = os.path.join(folder, f["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as out:
            out.write(f["text"])
    git = ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.autocrlf=false"]
    for command in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "-m", "pack"]):
        subprocess.run(git + command, check=True)


def answers_of(sparsex, folder, questions, options=()):
    """-> the program's answers, as it writes them with --json"""
    batch = folder + ".questions"
    with open(batch, "w", encoding="utf-8") as f:
        f.writelines(q.replace("\n", " ") + "\n" for q in questions)
    answers = subprocess.run([sparsex, "ask", folder, "--batch", batch, "--json", "--quiet", *options], check=False, stdout=subprocess.PIPE).stdout.decode().splitlines()
    if len(answers) != len(questions):
        sys.exit("%s: %d answers to %d questions" % (folder, len(answers), len(questions)))
    return [json.loads(a) for a in answers]


def unscoped(name):
    """The last part of a shown name"""
    return re.split(r"::|\.|#", name or "")[-1]


def ask(sparsex, folder, rows):
    """-> the place of the first right span in each answer, from 1; 0 where none is shown"""
    places = []
    for row, answer in zip(rows, answers_of(sparsex, folder, [r["question"] for r in rows])):
        right = by_hand.answers(row)
        places.append(next((i for i, s in enumerate(answer["spans"], 1) if by_hand.is_answer(right, s["path"], unscoped(s["name"]))), 0))
    return places


def report(name, places):
    n = len(places)
    print("%-24s n %3d  first %s  within five %s" % (name, n, by_hand.interval(sum(p == 1 for p in places), n), by_hand.interval(sum(0 < p <= 5 for p in places), n)), flush=True)


def main(sparsex, packs, work, *names):
    files = collections.defaultdict(list)
    for record in shards.read(os.path.join(packs, "questions.jsonl.xz")):
        files[record["repo"]].append(record)
    everywhere = []
    for repo, rows in by_hand.read().items():
        if repo not in files or (names and repo not in names):
            continue
        folder = os.path.join(os.path.abspath(work), repo)
        if not os.path.isdir(os.path.join(folder, ".git")):
            repository(folder, files[repo])
        places = ask(sparsex, folder, rows)
        everywhere += places
        report(repo, places)
    report("all", everywhere)


if __name__ == "__main__":
    main(*sys.argv[1:])
