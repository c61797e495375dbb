"""Checks of the questions written by hand that need no sources: their form, the repositories they ask, that none comes twice,
and that none gives its answer's name away. Whether the answer is right is for a reader of the code to say."""
import glob, json, os, re, sys, unittest
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import collect, heldout, questions

# Words that any question may hold, whatever its answer is called.
COMMON = set("a an and as at by do does find for from get has have if in into is it make new no not of off on or out set should the to up what with".split())


def rows():
    """-> [(file, line number, question)]"""
    out = []
    for name in sorted(glob.glob(os.path.join(HERE, "..", "questions", "*.jsonl"))):
        with open(name, encoding="utf-8") as f:
            out += [(os.path.basename(name), i, json.loads(line)) for i, line in enumerate(f, 1)]
    return out


def pieces(text):
    """The words of a name or a question, plural and singular alike"""
    words = set(questions.pieces(text)) | set(re.findall(r"[a-z]+|[0-9]+", text.lower()))
    return {w[:-1] if w.endswith("s") and len(w) > 3 else w for w in words if len(w) > 1} - COMMON


def answers(row):
    return [row] + row.get("also", [])


class ByHand(unittest.TestCase):
    def check(self, test):
        for file, i, row in rows():
            with self.subTest(file=file, line=i):
                test(row)

    def test_form(self):
        def form(row):
            self.assertLessEqual({"repo", "question", "path", "name"}, set(row))
            self.assertLessEqual(set(row), {"repo", "question", "path", "name", "also"})
            self.assertNotEqual(row.get("also"), [])
            self.assertRegex(row["question"], r"\S.{5,}\S$")
            self.assertLess(len(row["question"]), 160)
            self.assertEqual(row["question"], " ".join(row["question"].split()))
            for a in answers(row):
                self.assertRegex(a["name"], r"^[\w$!?=]+$")
                self.assertFalse(a["path"].startswith("/") or ".." in a["path"].split("/") or "\\" in a["path"], a["path"])
                self.assertFalse(collect.DATA.search(a["path"]) or collect.TEST.search(a["path"]), "tests and copies of other projects are no answers")
            places = [(a["path"], a["name"]) for a in answers(row)]
            self.assertEqual(len(places), len(set(places)))
            for a in row.get("also", []):
                self.assertEqual(set(a), {"path", "name"})
        self.check(form)

    def test_repositories(self):
        reserved = {source for _, source, why in heldout.table() if why == "questions"}
        used = {p[0] for p in collect.packages()}
        files = {}
        for file, _, row in rows():
            files.setdefault(file, set()).add(row["repo"])
        for file, repos in files.items():
            self.assertEqual(len(repos), 1, file)
            self.assertLessEqual(repos, reserved - used, file)

    def test_no_question_twice(self):
        seen, asked = {}, {}
        for file, i, row in rows():
            key = re.sub(r"\W+", " ", row["question"].lower()).strip()
            self.assertNotIn(key, seen, (file, i))
            seen[key] = file
            place = (row["repo"], row["path"], row["name"])
            asked[place] = asked.get(place, 0) + 1
        self.assertLessEqual(max(asked.values()), 2, "two questions for one function at most")

    def test_the_name_is_not_spelled(self):
        def unspelled(row):
            told, free = pieces(row["question"]), pieces(row["repo"])
            for a in answers(row):
                self.assertNotIn(a["name"].lower(), row["question"].lower())
                named = pieces(a["name"]) - free
                self.assertLessEqual(len(named & told), 1, (a["name"], row["question"]))
        self.check(unspelled)


if __name__ == "__main__":
    unittest.main()
