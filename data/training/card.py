"""The model card.

    python3 card.py MODEL RESULTS.json OUT.md"""
import collections, json, os, sys
import collect, heldout, runner, shards


def told(figure):
    """{"n": 400, "first": "36.5 (31.9-41.3)", ..}, or such of each kind of task -> one line"""
    if any(isinstance(v, dict) for v in figure.values()):
        return "; ".join("%s %s" % (k, v.get("exact", "-")) + (", of the words %s" % v["share"] if v.get("share") != v.get("exact") else "") + ", n %d" % v["n"] for k, v in figure.items())
    return "n %d: " % figure["n"] + ", ".join("%s %s" % (k, v) for k, v in figure.items() if k != "n")


def main(model, results, out):
    with open(os.path.join(model, "config.json")) as f:
        c = json.load(f)
    with open(results) as f:
        results = json.load(f)
    figures, about = results.get("figures", results), results.get("about", "")
    with open(os.path.join(model, "training.json")) as f:
        meta = json.load(f)
    state, tensors = meta["state"], runner.read_model(model)[0]
    licences = collections.defaultdict(list)
    apart = shards.development()
    for package, licence, _, _, not_yet in collect.packages():
        if package not in apart and not not_yet:
            licences[licence].append(package)
    size = os.path.getsize(os.path.join(model, "model.safetensors"))
    with open(out, "w", encoding="utf-8") as f:
        f.write("# The bundled model of Sparse-X\n\nA decoder-only transformer that reads a repository as one context of blocks and finds the blocks a question is about.\n\n")
        f.write("| what | figure |\n|---|---|\n")
        for name, value in (("parameters", "%.1f M" % (sum(x.numel() for x in tensors.values()) / 1e6)), ("layers, width, global layers", "%d, %d, %s" % (c["num_hidden_layers"], c["hidden_size"], c["global_layers"])),
                            ("weights", "%.1f MB, %s" % (size / 1e6, c["weight_format"])), ("steps", state["step"]), ("tokens seen", "%.0f M" % (state["tokens"] / 1e6)),
                            ("GPU minutes, loading and compiling included", "%.1f in %d slices" % (state["seconds"] / 60, state["slice"]))):
            f.write("| %s | %s |\n" % (name, value))
        f.write("\n## Settings of the last slice\n\n`%s`\n\n## Figures on held-out repositories\n\nPer cent, 95 %% intervals in brackets. Ranks are of blocks, by what orders them (first, five, sixteen) and by the landmarks alone; \"shown\": of definitions, words and names counted in. Of synthetic tasks the whole answer is exact. %s\n\n| set, tokens | question | figures |\n|---|---|---|\n" % (json.dumps(meta["settings"]), about))
        for name, row in figures.items():
            for kind, figure in (row.items() if row and isinstance(next(iter(row.values())), dict) else [("", row)]):
                f.write("| %s | %s | %s |\n" % (name, kind, told(figure)))
        f.write("\n## Training data\n\nSource code and its comments from Debian 12 packages, by licence (those that the mirror lacked are named in `data/training/LOG.md`):\n\n")
        for licence, packages in sorted(licences.items()):
            f.write("* %s: %s\n" % (licence, ", ".join(packages)))
        f.write("\nKept apart to compare recipes and to fit the weight of words: %s.\n" % ", ".join(apart))
        f.write("\nNever trained on: %s.\n" % ", ".join(name for name, _, _ in heldout.table()))


if __name__ == "__main__":
    main(*sys.argv[1:4])
