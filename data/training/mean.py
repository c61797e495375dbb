"""The mean of several models' weights, slices of one training: often better than each (model soups, Wortsman et al. 2022).

    python3 mean.py OUT LATE ABOVE MODEL=SHARE MODEL=SHARE...

Shares are divided by their sum. LATE as export.py has it. ABOVE is added to the margin of the landmarks over "not here": a mean's landmarks are less like what they answer
than those of either model, so what it finds stands lower (late.py says how much of what is there would be called absent). OUT is a model's folder: config.json and tokenizer.json are those of the first MODEL, which all must agree with
in shape, training.json is that of the one trained longest."""
import json, math, os, shutil, sys
import export, rank, runner


def mean(models):
    """[({name: tensor}, share)] -> {name: float32 array}"""
    whole = sum(share for _, share in models)
    return {name: sum(tensors[name].float() * (share / whole) for tensors, share in models).numpy() for name in models[0][0]}


def main(out, late, above, *shares):
    folders, models, told = [], [], []
    for text in shares:
        folder, _, share = text.rpartition("=")
        tensors, config = runner.read_model(folder)
        if models and {n: x.shape for n, x in tensors.items()} != {n: x.shape for n, x in models[0][0].items()}:
            raise SystemExit("mean.py: %s has other tensors than %s" % (folder, folders[0]))
        folders.append(folder)
        models.append((tensors, float(share)))
        with open(os.path.join(folder, "training.json")) as f:
            told.append(json.load(f))
        if len(models) == 1:
            first = config
    tensors = mean(models)
    last = len(tensors["null"]) - 1
    scale = math.exp(min(float(tensors["layers.%d.it" % first["global_layers"][last]].reshape(-1)[0]), math.log(60)))
    tensors["null"][last] -= float(above) / (scale * tensors["joint"][last])
    os.makedirs(out, exist_ok=True)
    n = export.write_safetensors(os.path.join(out, "model.safetensors"), export.quantized(tensors, float(late), True))
    first["null_scores"], first["rank_weights"] = ([round(float(x), 6) for x in tensors[key]] for key in ("null", "joint"))
    rank.write_config(os.path.join(out, "config.json"), first)
    with open(os.path.join(out, "training.json"), "w") as f:
        json.dump(max(told, key=lambda t: t["state"]["step"]), f, indent=1)
        f.write("\n")
    shutil.copyfile(os.path.join(folders[0], "tokenizer.json"), os.path.join(out, "tokenizer.json"))
    print("%s: %.2f MB of weights" % (out, n / 1e6))


if __name__ == "__main__":
    main(*sys.argv[1:])
