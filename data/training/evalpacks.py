"""Evaluation packs: whole held-out repositories in the shape of the shards. For measuring only, never for training.

    python3 evalpacks.py WORK INDEX_BENCH QUERIES OUT [name ...]"""
import os, re, sys
import collect, shards

# name -> [(Debian source package, paths to take, paths to leave out)]
PACKS = {
    "flask": [("flask", r"(^|/)(src/)?flask/", r"tests?/"), ("python-werkzeug", r"(^|/)(src/)?werkzeug/", r"tests?/"), ("requests", r"(^|/)(src/)?requests/", r"tests?/")],
    "redis": [("redis", r"^src/", r"commands\.c$")],
    "sqlite": [("sqlite3", r"^(src|ext|tool)/", r"fts3/unicode|/jni/|wasm")],
    "mixed": [("gtksourceview5", None, None), ("golang-github-spf13-cobra", None, None), ("rust-rayon", None, None), ("node-mocha", None, r"\.min\.|(^|/)mocha\.js$")],
    "linux": [("linux", r"^(kernel|mm|fs|net|block|ipc|lib|security|crypto|init|include|arch/x86|drivers/base|drivers/net/ethernet/intel|drivers/gpu/drm/i915|sound/core)/", None)],
    "questions": [(p, None, None) for p in ("tmux", "cjson", "fmtlib", "leveldb", "black", "httpie", "fzf", "rust-ripgrep", "rust-fd-find", "ruby-sinatra", "node-express", "node-commander",
                                            "libcommons-lang3-java", "composer", "luarocks")],
}
LARGEST = 512_000


def pack(name, work, index_bench, queries, out):
    lines = []
    for package, take, leave in PACKS[name]:
        files, seen = [], set()
        found, took = collect.read_package(work, package, take and re.compile(take), leave and re.compile(leave), os.path.join(work, "src", package), True)
        for path, language, data in found:
            data = data.replace(b"\r\n", b"\n")
            try:
                data.decode()
            except UnicodeDecodeError:
                continue
            if len(data) <= LARGEST and not collect.MADE.search(data[:1500]) and data not in seen and max(map(len, data.split(b"\n"))) < 1000:
                seen.add(data)
                files.append((path, language, data))
        by_path = collect.definitions(files, index_bench, queries, os.path.join(work, "tmp-eval-%s" % package))
        kept = [(path, by_path[path][0] or language, data, by_path[path][1]) for path, language, data in sorted(files) if path in by_path]
        print("%-28s %5d files, %6.1f MB, %6d definitions, %6d with a comment" % (package, len(kept), sum(len(k[2]) for k in kept) / 1e6, sum(len(k[3]) for k in kept), sum(d[5] > d[4] for k in kept for d in k[3])), dict(took), flush=True)
        lines += [shards.line(package, *k) for k in kept]
    print(name, "%.1f MiB" % (shards.write(os.path.join(out, name + ".jsonl.xz"), lines) / 2**20), flush=True)


def main(work, index_bench, queries, out, *names):
    os.makedirs(out, exist_ok=True)
    for name in names or PACKS:
        pack(name, os.path.abspath(work), os.path.abspath(index_bench), os.path.abspath(queries), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
