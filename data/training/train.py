"""One slice of training on one GPU, or on several of one machine, in a given number of seconds.

    python3 train.py --corpus DIR --out DIR --seconds N [--tokenizer FILE] [--from DIR] [--last] [--travel DIR] [--profile] [key=value ...]

The first slice starts from nothing; --from DIR goes on from a travelling checkpoint (travel.py) or from DIR/state.pt, which is the
whole state and is written to --out at the end of every slice. The learning rate is constant until the slice that says --last, which
lowers it to almost nothing by its end. So the plan spans slices of any length and number, and a slice that was slowed down by others
on the GPU does no harm. Nothing depends on the clock but the end of a slice, the lowering in the last one, and the mix of workers.
Several GPUs: torchrun --standalone --nproc-per-node=N train.py ...; each takes B sequences of its share of the shards, gradients are averaged,
landmarks of all are negatives of all in the steps after.
--seconds counts from the start of the process: reading, compiling and saving are inside.
--smoke trains a tiny model for a minute, on a CPU too. --profile says where the time of a step goes."""
import argparse, atexit, fcntl, gc, glob, json, math, os, queue as queues, random, shutil, signal, time

START = time.time()
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
import numpy as np
import torch
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
import torch.distributed as distributed
import data as D, runner, settings, tokens, travel
from model import Model
from step import Step, tensors, total


def log(*a):
    print("[%5.0fs]" % (time.time() - START), *a, flush=True)


FILES = None


def make(shards, tokenizer, seeds, c, queue):
    """A process of its own: reads the corpus, then puts groups of sequences of it into the queue, one worker a seed, for ever"""
    global FILES
    os.setpgid(0, 0)                              # its end is its workers' end: end()
    FILES = D.load(shards, tokenizer, c.workers)
    log("files", len(FILES), "MB %.1f" % (sum(len(f.data) for f in FILES) / 1e6), "tokens M %.1f" % (sum(len(f.ids) for f in FILES) / 1e6), "definitions", sum(len(f.defs) for f in FILES),
        "repositories", len({f.repo for f in FILES}))
    gc.collect()
    gc.freeze()                                   # the workers share these objects; the collector would copy their pages
    workers = [get_context("fork").Process(target=work, args=(tokenizer, seed, c, queue)) for seed in seeds]
    for w in workers:
        w.start()
    for w in workers:
        w.join()


def end(maker):
    try:
        os.killpg(maker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def work(tokenizer, seed, c, queue):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    builder = D.Builder(FILES, tokenizer, random.Random(seed), c)
    while True:
        try:
            group = builder.group(c.B)
        except (ValueError, IndexError, KeyError) as e:      # one odd file must not end a slice: said, and the next sequences made
            log("a group of sequences was given up: %r" % e)
            continue
        queue.put(group)


def newton_schulz(G):
    """[n, r, c]: each matrix's nearest orthogonal one, roughly (Muon, Jordan et al. 2024; their coefficients)"""
    X = G.bfloat16() if G.is_cuda else G
    flip = X.size(1) > X.size(2)
    X = X.transpose(1, 2) if flip else X
    X = X / (X.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        A = X @ X.transpose(1, 2)
        X = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X
    return (X.transpose(1, 2) if flip else X).to(G.dtype)


def four_bits(x):
    """[n, r, c] -> the values that travel.rows4() keeps of it"""
    g = x.unflatten(-1, (-1, 32))
    top = g.abs().amax(-1, keepdim=True)
    scale = top.amax(-2, keepdim=True).clamp(min=1e-12) / 112
    unit = (top / (7 * scale) - 1e-3).ceil().clamp(1, 16) * scale
    return ((g / unit).round().clamp(-7, 7) * unit).flatten(-2)


class Optimizers:
    """Muon on the matrices, same shapes together; AdamW on the rest. Of matrices in 4 bits the model holds what 4 bits keep, and here is what
    they are rounded from: gradients of the one move the other (straight-through, Bengio et al. 2013)."""

    def __init__(self, model, c, compiled):
        self.c, self.model = c, model
        self.full = {n: torch.nn.Parameter(p.detach().clone()) for n, p in model.named_parameters() if c.four and travel.is_four(n)}
        rates, shapes = {"emb.weight": c.lr_embedding, "words.weight": c.lr_words}, {}
        for name, p in model.named_parameters():
            if p.ndim == 2 and p.size(0) > 1 and name not in rates:
                shapes.setdefault(tuple(p.shape), []).append((name, p))
        self.groups = [(names_and_params, torch.zeros(len(names_and_params), *shape, device=names_and_params[0][1].device)) for shape, names_and_params in shapes.items()]
        matrices = {id(p) for g, _ in self.groups for _, p in g}
        rest = {n: self.full.get(n, p) for n, p in model.named_parameters() if id(p) not in matrices}
        self.rest = list(rest.values())
        fused = {"fused": True} if self.rest[0].is_cuda else {}
        self.adam = torch.optim.AdamW([dict(params=[p], lr=rates[n]) for n, p in rest.items() if n in rates] + [dict(params=[p for n, p in rest.items() if n not in rates], lr=c.lr_rest)],
                                      betas=(0.9, 0.95), weight_decay=0.0, **fused)
        self.base = [g["lr"] for g in self.adam.param_groups]
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.ns, self.four_bits = wrap(newton_schulz), wrap(four_bits)

    def values(self):
        """{name: what a checkpoint keeps}"""
        return {n: self.full.get(n, p).data for n, p in self.model.named_parameters()}

    @torch.no_grad()
    def loaded(self):
        """The model's parameters were set from outside"""
        for n, p in self.model.named_parameters():
            if n in self.full:
                self.full[n].copy_(p)
        self.round()

    @torch.no_grad()
    def round(self):
        """values() -> the model's parameters"""
        alike = {}
        for n, p in self.model.named_parameters():
            if n in self.full:
                alike.setdefault(tuple(p.shape), []).append((p, self.full[n]))
        for pairs in alike.values():
            for (p, _), x in zip(pairs, self.four_bits(torch.stack([x.data for _, x in pairs]))):
                p.copy_(x)

    @torch.no_grad()
    def step(self, lr):
        if "words.weight" in self.full:
            self.full["words.weight"].grad = self.model.words.weight.grad
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        for g, b in zip(self.adam.param_groups, self.base):
            g["lr"] = b * lr
        self.adam.step()
        for named, m in self.groups:
            G = torch.stack([p.grad for _, p in named])
            m.lerp_(G, 0.05)
            U = self.ns(G.lerp(m, 0.95))
            rate = self.c.lr_matrix * lr * max(1, G.size(1) / G.size(2)) ** 0.5
            ps = [self.full.get(n, p).data for n, p in named]
            torch._foreach_mul_(ps, 1 - self.c.lr_matrix * lr * self.c.decay)
            torch._foreach_add_(ps, list(U.unbind(0)), alpha=-rate)
        self.round()

    def forget(self):
        """All momentum, and the gradients"""
        self.adam.state.clear()
        for _, m in self.groups:
            m.zero_()
        for p in self.model.parameters():
            p.grad = None

    def momentum(self):
        return {name: m[i] for named, m in self.groups for i, (name, _) in enumerate(named)}


def agree(numbers):
    """The first process's numbers, in all"""
    if not distributed.is_initialized():
        return numbers
    x = torch.tensor([float(n) for n in numbers], dtype=torch.float64)
    distributed.broadcast(x, 0)
    return x.tolist()


def gather(x):
    """-> list of every process's x"""
    x = x.contiguous()
    out = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
    distributed.all_gather(out, x)
    return out


def average_gradients(model, world):
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in grads])
    distributed.all_reduce(flat)
    flat /= world
    for g, x in zip(grads, flat.split([g.numel() for g in grads])):
        g.copy_(x.view_as(g))


def is_model(folder):
    """A folder of export.py: weights alone, to start from"""
    return os.path.exists(os.path.join(folder, "model.safetensors"))


def state_of(folder):
    """How far the training was that `folder` is of; nothing where a model does not say"""
    whole, told = os.path.join(folder, "state.pt"), os.path.join(folder, "training.json")
    if os.path.exists(whole):
        return torch.load(whole, map_location="cpu", weights_only=False)["state"]
    if not is_model(folder):
        return travel.read(folder, "weights")[1]["state"]
    if not os.path.exists(told):
        return {}
    with open(told) as f:
        return json.load(f)["state"]


def read_checkpoint(folder, model, optimizers):
    """All but what state_of() says -> True if everything came back, False if momentum and kept landmarks did not"""
    whole = os.path.join(folder, "state.pt")
    if os.path.exists(whole):
        s = torch.load(whole, map_location="cpu", weights_only=False)
        model.load_state_dict(s["model"])
        optimizers.adam.load_state_dict(s["adam"])
        for (_, m), kept in zip(optimizers.groups, s["muon"]):
            m.copy_(kept)
        random.setstate(s["random"])
        torch.set_rng_state(s["torch"])
        optimizers.loaded()
        return True
    mine, momentum = optimizers.momentum(), {}
    if is_model(folder):
        tensors = runner.read_model(folder)[0]
    else:
        tensors, momentum, _ = travel.load(folder, {n: tuple(m.shape) for n, m in mine.items()})
        tensors = {n: torch.from_numpy(np.array(x)) for n, x in tensors.items()}
    new = model.state_dict().keys() - tensors.keys()              # what the other model did not have yet begins as it was drawn
    model.load_state_dict({**model.state_dict(), **tensors})
    optimizers.loaded()
    with torch.no_grad():
        for n, m in momentum.items():
            mine[n].copy_(torch.from_numpy(m))
    log("travelled:", len(tensors), "tensors,", len(momentum), "with momentum; not there:", sorted(new) or "nothing")
    return False


def write_checkpoint(out, travelling, model, optimizers, state, c):
    torch.save({"model": optimizers.values(), "adam": optimizers.adam.state_dict(), "muon": [m for _, m in optimizers.groups], "state": state,
                "random": random.getstate(), "torch": torch.get_rng_state(), "settings": vars(c)}, os.path.join(out, "state.pt"))
    if travelling:
        meta = {"state": state, "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in vars(c).items()}}
        travel.save(travelling, {n: p.detach().float().cpu().numpy() for n, p in optimizers.values().items()}, {n: m.float().cpu().numpy() for n, m in optimizers.momentum().items()}, meta)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--corpus", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--seconds", type=float, required=True)
    ap.add_argument("--tokenizer")
    ap.add_argument("--from", dest="source")
    ap.add_argument("--travel")
    ap.add_argument("--last", action="store_true")
    ap.add_argument("--profile", action="store_true")
    ap.add_argument("--smoke", action="store_true")
    ap.add_argument("settings", nargs="*")
    a = ap.parse_args()
    c = settings.parse((settings.SMOKE if a.smoke else []) + a.settings)
    os.makedirs(a.out, exist_ok=True)
    gpu = torch.cuda.device_count() > 0          # asked without starting CUDA: the workers are forked first
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    first = rank == 0
    shards = sorted(glob.glob(os.path.join(a.corpus, "train-*.jsonl.xz")) or glob.glob(os.path.join(a.corpus, "*.jsonl.xz")))
    if not shards:
        raise SystemExit("train.py: no *.jsonl.xz in " + a.corpus)
    tokenizer = a.tokenizer or os.path.join(a.out, "tokenizer.json")
    while not os.path.exists(tokenizer) and not first:
        time.sleep(0.2)
    if not os.path.exists(tokenizer):
        with get_context("fork").Pool(min(len(shards), c.workers)) as pool:
            texts = [t for part in pool.map(_sample, [(f, 60_000_000 // len(shards)) for f in shards]) for t in part]
        tokens.train(texts, tokenizer + ".new")
        os.rename(tokenizer + ".new", tokenizer)
        log("tokenizer trained on %.0f MB" % (sum(map(len, texts)) / 1e6))
        del texts
    if a.tokenizer and first:                     # what a folder holds belongs together
        shutil.copyfile(tokenizer, os.path.join(a.out, "tokenizer.json"))
    state = {"step": 0, "tokens": 0, "seconds": 0.0, "slice": 0}
    context = get_context("fork")
    if a.source:                                  # the slice's number decides the order of the data: known before the workers start
        state.update(state_of(a.source))
    state["slice"] += 1
    queue = context.Queue(8)
    try:                                          # a group in one piece, not in sixty: each would wait for the thread that computes
        fcntl.fcntl(queue._reader.fileno(), fcntl.F_SETPIPE_SZ, 2**23)
    except OSError:
        fcntl.fcntl(queue._reader.fileno(), fcntl.F_SETPIPE_SZ, 2**20)
    # reading takes as long as compiling: side by side. Each process reads its share: reading everything everywhere takes minutes
    maker = context.Process(target=make, args=(shards[rank::world] or shards, tokenizer, [c.seed * 1000 + state["slice"] * 100 + i * world + rank for i in range(c.workers)], c, queue))
    maker.start()
    atexit.register(end, maker)

    device = torch.device("cuda", rank % torch.cuda.device_count()) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if world > 1:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    torch.manual_seed(c.seed)
    random.seed(c.seed + state["slice"])
    torch.set_float32_matmul_precision("high")
    model = Model(c, torch.bfloat16 if gpu else torch.float32, tokenizer).to(device)
    optimizers = Optimizers(model, c, gpu)
    log("parameters M %.2f" % (sum(p.numel() for p in model.parameters()) / 1e6), "settings", json.dumps(vars(c)))
    step = Step(c, model, device, gpu, world, gather if world > 1 else None)
    if gpu:                                       # compiles: a step of nothing that changes nothing
        step.load(tensors({k: np.stack([x] * c.B) for k, x in D.blank(c).items()}, gpu))
        total(c, step.losses(False, False, False)[0]).backward()
        optimizers.step(0.0)
        optimizers.forget()
        log("compiled")
    complete = True
    if a.source:
        complete = read_checkpoint(a.source, model, optimizers)
        log("from", a.source, json.dumps(state))
    fetcher = ThreadPoolExecutor(1)

    def fetch():
        while True:
            try:
                return tensors(queue.get(timeout=5), gpu)
            except queues.Empty:
                if not maker.is_alive():
                    raise SystemExit("train.py: nothing more is read; what went wrong stands above")
    coming, began, tokens0, local_step = fetcher.submit(fetch), None, 0, 0
    marks, spent = [], {}

    def mark(name):
        if a.profile:
            if gpu:
                torch.cuda.synchronize()
            marks.append((name, time.time()))
    reserve = 15 if gpu else 2
    record = open(os.path.join(a.out, "train.jsonl"), "a") if first else None
    while True:
        now = time.time() - START
        since, whole = now - (began or now), a.seconds - reserve - (began or now)
        left = max(c.final_lr, 1 - (since / whole - c.cool_from) / (1 - c.cool_from)) if a.last and began and since / whole > c.cool_from else 1.0
        lr = left * min(1.0, (state["step"] + 1) / c.warm) * (1.0 if complete else min(1.0, (local_step + 1) / c.rewarm))
        # what depends on clock and chance is the first process's to say
        stop, dense, lr = agree([now > a.seconds - reserve and local_step > 0, state["step"] < c.dense_steps or random.random() < c.dense_share, lr])
        if stop:
            break
        marks.clear()
        mark("")
        group = coming.result()
        coming = fetcher.submit(fetch)
        step.load(group)
        mark("data")
        parts, seen = step.losses(bool(dense), state["step"] >= c.queue_after, state["step"] >= c.null_after)
        mark("forward")
        total(c, parts).backward()
        mark("backward")
        if world > 1:
            average_gradients(model, world)
            mark("others")
        optimizers.step(lr)
        for p in model.parameters():
            p.grad = None
        step.keep(state["step"])
        mark("optimizer")
        state["step"] += 1
        state["tokens"] += world * c.B * c.L
        local_step += 1
        for (_, x), (name, y) in zip(marks, marks[1:]):
            if local_step > 6:
                spent[name] = spent.get(name, 0) + y - x
        if local_step == 4:
            if gpu:
                torch.cuda.synchronize()
            began, tokens0 = time.time() - START, state["tokens"]
            log("steps begin")
        if state["step"] % c.log_every == 0 or local_step < 4:
            if world > 1:                         # rounding must not let the copies drift apart
                for p in optimizers.values().values():
                    distributed.broadcast(p, 0)
                optimizers.round()
            row = dict(step=state["step"], tokens=state["tokens"], lr=round(lr, 4), **{k: round(float(v), 3) for k, v in parts.items() if k not in ("lm", "mass", "null")}, nothing=round(float(parts["null"]), 3), **step.watched(seen))
            row.update(per_s=round((state["tokens"] - tokens0) / max(1e-9, time.time() - START - began)) if began else 0, waiting=queue.qsize(), gib=round(torch.cuda.max_memory_allocated() / 2**30, 1) if gpu else 0)
            if first:
                log(json.dumps(row))
                record.write(json.dumps(row) + "\n")
                record.flush()
            if not math.isfinite(row["lm"]) or not math.isfinite(row["ret"]):
                raise SystemExit("train.py: the loss is no number; nothing was saved")
    if a.profile and first:
        n = max(1, local_step - 6)
        log("ms a step:", {k: round(1000 * v / n, 1) for k, v in spent.items()}, "sum", round(1000 * sum(spent.values()) / n, 1))
    state["seconds"] += world * (time.time() - START)
    end(maker)
    if first:
        write_checkpoint(a.out, a.travel, model, optimizers, state, c)
        log("saved", json.dumps(state))
        record.close()
    if world > 1:
        distributed.barrier()                     # the others wait, or their end would end the first one too
    os._exit(0)                                   # the fetching thread waits for workers that are gone


def _sample(job):
    import shards as S
    return tokens.sample(S.read(job[0]), random.Random(1), job[1])


if __name__ == "__main__":
    main()
