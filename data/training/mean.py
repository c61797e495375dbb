"""The mean of several models' weights, slices of one training: often better than each (model soups, Wortsman et al. 2022).

    python3 mean.py OUT LATE ABOVE MODEL=SHARE MODEL=SHARE...

Shares are divided by their sum. LATE as export.py has it. ABOVE is added to the margin of the landmarks over "not here", by lowering the last global layer's null score:
a mean's landmarks are less like what they answer than those of either model, so what it finds stands lower (late.py: the limit at read_null_weight 0). OUT is a model's folder:
config.json and tokenizer.json are those of the first MODEL, training.json is that of the one trained longest. All must have the same tensors."""
import json, math, os, sys
import export, runner


def mean(models):
    """[({name: tensor}, share)] -> {name: float32 array}"""
    whole = sum(share for _, share in models)
    return {name: sum(tensors[name].float() * (share / whole) for tensors, share in models).numpy() for name in models[0][0]}


def main(out, late, above, *texts):
    shares = [(folder, float(share)) for folder, _, share in (t.rpartition("=") for t in texts)]
    models, configs, runs = [], [], []
    for folder, share in shares:
        tensors, config = runner.read_model(folder)
        if models and {n: x.shape for n, x in tensors.items()} != {n: x.shape for n, x in models[0][0].items()}:
            raise SystemExit("mean.py: %s has other tensors than %s" % (folder, shares[0][0]))
        models.append((tensors, share))
        configs.append(config)
        with open(os.path.join(folder, "training.json")) as f:
            runs.append(json.load(f))
    tensors = mean(models)
    tensors["null"][-1] -= float(above) / (math.exp(tensors["layers.%d.it" % configs[0]["global_layers"][-1]]) * tensors["joint"][-1])
    export.write(out, tensors, {**configs[0], **export.scores(tensors)}, max(runs, key=lambda r: r["state"]["step"]), os.path.join(shares[0][0], "tokenizer.json"), float(late))


if __name__ == "__main__":
    main(*sys.argv[1:])
