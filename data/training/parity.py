"""Parity vectors for the engine's tests: inputs, landmarks, keys, values, selections, masses, logits and answers in float32.

    python3 parity.py MODEL OLD_PARITY.json OUT

Files and questions are those of the vectors that are there (OLD_PARITY.json), so that only numbers change with the model; boundaries
are the starts of definitions as its segments have them. Runs on a CPU, whose arithmetic here is the executable specification's.
tokenizer_vectors.json is made from the same strings as before with the new tokenizer."""
import json, os, re, sys
import numpy as np
import torch
import controls as C, data as D, export, runner

MARK = re.compile(r"(?m)^(/\*|///|//|def |class |    def |func |pub struct|impl |    ///)")


def main(folder, old, out, old_tokenizer_vectors=None):
    with open(old) as f:
        meta = json.load(f)
    run = runner.Runner(runner.open_model(folder, torch.device("cpu"), torch.float32), 1, 2048)
    run.c.read_null_weight, run.c.read_null_score = 1.0, 0.0      # whatever the model's are: parity_test.c sets these too
    tok = run.tok = D.Tokenizer(os.path.join(folder, "tokenizer.json"))
    segments, spans, way, together, at = [], [], [], [], 0
    for path, text in meta["files"].items():
        ids, ends = tok.with_ends(text)
        header = [C.FILE] + tok.ids(path + "\n")[:D.HEADER - 1]
        bounds = sorted({int(np.searchsorted(ends, len(text[:m.start()].encode()), side="right")) for m in MARK.finditer(text)})
        for s, e in D.cut_segments(len(ids), [b for b in bounds if b]):
            t, inside = header + ids[s:e].tolist(), [len(header) + b - s for b in bounds if s <= b < e]
            starts = D.cut_blocks(len(t), inside)
            segments.append((np.array(t), starts))
            # here a block belongs to the last boundary in front of it, and around that one is the one before
            owner = np.concatenate([np.full(len(way), -1), np.searchsorted(inside, starts, side="right") - 1])
            firsts = {k: int(np.flatnonzero(owner == k)[0]) for k in set(owner[len(way):].tolist()) if k >= 0}
            around = {k: firsts.get(k - 1, -1) for k in firsts}
            together.append(D.together(owner, around, len(way), len(owner)))
            way += [D.path_tokens(at, len(header))] * len(starts)
            at += len(t)
            spans.append({"path": path, "tokens": [s, e], "bytes": [int(ends[s - 1]) if s else 0, int(ends[e - 1])]})
    way, together = np.array(way, np.int64), np.concatenate(together)
    ctx = run.encode(segments, way, together)
    o = {"path": way.astype(np.int32), "together": together.astype(np.int32), "segment_len": np.array([len(t) for t, _ in segments], np.int32), "tokens": np.concatenate([t for t, _ in segments]).astype(np.int32), "block_start": ctx.start.numpy().astype(np.int32)}
    for g in range(len(ctx.k)):
        o["landmark.%d" % g], o["k.%d" % g], o["v.%d" % g] = ctx.landmark[g].numpy(), ctx.k[g][:256].numpy(), ctx.v[g][:256].numpy()
    answers, prior = [], [lambda b: 2.0 * (b * 37 % 11 - 5)]     # parity_test.c has the same priors
    for i, q in enumerate(meta["questions"]):
        p = [C.Q] + tok.ids(q) + [C.A]
        logits, seen = run.forward([p], ctx, prior=prior)
        ids = run.answer([p], ctx, 32, prior=prior)[0]
        answers.append(tok.decode(ids))
        o["q%d.prompt" % i], o["q%d.logits" % i], o["q%d.answer" % i] = np.array(p, np.int32), logits[0].numpy(), np.array(ids, np.int32)
        o["q%d.gap" % i] = np.array(run.gaps[0], np.float32)
        o["q%d.margin" % i] = np.array([sum(float(l[3][0]) for l in seen.layers), float(seen.margin[0])], np.float32)
        blocks, first = np.unique(seen.blocks[0].numpy(), return_index=True)
        o["q%d.rank_blocks" % i], o["q%d.rank" % i] = blocks.astype(np.int32), seen.rank[0].numpy()[first]
        for g, (blocks, scores, mass, _) in enumerate(seen.layers):
            t = run.m.layers[run.c.glob[g]].it.exp()
            o["q%d.blocks.%d" % (i, g)], o["q%d.scores.%d" % (i, g)], o["q%d.mass.%d" % (i, g)] = blocks[0].numpy().astype(np.int32), (scores[0] / t).numpy(), mass[0].numpy()
        print(repr(q), "->", repr(answers[-1]))
    os.makedirs(out, exist_ok=True)
    export.write_safetensors(os.path.join(out, "parity.safetensors"), o)
    with open(os.path.join(out, "parity.json"), "w") as f:
        json.dump({"questions": meta["questions"], "answers": answers, "segments": spans, "files": meta["files"], "dtype": "float32"}, f, indent=1)
    if old_tokenizer_vectors:
        with open(old_tokenizer_vectors) as f:
            texts = [v["text"] for v in json.load(f)]
        with open(os.path.join(out, "tokenizer_vectors.json"), "w") as f:
            json.dump([{"text": t, "ids": tok.ids(t)} for t in texts], f, ensure_ascii=True, indent=0)
    print(len(segments), "segments", ctx.tokens, "tokens", ctx.blocks, "blocks")


if __name__ == "__main__":
    main(*sys.argv[1:])
