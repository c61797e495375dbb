"""The tokenizer: byte-level BPE with the pre-tokenizer pattern that the engine knows, trained on the corpus.

    python3 tokens.py OUT/tokenizer.json SHARD...

Training needs the `tokenizers` package. Where it is missing, a slow reader of the same file (needs the `regex` package)
gives the same ids, which is enough for the checks on a machine without it."""
import functools, json, random, re, sys
import controls

VOCABULARY = 16384
PATTERN = r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""


def train(texts, path):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=list(controls.SPELLINGS), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.save(path)
    check(path)


def check(path):
    """The control tokens have the ids and spellings of the table, and nothing else is added."""
    with open(path, encoding="utf-8") as f:
        data = json.load(f)
    added = [(t["id"], t["content"]) for t in data["added_tokens"]]
    if added != list(enumerate(controls.SPELLINGS)) or not all(t["special"] for t in data["added_tokens"]):
        raise SystemExit("tokens.py: %s has other control tokens than controls.py: %r" % (path, added))


def byte_letters():
    """byte -> the letter that stands for it in the vocabulary of a byte-level BPE (GPT-2's table)"""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}


class Slow:
    """Reads tokenizer.json without the `tokenizers` package."""

    def __init__(self, path):
        import regex
        with open(path, encoding="utf-8") as f:
            data = json.load(f)
        self.vocabulary = data["model"]["vocab"]
        merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in data["model"]["merges"]]
        self.rank = {m: i for i, m in enumerate(merges)}
        self.split, self.letters = regex.compile(PATTERN), byte_letters()
        self.bytes = {v: k for k, v in self.letters.items()}
        self.words = {i: w for w, i in self.vocabulary.items()}
        self.piece = functools.lru_cache(200000)(self._piece)

    def _piece(self, text):
        parts = [self.letters[b] for b in text.encode()]
        while len(parts) > 1:
            best = min(range(len(parts) - 1), key=lambda i: self.rank.get((parts[i], parts[i + 1]), 1 << 60))
            if (parts[best], parts[best + 1]) not in self.rank:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        return [(self.vocabulary[p], len(p)) for p in parts]

    def tokens(self, text):
        """-> [(id, bytes)]"""
        return [t for p in self.split.findall(text) for t in self.piece(p)]

    def decode(self, ids):
        return b"".join(bytes(self.bytes[c] for c in self.words[i]) for i in ids if i >= len(controls.NAMES)).decode("utf-8", "replace")


class Tokenizer:
    """text -> ids, and where each token ends in the UTF-8 bytes. Control tokens never come out of text."""

    def __init__(self, path):
        self.path, self.slow = path, None
        try:
            from tokenizers import Tokenizer as Fast
            self.fast = Fast.from_file(path)
        except ImportError:
            self.fast, self.slow = None, Slow(path)

    def ids(self, text):
        return self.fast.encode(text, add_special_tokens=False).ids if self.fast else [i for i, _ in self.slow.tokens(text)]

    def many(self, texts):
        return [e.ids for e in self.fast.encode_batch(texts, add_special_tokens=False)] if self.fast else [self.ids(t) for t in texts]

    def with_ends(self, text):
        """-> ids, byte offset behind each token (numpy)"""
        import numpy as np
        if self.slow:
            t = self.slow.tokens(text)
            return np.array([i for i, _ in t], np.uint16), np.cumsum([n for _, n in t]).astype(np.uint32)
        e = self.fast.encode(text, add_special_tokens=False)
        ids, ends = np.array(e.ids, np.uint16), np.array([b for _, b in e.offsets], np.int64)
        if not text.isascii():                             # offsets count characters; a character may be several tokens
            code = np.frombuffer(text.encode("utf-32-le"), np.uint32)
            size = 1 + (code > 0x7f) + (code > 0x7ff) + (code > 0xffff)
            ends = np.concatenate([[0], np.cumsum(size)])[ends]
        return ids, ends.astype(np.uint32)

    def decode(self, ids):
        return self.fast.decode(list(ids)) if self.fast else self.slow.decode(ids)


def sample(records, rng, most=60_000_000):
    """Texts to train the tokenizer on: files, paths and comments, about `most` characters."""
    out, n = [], 0
    order = list(range(len(records)))
    rng.shuffle(order)
    for i in order:
        r = records[i]
        out += [r["text"], r["path"]]
        n += len(r["text"])
        if n > most:
            break
    return out


if __name__ == "__main__":
    import shards
    train(sample([r for f in sys.argv[2:] for r in shards.read(f)], random.Random(1)), sys.argv[1])
