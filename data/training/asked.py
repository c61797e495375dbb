"""Questions about functions of the corpus as people put them: asked/*.tsv, each line package, path, function, questions. Written by reading
the code, without its name and not in the words of its comment, for packages that are neither held out nor asked by hand. Standard library only."""
import glob, os
from units import KIND

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "asked")
ASKABLE = ("function", "method")


def read(folder=FOLDER):
    """-> {(package, path): {name of a function: [question]}}"""
    out = {}
    for name in sorted(glob.glob(os.path.join(folder, "*.tsv"))):
        with open(name, encoding="utf-8") as f:
            for line in f:
                package, path, function, *questions = line.rstrip("\n").split("\t")
                out.setdefault((package, path), {}).setdefault(function, []).extend(questions)
    return out


def of(files, table=None):
    """data.File list -> {its number: {number of a definition: [question]}}; a name that a file has twice is left out"""
    table, out = table or read(), {}
    for i, f in enumerate(files):
        mine = table.get((f.repo, f.path))
        if not mine:
            continue
        where = {}
        for j, d in enumerate(f.defs):
            where.setdefault(f.name(d), []).append(j)
        found = {w[0]: mine[n] for n, w in where.items() if n in mine and len(w) == 1 and f.defs[w[0]][KIND] in ASKABLE}
        if found:
            out[i] = found
    return out
