"""Corpus, step 2: chosen files -> shards that travel (JSON lines, xz). Reads what collect.py wrote.

    python3 shards.py WORK OUT [MB of text] [MiB of one piece] [pieces]
    python3 shards.py --check WORK OUT                                    # reads them back; takes out what is held out

Held-out content is refused here once more (path, hash, near-duplicate), copies inside the corpus are dropped (same content,
or most of it already taken), and each language gets its share. A package is never spread over two pieces, so that each piece
holds whole repositories. A line is {"repo", "path", "lang", "text", "defs"}; a definition is a list of numbers, see unpack()."""
import collections, glob, json, lzma, os, pickle, random, subprocess, sys
import asked, collect, heldout

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20261122
KINDS = ("function", "method", "class", "struct", "union", "enum", "trait", "interface", "type", "macro", "module", "constant", "variable", "property", "namespace", "object", "impl")
SHARE = {"c": .33, "cpp": .13, "python": .15, "go": .08, "rust": .07, "java": .08, "javascript": .04, "typescript": .03, "ruby": .03, "php": .03, "csharp": .02, "bash": .008, "lua": .008}
COPY = 0.6                # a file with this share of its shingles in files that were taken already is a copy
AGAIN = 0.6               # where packages.tsv says of some that they are new: of the others this share of the files that people's questions are about


def pack(definition):
    """Numbers small: each is written as the distance to the one before it."""
    start, end, ns, ne, ds, de, se, kind, parent = definition
    out = [start, end - start, ns - start, ne - ns, se - start, KINDS.index(kind) if kind in KINDS else len(KINDS), parent]
    return out + [ds - start, de - ds] if de > ds else out


def unpack(row):
    """-> (start, end, name start, name end, doc start, doc end, signature end, kind, parent), bytes; no comment: doc start = doc end"""
    start, size, ns, nn, se, kind, parent = row[:7]
    ds, dn = (row[7] + start, row[8]) if len(row) > 7 else (0, 0)
    return (start, start + size, start + ns, start + ns + nn, ds, ds + dn, start + se, KINDS[kind] if kind < len(KINDS) else "definition", parent)


def line(repo, path, language, data, definitions):
    """data is what collect.clean() let through: UTF-8"""
    return (json.dumps({"repo": repo, "path": path, "lang": language, "text": data.decode(), "defs": [pack(d) for d in definitions]}, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def read(name):
    """A shard -> its records, definitions unpacked"""
    out = []
    with lzma.open(name, "rt", encoding="utf-8", newline="\n") as f:
        for text in f:
            r = json.loads(text)
            r["defs"] = [unpack(d) for d in r["defs"]]
            out.append(r)
    return out


def write(name, lines):
    with open(name, "wb") as f:
        p = subprocess.Popen(["xz", "-9", "-T1", "-c"], stdin=subprocess.PIPE, stdout=f)
        for text in lines:
            p.stdin.write(text)
        p.stdin.close()
        if p.wait():
            raise SystemExit("shards.py: xz failed on " + name)
    return os.path.getsize(name)


def held_out(work):
    """What collect.py remembered of all held-out packages; every one must be there or be known to have no source on the mirror."""
    out, missing = heldout.HeldOut(), []
    for _, package, _ in heldout.table():
        try:
            with open(os.path.join(work, "held-out", package + ".pkl"), "rb") as f:
                hashes, shingles = pickle.load(f)
        except FileNotFoundError:
            missing.append(package)
            continue
        out.hashes |= hashes
        for s, n in shingles.items():
            out.shingles[s] = out.shingles.get(s, 0) + n
    print("held out:", len(out.hashes), "contents,", len(out.shingles), "shingles; by path only:", missing, flush=True)
    return out


def development():
    with open(os.path.join(HERE, "development.txt"), encoding="utf-8") as f:
        return [line.strip() for line in f if line.strip() and not line.startswith("#")]


def fill(sizes, total):
    """Shares of `total`: everyone gets the same, who needs less leaves the rest to the others. {name: size} -> {name: share}"""
    out, rest = {}, sorted(sizes, key=sizes.get)
    while rest:
        name = rest.pop(0)
        out[name] = min(sizes[name], total / (len(rest) + 1))
        total -= out[name]
    return out


def main(work, out, text_mb="470", piece_mib="26.5", pieces="3"):
    rng, held, seen, taken, why = random.Random(SEED), held_out(work), set(), set(), collections.Counter()
    pool = collections.defaultdict(lambda: collections.defaultdict(list))       # language -> package -> records
    apart, kept_apart = set(development()), []
    names = [os.path.basename(name)[:-4] for name in glob.glob(os.path.join(work, "files", "*.pkl"))]
    for package in sorted(names, key=lambda p: (p not in apart, p)):         # what is kept apart first: no copies of it in the rest
        name = os.path.join(work, "files", package + ".pkl")
        with open(name, "rb") as f:
            records = pickle.load(f)
        for path, language, data, definitions, kept in records:
            h = heldout.content_hash(data)
            reason = held.why(path, data, kept)
            if not reason and h in seen:
                reason = "same content"
            if not reason and len(kept) >= 8 and sum(s in taken for s in kept) > COPY * len(kept):
                reason = "copy"
            if reason:
                why[reason] += 1
                if reason in ("content", "near"):
                    print("  held out (%s): %s %s" % (reason, package, path))
                continue
            seen.add(h)
            taken |= kept
            if package in apart:
                kept_apart.append(line(package, path, language, data, definitions))
                continue
            pool[language][package].append((path, language, data, definitions))
    print("refused:", dict(why), flush=True)
    chosen, total, wanted = collections.defaultdict(list), float(text_mb) * 1e6, asked.read()
    new = {name for name, _, _, _, is_new in collect.packages() if is_new}
    for language, packages in sorted(pool.items()):
        if new:                                                # what was learned from is not learned by heart
            packages = {p: rs if p in new else [r for r in rs if (p, r[0]) in wanted and rng.random() < AGAIN] for p, rs in sorted(packages.items())}
        sizes = {p: sum(len(r[2]) for r in rs) for p, rs in packages.items()}
        share = fill(sizes, SHARE.get(language, .005) * total)
        for p, rs in sorted(packages.items()):
            folders = collections.defaultdict(list)
            for r in rs:
                folders[os.path.dirname(r[0])].append(r)

            def told(group):                                   # comment bytes of definitions per byte: what questions are made of; first what people's questions are about
                return any((p, r[0]) in wanted for r in group) * 9 + (sum(d[5] - d[4] for r in group for d in r[3]) + 200) / (sum(len(r[2]) for r in group) + 4000)
            n = 0
            for group in sorted(folders.values(), key=lambda g: -told(g) * (0.5 + rng.random())):
                for r in sorted(group, key=lambda r: r[0]):
                    if n < share[p]:
                        chosen[p].append(r)
                        n += len(r[2])
    count = collections.defaultdict(lambda: [0, 0, 0, 0])
    for rs in chosen.values():
        for path, language, data, definitions in rs:
            for key in (language, "all"):
                c = count[key]
                c[0] += 1; c[1] += len(data); c[2] += len(definitions); c[3] += sum(d[5] > d[4] for d in definitions)
    print("%-12s %8s %8s %9s %9s" % ("language", "files", "MB", "definitions", "commented"))
    for key, c in sorted(count.items(), key=lambda kv: -kv[1][1]):
        print("%-12s %8d %8.1f %9d %9d" % (key, c[0], c[1] / 1e6, c[2], c[3]), flush=True)
    os.makedirs(out, exist_ok=True)
    print("development: %.1f MiB" % (write(os.path.join(out, "dev.jsonl.xz"), kept_apart) / 2**20), flush=True)
    names = sorted(chosen, key=lambda p: rng.random())
    groups, size = [[] for _ in range(int(pieces))], [0] * int(pieces)
    for p in sorted(names, key=lambda p: -sum(len(r[2]) for r in chosen[p])):
        i = size.index(min(size))
        groups[i].append(p)
        size[i] += sum(len(r[2]) for r in chosen[p])
    from concurrent.futures import ThreadPoolExecutor

    def piece(i):
        order = sorted(groups[i], key=names.index)
        shard_count = 4                                        # four files a piece: unpacking is what takes long, and it is done side by side
        parts = [order[j::shard_count] for j in range(shard_count)]
        n = 0
        for j, part in enumerate(parts):
            n += write(os.path.join(out, "train-%d%s.jsonl.xz" % (i, "abcd"[j])), (line(p, *r) for p in part for r in sorted(chosen[p], key=lambda r: r[0])))
        return n
    with ThreadPoolExecutor(2) as pool_of_threads:
        for i, n in enumerate(pool_of_threads.map(piece, range(int(pieces)))):
            print("piece %d: %.1f MiB, %.1f MB of text, %d packages%s" % (i, n / 2**20, size[i] / 1e6, len(groups[i]), "; LARGER than wanted" if n > float(piece_mib) * 2**20 else ""), flush=True)


def check(work, out):
    """Reads the shards back and takes out what is held out, should there be any: a package may have been held out later."""
    held, n, bad = held_out(work), 0, 0
    for name in sorted(glob.glob(os.path.join(out, "**", "train-*.jsonl.xz"), recursive=True)):
        kept, before = [], bad
        with lzma.open(name, "rb") as f:
            for raw in f:
                r = json.loads(raw)
                n += 1
                why = "package" if heldout.held_package(r["repo"]) else held.why(r["path"], r["text"].encode())
                if why:
                    bad += 1
                    print("held out (%s): %s %s in %s" % (why, r["repo"], r["path"], name), flush=True)
                else:
                    kept.append(raw)
        if bad > before:
            write(name + ".new", kept)
            os.rename(name + ".new", name)
    print("checked", n, "files:", bad, "were held out and are gone" if bad else "are held out", flush=True)
    raise SystemExit(bad > 0)


if __name__ == "__main__":
    check(*sys.argv[2:]) if sys.argv[1] == "--check" else main(*sys.argv[1:])
