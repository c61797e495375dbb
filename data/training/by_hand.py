"""The questions written by hand, and how a share is written down. Needs Python alone."""
import collections, json, math, os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "questions")


def read(folder=FOLDER):
    """-> repository -> its questions"""
    rows = collections.defaultdict(list)
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            for line in f:
                row = json.loads(line)
                rows[row["repo"]].append(row)
    return rows


def answers(row):
    """The (path, name) pairs that are right"""
    return {(a["path"], a["name"]) for a in [row] + row.get("also", [])}


def is_answer(right, path, name):
    """Is the definition of that name in the file `path` among answers()? Where the mirror lacks a source, its files come from a binary package, some folders down"""
    return any(name == n and ("/" + path).endswith("/" + p) for p, n in right)


def interval(k, n):
    """Wilson's 95 % interval -> "91.2 (88.0-93.7)" in per cent"""
    if not n:
        return "-"
    z, p = 1.96, k / n
    mid, half, d = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)), 1 + z * z / n
    return "%.1f (%.1f-%.1f)" % (100 * p, 100 * (mid - half) / d, 100 * (mid + half) / d)
