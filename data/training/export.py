"""A trained checkpoint -> the model folder that the engine opens.

    python3 export.py CHECKPOINT TOKENIZER OUT [LATE]

LATE: what the late interaction counts beside the landmarks; as it was trained, 1, it says too much (LOG.md, "The fifth checkpoint").
To be fitted for each checkpoint: one that went on from exported weights began with theirs.
CHECKPOINT is a folder with the travelling parts (travel.py) or with state.pt. Writes OUT/model.safetensors (int8 rows with float32
scales, some 4 bits, vectors float32), config.json and tokenizer.json. The model card and the parity vectors are written by card.py and parity.py."""
import json, math, os, shutil, struct, sys
import numpy as np
import controls as C, data as D, rank, travel


def tensors_of(folder):
    """-> {name: float32 array}, meta with the settings of the run"""
    if os.path.exists(os.path.join(folder, "weights-0.bin")):
        tensors, _, meta = travel.load(folder, {})
        return tensors, meta
    import torch
    s = torch.load(os.path.join(folder, "state.pt"), map_location="cpu", weights_only=False)
    return {n: p.float().numpy() for n, p in s["model"].items()}, {"state": s["state"], "settings": s.get("settings")}


def write_safetensors(path, tensors):
    """The widest elements first keeps every tensor aligned to its element size."""
    order, head, at = sorted(tensors, key=lambda k: (-tensors[k].itemsize, k)), {"__metadata__": {"format": "pt"}}, 0
    for k in order:
        t = tensors[k]
        head[k] = {"dtype": {"int8": "I8", "uint8": "U8", "int32": "I32"}.get(t.dtype.name, "F32"), "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k in order:
            f.write(np.ascontiguousarray(tensors[k]).tobytes())
    return 8 + len(text) + at


def quantized(tensors, late=1.0, four=False):
    """late: see above; it is multiplied into the queries' matrix, in which the score is linear. four: 4 bits for those of travel.is_four()"""
    out = {}
    for name, x in tensors.items():
        if name in ("null", "joint"):            # go into config.json
            continue
        if name.endswith(".it"):                 # training never used more than this; the engine takes it as it is
            x = np.minimum(x, math.log(60))
        if four and travel.is_four(name):
            out[name], out[name + ".group"], out[name + ".scale"] = travel.rows4(x)
        elif x.ndim == 2 and x.shape[0] > 1:
            out[name], out[name + ".scale"] = travel.rows8(x * late if name.endswith(".lq.weight") else x)
        else:
            out[name] = np.asarray(x, np.float32)
    return out


def scores(tensors):
    """Of the tensors what the engine takes from config.json"""
    return {"null_scores": [round(float(x), 6) for x in tensors["null"]], "rank_weights": [round(float(x), 6) for x in tensors["joint"]]}


def config(s, tensors):
    return {"architectures": ["SparseXForCausalLM"], "model_type": "sparsex", "vocab_size": s["vocab"], "hidden_size": s["d"], "num_hidden_layers": s["layers"],
            "num_attention_heads": s["heads"], "num_key_value_heads": s["kv"], "head_dim": s["hd"], "intermediate_size": s["ff"], "sliding_window": s["window"],
            "global_layers": list(s["glob"]), "landmark_dim": s["didx"], "segment_tokens": 1536, "block_tokens": 64, "top_k_blocks": s["topk"], "rope_theta": s["theta"],
            "rms_norm_eps": 1.1920929e-07, "logit_softcap": 20.0, "tie_word_embeddings": True, "weight_format": "int8 per row, float32 scales" + ("; feed-forward and words 4 bits, a multiplier for 32" if s.get("four") else ""), "torch_dtype": "float32",
            "bos_token_id": None, "eos_token_id": C.EOS, "pad_token_id": C.PAD, "special_tokens": {"file": C.FILE, "question": C.Q, "answer": C.A, "eos": C.EOS},
            **({"word_rows": s["word_rows"], "word_dim": s["word_dim"]} if s.get("word_rows") else {}), **({"late_tokens": s["late_tokens"]} if s.get("late_weight") else {}),
            **({"read_tokens": s["read_tokens"], "read_path": D.PATH, "read_blocks": D.TOGETHER} if s.get("read_weight") else {}), **scores(tensors), "lexical_weight": rank.WEIGHT}


def write(out, tensors, config, training, tokenizer, late):
    """A model's folder. training: {"state", "settings"} of its run, for the model card and for a slice that starts from this folder"""
    os.makedirs(out, exist_ok=True)
    n = write_safetensors(os.path.join(out, "model.safetensors"), quantized(tensors, late, training["settings"].get("four", False)))
    rank.write_config(os.path.join(out, "config.json"), config)
    with open(os.path.join(out, "training.json"), "w") as f:
        json.dump(training, f, indent=1)
        f.write("\n")
    shutil.copyfile(tokenizer, os.path.join(out, "tokenizer.json"))
    total, state = n + os.path.getsize(tokenizer), training["state"]
    print("%s: %.2f MB of weights, %.2f MB with the tokenizer; step %d, %.0f M tokens, %.0f s of training" % (out, n / 1e6, total / 1e6, state["step"], state["tokens"] / 1e6, state["seconds"]))
    if total > 28e6:
        raise SystemExit("%s: more than 28 MB: too large for the repository" % out)


def main(checkpoint, tokenizer, out, late="1"):
    tensors, meta = tensors_of(checkpoint)
    write(out, tensors, config(meta["settings"], tensors), {"state": meta["state"], "settings": meta["settings"]}, tokenizer, float(late))


if __name__ == "__main__":
    main(*sys.argv[1:5])
