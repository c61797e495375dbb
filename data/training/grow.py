"""A model with more layers that computes the same as the one it is made of, to be trained on.

    python3 grow.py MODEL OUT LAYER...

Behind each layer named a copy of it is put whose last matrices (wo, w2) are zero, so that it adds nothing yet but has features to start
from (LLaMA Pro: Wu et al. 2024). OUT becomes a travelling checkpoint without momentum; the settings of the run that goes on from it must
have the new numbers of layers and global layers, which are printed."""
import json, os, sys
import numpy as np
import travel


def grown(tensors, layers, doubled):
    """{name: array}, number of layers, layers to double -> {name: array}, {old number: new number}"""
    place, out = {}, {}
    for i in range(layers):
        place[i] = i + sum(d < i for d in doubled)
    for name, x in tensors.items():
        if not name.startswith("layers."):
            out[name] = x
            continue
        _, i, rest = name.split(".", 2)
        out["layers.%d.%s" % (place[int(i)], rest)] = x
        if int(i) in doubled:
            out["layers.%d.%s" % (place[int(i)] + 1, rest)] = np.zeros_like(x) if rest in ("wo.weight", "w2.weight") else x
    return out, place


def main(model, out, *layers):
    import runner
    tensors, config = runner.read_model(model)
    doubled = sorted(map(int, layers))
    if set(doubled) & set(config["global_layers"]):
        raise SystemExit("grow.py: a global layer has landmarks, which two cannot share")
    with open(os.path.join(model, "training.json")) as f:
        meta = json.load(f)
    tensors, place = grown({n: x.numpy() for n, x in tensors.items()}, config["num_hidden_layers"], doubled)
    travel.save(out, tensors, {}, meta)
    print("layers=%d glob=(%s)" % (config["num_hidden_layers"] + len(doubled), ",".join(str(place[g]) for g in config["global_layers"])))


if __name__ == "__main__":
    main(*sys.argv[1:])
