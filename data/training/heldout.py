"""Keeps evaluation code out of the training set: by package, by path, by content hash and by near-duplicate check.

The near-duplicate check compares word shingles. Of all runs of SHINGLE words in a file those are kept whose first word
has a checksum divisible by SAMPLE, so the same text keeps the same shingles wherever it stands. A file is refused when
THRESHOLD of its kept shingles occur in held-out files. Containment, not similarity, is measured: a file that was copied
into a larger one is found too. Shingles of many held-out files are licence headers and the like and are not counted.
Only the standard library is needed here."""
import hashlib, os, re, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
SHINGLE, SAMPLE, THRESHOLD, BOILERPLATE = 5, 16, 0.30, 12
# Names of these projects are ordinary words too; they are held out only where the whole package is meant.
ORDINARY = {"requests", "linux", "black", "express", "commander", "composer"}
WORD = re.compile(rb"\w+")
BLANK = re.compile(rb"\s+")


def table(path=os.path.join(HERE, "held_out.tsv")):
    """-> [(name, Debian source package, why)]"""
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
    return [tuple(row) for row in rows]


def _path_pattern():
    names = [re.escape(name) for name, _, _ in table() if name not in ORDINARY]
    names += ["hiredis", "libsqlite3-sys", "rayon-core", "commons-lang3", "cobra-cli"]
    # A folder or a file stem of that name, a version behind it allowed: redis/, sqlite3.c, libfmt is not fmtlib.
    names = "|".join(sorted(names, key=len, reverse=True))
    copies = r"(?:_?vendor(?:ed)?|third[-_]?party|site-packages|dist-packages|node_modules|packages|externals?|extern|deps|src)"
    ordinary = "|".join(sorted(ORDINARY))
    kernel = r"(?:linux|standard)-headers"
    return re.compile(r"(?:^|/)(?:lib|python3?-|ruby-|node-|golang-|rust-)?(?:%s)(?:[-_.]?v?[0-9][^/]*)?(?:\.(?:c|h|cc|cpp|py|go|rs|js|rb|java))?(?:/|$)"
                      r"|(?:^|/)%s/(?:%s)(?:[-_.]?v?[0-9][^/]*)?(?:/|$)|(?:^|/)%s(?:/|$)|(?:^|/)sqlite3(?:ext)?\.[ch]$" % (names, copies, ordinary, kernel), re.I)


PATH = _path_pattern()


def held_package(package):
    """Is this Debian source package one of the held-out ones, whatever version?"""
    return any(package == source or package == name for name, source, _ in table())


def held_path(path):
    """Does the path say that the file belongs to a held-out project, or is a copy of one?"""
    return PATH.search(path) is not None


def content_hash(data):
    """A hash that does not change with blanks and line ends."""
    return hashlib.blake2b(BLANK.sub(b"", data), digest_size=12).digest()


class _Sampled(dict):
    """word -> is it the start of a kept shingle; remembered, because words repeat."""

    def __missing__(self, word):
        kept = self[word] = zlib.crc32(word) % SAMPLE == 0
        if len(self) > 2000000:
            self.clear()
        return kept


_sampled = _Sampled()


def sketch(data):
    """-> the set of kept shingles of a file, as numbers"""
    words = WORD.findall(data)
    last = len(words) - SHINGLE + 1
    return {zlib.crc32(b" ".join(words[i:i + SHINGLE])) | (zlib.crc32(words[i + SHINGLE - 1]) & 0xff) << 32
            for i in range(max(0, last)) if _sampled[words[i]]}


class HeldOut:
    """The contents of held-out files, by hash and by shingle."""

    def __init__(self):
        self.hashes, self.shingles = set(), {}

    def add(self, data, near=True):
        """near=False: remember the exact content only (for very large projects)"""
        self.hashes.add(content_hash(data))
        if near:
            for s in sketch(data):
                self.shingles[s] = self.shingles.get(s, 0) + 1

    def containment(self, kept):
        """The share of a file's kept shingles that occur in held-out files."""
        told = [s for s in kept if self.shingles.get(s, 0) < BOILERPLATE]
        if len(told) < 4:
            return 0.0
        return sum(1 for s in told if s in self.shingles) / len(told)

    def why(self, path, data, kept=None):
        """-> "path", "content", "near" or None: why this file may not be trained on"""
        if held_path(path):
            return "path"
        if content_hash(data) in self.hashes:
            return "content"
        if self.containment(sketch(data) if kept is None else kept) >= THRESHOLD:
            return "near"
        return None
