"""Are the gradients right? Before a run, two minutes on a GPU, loss by loss:

    python3 gradients.py --corpus DIR --tokenizer FILE [--from DIR] [key=value ...]

1. Small sequences: the gradient of each loss, compiled and in bfloat16 as in training, against the same in plain PyTorch and
   float32. Every matrix's direction must agree (cosine), and its length (ratio).
2. Sequences of full size, which plain PyTorch could not hold: along its own gradient a loss must rise as steeply as the
   gradient says (central difference over the length).
Ends with status 1 where one disagrees. --smoke: a tiny model, which shows on a CPU too that the program works."""
import argparse, glob, os, random
import torch
import data as D, runner, settings
from model import Model
from step import PARTS, Step, tensors, weight

SMALL = ["B=2", "L=4096", "LC=3072", "NB=160", "NQ=48"]


def gradients(step, part):
    for p in step.model.parameters():
        p.grad = None
    parts, _ = step.losses(False, False, True)
    parts[part].backward()
    return float(parts[part].detach()), {n: p.grad.detach().clone() for n, p in step.model.named_parameters() if p.grad is not None}


def start(c, device, source, half, tokenizer):
    torch.manual_seed(c.seed)
    model = Model(c, half, tokenizer).to(device)
    if source:
        model.load_state_dict(runner.read_model(source)[0])
    else:                                        # weights of zero would hide what lies behind them
        for name, p in model.named_parameters():
            if (p.ndim == 2 or name == "read") and float(p.detach().abs().sum()) == 0:
                torch.nn.init.normal_(p, std=0.3 * p.size(-1) ** -0.5)
    return model


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--corpus", required=True)
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--from", dest="source")
    ap.add_argument("--smoke", action="store_true")
    ap.add_argument("settings", nargs="*")
    a = ap.parse_args()
    torch.set_float32_matmul_precision("high")
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    chosen = (settings.SMOKE if a.smoke else []) + a.settings
    big = settings.parse(chosen + ["queue=0"])
    small = settings.parse(chosen + ([] if a.smoke else SMALL) + ["queue=0"])
    files = D.load(sorted(glob.glob(os.path.join(a.corpus, "*.jsonl.xz")))[:1], a.tokenizer, 1)

    def group(c):
        return tensors(D.Builder(files, a.tokenizer, random.Random(7), c).group(c.B))
    bad = 0
    g = group(small)
    plain = Step(small, start(small, device, a.source, torch.float32, a.tokenizer), device, False)
    fast = Step(small, start(small, device, a.source, torch.bfloat16 if gpu else torch.float32, a.tokenizer), device, gpu)
    plain.load(g)
    fast.load(g)
    for part in PARTS:
        if not weight(small, part):
            continue
        x, want = gradients(plain, part)
        y, got = gradients(fast, part)
        rows = []
        for n, u in want.items():
            if u.ndim != 2:                      # vectors say little: the bias of a gate moves nothing at all
                continue
            v = got.get(n, torch.zeros_like(u))
            if float(u.norm()) > 1e-7 or float(v.norm()) > 1e-7:
                rows.append((float((u * v).sum() / (u.norm() * v.norm() + 1e-30)), float(v.norm() / (u.norm() + 1e-30)), n))
        rows.sort()
        worst = [r for r in rows if r[0] < 0.9 or not 0.8 < r[1] < 1.25]
        bad += bool(worst)
        print("small %-6s %8.4f compiled %8.4f  cosine: worst %.3f (%s), median %.4f; %s" % (part, x, y, rows[0][0], rows[0][2], rows[len(rows) // 2][0],
              "agrees" if not worst else "DISAGREES: " + "; ".join("%s %.3f x%.3f" % (r[2], r[0], r[1]) for r in worst[:6])), flush=True)
    del plain, fast
    model = start(big, device, a.source, torch.bfloat16 if gpu else torch.float32, a.tokenizer)
    step = Step(big, model, device, gpu)
    step.load(group(big))
    for part in PARTS:
        if not weight(big, part):
            continue
        value, grad = gradients(step, part)
        kinds = {"all": list(grad)}
        for kind, which in dict(embedding=("emb",), attention=("wq", "wk", "wv", "wo"), mlp=("w1", "w2"), landmarks=("iq", "ik", "ig")).items():
            kinds[kind] = [n for n in grad if set(n.split(".")) & set(which)]
        told = []
        for kind, names in kinds.items():
            length = sum(float(grad[n].pow(2).sum()) for n in names) ** 0.5
            if length < 1e-6:
                continue
            reach = 0.02 * abs(value) / length           # the loss moves by some 2 % either way: far above bfloat16's noise
            kept = {n: p.detach().clone() for n, p in model.named_parameters() if n in names}
            seen = []
            for sign in (1, -1):
                with torch.no_grad():
                    for n, p in model.named_parameters():
                        if n in kept:
                            p.copy_(kept[n] + sign * reach / length * grad[n])
                seen.append(float(step.losses(False, False, True)[0][part].detach()))     # with gradients: that is what is compiled
            with torch.no_grad():
                for n, p in model.named_parameters():
                    if n in kept:
                        p.copy_(kept[n])
            ratio = (seen[0] - seen[1]) / (2 * reach * length)
            told.append("%s %.2f" % (kind, ratio))
            bad += not 0.5 < ratio < 1.6
        print("large %-6s %8.4f  rises, of what its gradient says: %s" % (part, value, ", ".join(told)), flush=True)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
