#!/usr/bin/env python3
"""The kernels and their peers on one GPU, in one run: times, shares of the peak, accuracy.

usage: gpu_bench.py [--build DIR] [--out FILE.json] [--quick | --long] [--commit NAME]
       gpu_bench.py --markdown FILE.json

Ours are measured by kernelcheck --bench, a process an operation; the peers by PyTorch. Both the
same way: random data, copies of the operands in turn where one would stay in the cache, the median
of up to 15 batches of at least 4 ms each (here between two CUDA events). The ceilings, a bf16
product of 8192^3 and a device copy, are measured before and after; shares are of the largest that
was seen. --quick leaves sizes out; --long adds dense attention over 1 M tokens: one run a peer,
near a minute. What is missing (PyTorch, a peer in it, memory) is said and left out. --markdown
prints a file of --out as a page.
"""
import argparse
import datetime
import functools
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

HEADS, KV_HEADS, D = 28, 4, 128
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLASH, CUDNN, FLEX, TOPK = "FlashAttention-2", "cuDNN", "FlexAttention", "matmul + torch.topk"
CACHE = 128 << 20  # operands together are at least this large: twice an H200's L2
started = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)


def output_of(*command):
    """What a command prints; "" if it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# ---- the machine ----


def machine():
    gpu = output_of("nvidia-smi", "--query-gpu=name,driver_version,memory.total",
                    "--format=csv,noheader").splitlines()
    name, driver, memory = (gpu[0].split(", ") if gpu else ("unknown", "unknown", "unknown"))
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    nvcc = re.search(r"release ([\d.]+)", output_of("nvcc", "--version")
                     or output_of("/usr/local/cuda/bin/nvcc", "--version"))
    about = {"gpu": name, "memory": memory, "driver": driver,
             "cpu": f"{cpu[1].strip() if cpu else 'unknown'}, {os.cpu_count()} cores",
             "nvcc": nvcc[1] if nvcc else "unknown"}
    if torch:
        cudnn = torch.backends.cudnn.version() or 0
        about["torch"] = torch.__version__
        about["cudnn"] = f"{cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}"
    return about


# ---- ours ----


def ours(build, ops, large):
    """Every measurement of kernelcheck --bench: {op, what, seconds, bytes, flop}."""
    found = []
    for op in ops:
        say(f"ours: {op}")
        with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
            command = [f"{build}/tests/kernelcheck/kernelcheck", "--bench", "--backend", "cuda",
                       "--op", op, "--json", file.name] + ["--large"] * large
            done = subprocess.run(command, capture_output=True, text=True)
            sys.stdout.write(done.stdout)
            if done.returncode or "skipped (" in done.stdout:
                raise SystemExit(f"kernelcheck --op {op} failed\n{done.stderr}")
            for line in file.read().splitlines():
                found.append({"op": op, **json.loads(line.replace("nan", "NaN"))})
    return found


# ---- the peers ----


class Peers:
    """Measurements, and what could not be measured."""

    def __init__(self):
        self.found, self.missing = [], []

    def add(self, peer, what, measure, flop=0.0, moved=0.0):
        """measure() -> seconds"""
        try:
            seconds = measure()
        except Exception as error:  # a peer that is not there, or that memory is too short for
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            self.missing.append({"peer": peer, "what": what, "reason": reason})
            say(f"{peer}, {what}: left out: {reason}")
            return None
        finally:
            torch.cuda.empty_cache()
        self.found.append({"peer": peer, "what": what, "seconds": seconds, "bytes": moved,
                           "flop": flop})
        rate = f"{flop / seconds * 1e-12:8.1f} TFLOP/s" if flop else ""
        rate += f"{moved / seconds * 1e-9:9.1f} GB/s" if moved else ""
        say(f"{peer}, {what}: {seconds * 1e3:.3f} ms {rate}")
        return seconds


def between_events(run, turns):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for turn in turns:
        run(turn)
    end.record()
    end.synchronize()
    return start.elapsed_time(end) * 1e-3


def median_seconds(run, least=4e-3, batches=15, budget=2.0):
    """Of run(turn), turn = 0, 1, 2 ...: as kernelcheck does it."""
    turn, many = 0, 1
    run(turn)
    torch.cuda.synchronize()
    while between_events(run, range(turn, turn + many)) < least and many < 1 << 16:
        turn += many
        many *= 2
    times, begin = [], time.monotonic()
    while len(times) < batches and (len(times) < 3 or time.monotonic() - begin < budget):
        times.append(between_events(run, range(turn, turn + many)) / many)
        turn += many
    return statistics.median(times)


def without_launches(run, turns):
    """run(turn) for `turns` turns as one graph: the time of the GPU without Python's."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for turn in range(turns):
            run(turn)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for turn in range(turns):
            run(turn)
    return median_seconds(lambda _: graph.replay()) / turns


def random(*shape):
    return torch.randn(*shape, dtype=torch.bfloat16, device="cuda")


def ceilings():
    a, b = random(8192, 8192), random(8192, 8192)
    product = 2 * 8192**3 / median_seconds(lambda _: a @ b)
    x = random(1 << 30)
    y = torch.empty_like(x)
    copy = 4 * x.numel() / median_seconds(lambda _: y.copy_(x))
    say(f"ceilings: product {product * 1e-12:.1f} TFLOP/s, copy {copy * 1e-12:.2f} TB/s")
    return {"product": product, "copy": copy}


def backend_of(peer):
    from torch.nn.attention import SDPBackend
    return SDPBackend.FLASH_ATTENTION if peer == FLASH else SDPBackend.CUDNN_ATTENTION


def dense(peer, q, k, v, causal=True):
    from torch.nn.attention import sdpa_kernel
    with sdpa_kernel(backend_of(peer)):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)


def operands(n, heads=HEADS, kv_heads=KV_HEADS, d=D):
    """q, k, v [1, heads, n, d], as many copies as the cache cannot hold."""
    copies = 1 + (CACHE // (n * (heads + 2 * kv_heads) * d * 2) or 1)
    return [(random(1, heads, n, d), random(1, kv_heads, n, d), random(1, kv_heads, n, d))
            for _ in range(copies)]


def causal_flop(n):
    return 4 * HEADS * D * n * (n + 1) / 2


def dense_peers(peers, sizes, long):
    for n in sizes:
        for peer in (FLASH, CUDNN):
            def measure():
                qkv = operands(n)
                return median_seconds(lambda turn: dense(peer, *qkv[turn % len(qkv)]))
            peers.add(peer, f"causal {n}", measure, causal_flop(n))
    for peer in (FLASH, CUDNN) if long else ():
        def once():
            small = random(1, HEADS, 1 << 17, D), *(random(1, KV_HEADS, 1 << 17, D) for _ in "kv")
            dense(peer, *small)
            del small
            qkv = random(1, HEADS, 1 << 20, D), *(random(1, KV_HEADS, 1 << 20, D) for _ in "kv")
            torch.cuda.synchronize()
            return between_events(lambda _: dense(peer, *qkv), range(1))
        peers.add(peer, f"causal {1 << 20}", once, causal_flop(1 << 20))


def compiled_window(n, window, segment):
    """FlexAttention over a sliding window inside segments of one length, compiled for it. Its block
    mask is written down from the first key that each row sees: a mask of n * n is not needed."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    def seen(batch, head, q, k):
        return (k <= q) & (q - k < window) & (q // segment == k // segment)

    size = 128
    row = torch.arange(n, device="cuda")
    low = torch.maximum(row - window + 1, row // segment * segment)
    block = torch.arange((n + size - 1) // size, device="cuda")
    first, last = low[block * size], low[torch.clamp(block * size + size - 1, max=n - 1)]
    some = (block * size + size > first[:, None]) & (block <= block[:, None])
    whole = (block * size >= last[:, None]) & (block < block[:, None])

    def listed(mask):
        order = torch.argsort(mask.int(), dim=-1, descending=True, stable=True)
        return mask.sum(-1).int()[None, None], order.int()[None, None].contiguous()

    mask = BlockMask.from_kv_blocks(*listed(some & ~whole), *listed(whole), BLOCK_SIZE=size,
                                    mask_mod=seen)
    torch.compiler.reset()
    flex = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: flex(q, k, v, block_mask=mask, enable_gqa=True)


def window_flop(n, window, segment):
    most = min(window, segment)
    pairs = most * (most + 1) / 2 + (segment - most) * most
    return 4 * HEADS * D * pairs * n / segment


def window_peers(peers, shapes):
    for n, window, segment in shapes:
        def measure():
            flex = compiled_window(n, window, segment)
            qkv = operands(n)
            return median_seconds(lambda turn: flex(*qkv[turn % len(qkv)]))
        peers.add(FLEX, f"{n // segment} x {segment}, W {window}", measure,
                  window_flop(n, window, segment))


def scan_peer(landmarks, q, k, chunk):
    """Chunk by chunk, so that no scores of all landmarks need to exist."""
    best, block = [], []
    for first in range(0, landmarks.shape[0], chunk):
        score, at = torch.topk(q @ landmarks[first:first + chunk].T, k)
        best.append(score)
        block.append(at + first)
    if len(best) == 1:
        return best[0], block[0]
    score, at = torch.topk(torch.cat(best, 1), k)
    return score, torch.gather(torch.cat(block, 1), 1, at)


def scan_peers(peers, shapes, n_blocks=1 << 23):
    landmarks = random(n_blocks, D)
    for n, k in shapes:
        q = random(n, D)
        peers.add(TOPK, f"n {n} k {k}",
                  lambda: min(without_launches(lambda _: scan_peer(landmarks, q, k, chunk), 1)
                              for chunk in (1 << 20, n_blocks)),
                  moved=landmarks.numel() * 2)


def gather_peers(peers):
    """Dense attention of each token over its rows, which were gathered before."""
    rows = 16 * 64
    for n in (64, 8, 1):
        moved = 4 * n * KV_HEADS * rows * D
        copies = 1 + CACHE // moved
        for peer in (FLASH, CUDNN):
            def measure():
                q = random(n, HEADS, 1, D)
                kv = [random(2, n, KV_HEADS, rows, D) for _ in range(copies)]
                return without_launches(lambda turn: dense(peer, q, *kv[turn], causal=False),
                                        copies)
            peers.add(peer, f"{n} x {rows} gathered", measure, moved=moved)

    def decode():
        q, k, v = random(1, HEADS, 1, D), random(1, KV_HEADS, n, D), random(1, KV_HEADS, n, D)
        return median_seconds(lambda _: dense(FLASH, q, k, v, causal=False))
    n = 1 << 22
    peers.add(FLASH, f"1 x {n} decode", decode, moved=4 * n * KV_HEADS * D)


# ---- accuracy ----


class AttentionFile:
    """Our operators over tensors, through files."""

    def __init__(self, build, folder):
        self.folder = folder
        self.process = subprocess.Popen([f"{build}/tests/bench/attention_file"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, mode, window, q, k, v):
        """q, k, v [heads, n, d] -> o [heads, n, d]"""
        import numpy
        (heads, n, d), kv_heads = q.shape, k.shape[0]
        rows = torch.cat([x.transpose(0, 1).reshape(n, -1) for x in (q, k, v)], 1)
        paths = [os.path.join(self.folder, name) for name in ("in", "out")]
        rows.contiguous().view(torch.int16).cpu().numpy().tofile(paths[0])
        self.process.stdin.write(" ".join(map(str, [mode, window, n, heads, kv_heads, d, *paths]))
                                 + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise RuntimeError(f"attention_file: {answer or 'ended'}")
        o = torch.from_numpy(numpy.fromfile(paths[1], numpy.int16)).view(torch.bfloat16)
        return o.view(n, heads, d).transpose(0, 1).cuda()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def float64(q, k, v, window):
    """The same attention in float64, a chunk of rows of one kv head at a time."""
    (heads, n, d), kv_heads = q.shape, k.shape[0]
    group = heads // kv_heads
    o = torch.empty(heads, n, d, dtype=torch.float64, device="cuda")
    for h in range(kv_heads):
        of = slice(h * group, (h + 1) * group)
        for first in range(0, n, 1024):
            end, low = min(first + 1024, n), max(0, first - window + 1)
            score = q[of, first:end].double() @ k[h, low:end].double().T / math.sqrt(d)
            behind = (torch.arange(first, end, device="cuda")[:, None]
                      - torch.arange(low, end, device="cuda"))
            score.masked_fill_((behind < 0) | (behind >= window), -math.inf)
            o[of, first:end] = torch.softmax(score, -1) @ v[h, low:end].double()
    return o


def errors(o, true):
    """Relative L2 and the largest; what is no number counts as infinite."""
    off = o.double() - true
    if not bool(torch.isfinite(off).all()):
        return {"l2": math.inf, "most": math.inf}
    return {"l2": (off.norm() / true.norm()).item(), "most": off.abs().max().item()}


def accuracy(build, sizes, flex_sizes):
    """Ours and the peers on the same inputs against float64."""
    found, flex = [], functools.lru_cache(compiled_window)
    with tempfile.TemporaryDirectory() as folder:
        mine = AttentionFile(build, folder)
        for n in sizes:
            for d in (64, 128):
                for kind, sharper in (("normal", 1), ("peaky", 4)):
                    q = random(HEADS, n, d) * sharper
                    k, v = random(KV_HEADS, n, d), random(KV_HEADS, n, d)
                    window = 512
                    runs = {
                        "causal": [
                            ("ours, dense", lambda: mine.run("dense", window, q, k, v)),
                            ("ours, all selected", lambda: mine.run("selected", window, q, k, v)),
                            (FLASH, lambda: dense(FLASH, q[None], k[None], v[None])[0]),
                            (CUDNN, lambda: dense(CUDNN, q[None], k[None], v[None])[0])],
                        f"window {window}": [
                            ("ours, window", lambda: mine.run("window", window, q, k, v))]}
                    if n in flex_sizes:
                        runs[f"window {window}"].append(
                            (FLEX, lambda: flex(n, window, n)(q[None], k[None], v[None])[0]))
                    for what, programs in runs.items():
                        true = float64(q, k, v, n if what == "causal" else window)
                        row = {"what": what, "n": n, "d": d, "inputs": kind}
                        for name, run in programs:
                            try:
                                row[name] = errors(run(), true)
                            except Exception as error:
                                say(f"{name}, {what} n {n} d {d}: left out: {error}")
                        found.append(row)
                        say(f"accuracy, {what} n {n} d {d} {kind}: " + ", ".join(
                            f"{name} {e['l2']:.3e}" for name, e in row.items()
                            if isinstance(e, dict)))
        mine.close()
    return found


# ---- the table ----


class Figures:
    """A run's measurements by name, and its ceilings."""

    def __init__(self, data):
        self.ours = {(x["op"], x["what"]): x for x in data["ours"]}
        self.peers = {(x["peer"], x["what"]): x for x in data["peers"]}
        seen = list(data["ceilings"].values())
        seen += [{"copy": x["bytes"]} for x in data["ours"] if x["what"] == "peak copy"]
        seen += [{"product": x["flop"]} for x in data["ours"] if x["what"] == "peak product"]
        self.top = {name: max((x[name] for x in seen if x.get(name, 0) > 0), default=math.nan)
                    for name in ("copy", "product")}

    def share(self, x, of):
        return x["bytes" if of == "copy" else "flop"] / x["seconds"] / self.top[of]


def thousands(n):
    return f"{n >> 20} M" if n >= 1 << 20 else f"{n >> 10}K"


def sparse_name(n, window, stride, k, more=""):
    return "sparse_attention", f"sparse_attention n {n} W {window} S {stride} K {k}{more}"


def table(data):
    """Rows of {operation, ours_ms, share, of, peer, peer_ms, ratio, must, aim, met}; must and aim
    are of the ratio, or of the share where they end in %."""
    figures, rows = Figures(data), []

    def row(operation, name, of, peer=None, what=None, must="", aim=""):
        mine = figures.ours.get(name)
        other = figures.peers.get((peer, what))
        if not mine or (peer and not other):
            return
        share = figures.share(mine, of)
        ratio = other["seconds"] / mine["seconds"] if other else None
        met = None
        if must:
            met = (share >= float(must[:-2]) / 100 if must.endswith("%")
                   else ratio >= float(must[:-2]))
        rows.append({"operation": operation, "ours_ms": mine["seconds"] * 1e3, "share": share,
                     "of": of, "peer": peer or "", "must": must, "aim": aim, "met": met,
                     "peer_ms": other["seconds"] * 1e3 if other else None, "ratio": ratio})

    targets = {n: ("1.0 x", "") for n in (4096, 8192, 16384, 65536)} | {32768: ("6.4 x", "10 x")}
    for n in (4096, 8192, 16384, 32768, 65536, 131072):
        for peer in (FLASH, CUDNN):
            row(f"prefill {thousands(n)}, dense mode", sparse_name(n, n, 0, 0), "product", peer,
                f"causal {n}")
    for n in (4096, 8192, 16384, 32768, 65536):
        row(f"prefill {thousands(n)}, W 512, 2048 selected", sparse_name(n, 512, 0, 2048),
            "product", FLASH, f"causal {n}", *targets[n])
        row(f"prefill {thousands(n)}, W 512, 2048 selected", sparse_name(n, 512, 0, 2048),
            "product", CUDNN, f"causal {n}")
    n = 131072
    row("prefill 128K, W 4096, stride 256, 512 selected", sparse_name(n, 4096, 256, 512), "product",
        FLASH, f"causal {n}", "12 x", "18 x")
    usual = sparse_name(n, 512, 0, 2048)
    for peer, must, aim in ((FLASH, "20 x", "40 x"), (CUDNN, "12 x", "24 x")):
        row("prefill 128K, W 512, 2048 selected", usual, "product", peer, f"causal {n}", must, aim)
    row("prefill 128K, W 512, 2048 selected: share of the bf16 peak", usual, "product", None, None,
        "45 %", "65 %")
    for more, words in ((" landmarks", ", landmarks"), (" antidiagonal", ", antidiagonal scores")):
        row(f"prefill 128K, W 512, 2048 selected{words}", sparse_name(n, 512, 0, 2048, more),
            "product", FLASH, f"causal {n}")
    million = sparse_name(1 << 20, 512, 0, 2048)
    row("prefill 1 M, W 512, 2048 selected", million, "product", FLASH, f"causal {1 << 20}",
        "100 x", "250 x")
    row("prefill 1 M, W 512, 2048 selected", million, "product", CUDNN, f"causal {1 << 20}",
        "60 x", "150 x")
    if (FLASH, f"causal {1 << 20}") not in figures.peers:
        row("prefill 1 M, W 512, 2048 selected", million, "product")
    row("prefill 4 M, W 512, 2048 selected", sparse_name(1 << 22, 512, 0, 2048), "product")

    for n, window, segment, words, must, aim in (
            (131072, 512, 131072, "window 512, 128K", "1.2 x", "2 x"),
            (131072, 4096, 131072, "window 4096, 128K", "", ""),
            (85 * 1536, 512, 1536, "window 512, 85 segments of 1536", "", "")):
        count = f"{n // segment} x {segment}"
        row(words, ("window_attention", f"{count}, {HEADS}/{KV_HEADS} heads d{D}, W {window}"),
            "product", FLEX, f"{count}, W {window}", must, aim)

    # the ratio is asked of many queries: with one the peer is bound by reading the landmarks, too
    for n, k in ((1, 16), (32, 16), (256, 16), (1, 4096), (32, 512)):
        name = "landmark_topk", f"bf16, {1 << 23} of {D}, n {n} k {k}"
        words = f"scan of 8 M landmarks, {n} quer{'y' if n == 1 else 'ies'}, k {k}"
        if k == 16 and n <= 32:
            row(f"{words}: share of a copy", name, "copy", None, None, "80 %", "90 %")
        row(words, name, "copy", TOPK, f"n {n} k {k}", *(("3 x", "8 x") if (n, k) == (32, 16)
                                                         else ()))

    for n in (64, 8, 1):
        name = "gather_attention", f"bf16, {n} tokens x 16 blocks, {HEADS}/{KV_HEADS} heads d{D}"
        words = f"{n} token{'s' * (n > 1)}, 16 blocks of 64 each"
        if n == 64:
            row(f"{words}: share of a copy", name, "copy", None, None, "60 %", "80 %")
        for peer in (FLASH, CUDNN):
            row(f"{words} (peer: gathered before)", name, "copy", peer, f"{n} x 1024 gathered")
    return rows


def growth(data):
    """The exponent e of N^e between 512K and 4 M tokens."""
    figures = Figures(data)
    ends = [figures.ours.get(sparse_name(n, 512, 0, 2048)) for n in (1 << 19, 1 << 22)]
    return math.log(ends[1]["seconds"] / ends[0]["seconds"], 8) if all(ends) else math.nan


def milliseconds(x):
    return "" if x is None else f"{x:.3f}" if x < 10 else f"{x:.1f}" if x < 1000 else f"{x:.0f}"


def cells(row):
    verdict = {None: "", True: " met", False: " MISSED"}[row["met"]]
    return [row["operation"], milliseconds(row["ours_ms"]),
            f"{100 * row['share']:.1f} % of {row['of']}", row["peer"],
            milliseconds(row["peer_ms"]), f"{row['ratio']:.2f} x" if row["ratio"] else "",
            row["must"] + verdict, row["aim"]]


HEADINGS = ["operation", "ours ms", "share of peak", "peer", "peer ms", "ratio", "must", "aim"]


def lines_of(rows):
    return ["| " + " | ".join(row) + " |"
            for row in [rows[0], ["---"] * len(rows[0])] + rows[1:]]


def accuracy_rows(data):
    """A case's relative L2 of ours and of the peers, and ours over the first peer's."""
    out = [["attention", "tokens", "d", "inputs", "ours", "largest error", "peer", "peer's",
            "largest error", "ours / peer's"]]
    for case in data["accuracy"]:
        names = [name for name, x in case.items() if isinstance(x, dict)]
        others = [name for name in names if not name.startswith("ours")] or [None]
        for name in (name for name in names if name.startswith("ours")):
            for peer in others:
                mine, other = case[name], case.get(peer)
                out.append([f"{case['what']}, {name.removeprefix('ours, ')}", str(case["n"]),
                            str(case["d"]), case["inputs"], f"{mine['l2']:.4e}",
                            f"{mine['most']:.2e}", peer or "",
                            f"{other['l2']:.4e}" if other else "",
                            f"{other['most']:.2e}" if other else "",
                            f"{mine['l2'] / other['l2']:.4f}" if other else ""])
    return out


def worst(data):
    """The largest share of a peer's error that ours has; must be at most 1."""
    found = {}
    for what, *_, peer, _, _, ratio in accuracy_rows(data)[1:]:
        if ratio:
            found[what, peer] = max(found.get((what, peer), 0.0), float(ratio))
    return "Largest ratio: " + "; ".join(f"{what} to {peer} {ratio:.4f}" for (what, peer), ratio
                                         in found.items()) + "."


def page(data):
    about, top = data["machine"], Figures(data).top
    ends = " and ".join(f"{x['product'] * 1e-12:.0f} TFLOP/s, {x['copy'] * 1e-12:.2f} TB/s"
                        for x in data["ceilings"].values())
    out = [f"# GPU figures, {data['date'][:10]}", "",
           f"{about['gpu']} ({about['memory']}), driver {about['driver']}; {about['cpu']}; nvcc "
           f"{about['nvcc']}, PyTorch {about.get('torch', 'missing')}, cuDNN "
           f"{about.get('cudnn', 'missing')}.",
           f"Commit {data['commit']}; `{data['command']}`, {data['date']}, "
           f"{data['seconds']:.0f} s." + (f" Checks before: {data['checks']}."
                                          if data["checks"] else ""),
           f"Ceilings, bf16 product of 8192^3 and device copy, before and after: {ends}; shares "
           f"are of the largest seen: {top['product'] * 1e-12:.0f} TFLOP/s, "
           f"{top['copy'] * 1e-12:.2f} TB/s.", "",
           "Random data; operands in turn where one would stay in the cache; medians, but of dense "
           f"attention over 1 M tokens one run. Attention has {HEADS} query and {KV_HEADS} key "
           f"heads of {D}. Prefill of ours includes block means and selection. A share of product "
           "counts only what the rows see, a share of copy each operand once. The peers of scan "
           "and gather are replayed as CUDA graphs, without Python; ours is launched call by call. "
           "torch.topk ranks scores rounded to bf16; for one query it is bound by reading the "
           "landmarks, as ours is.",
           "",
           *lines_of([HEADINGS] + [cells(row) for row in table(data)]), "",
           f"Time grows as N^{growth(data):.3f} from 512K to 4 M tokens (must N^1.15, aim N^1)."]
    decode = Figures(data).peers.get((FLASH, f"1 x {1 << 22} decode"))
    if decode:
        rate = decode["bytes"] / decode["seconds"] * 1e-12
        out += ["", f"A yardstick: dense attention of one query over 4 M keys ({FLASH}) takes "
                f"{decode['seconds'] * 1e3:.2f} ms, {rate:.2f} TB/s."]
    if data["accuracy"]:
        out += ["", "## Error against float64", "",
                "Relative L2 and the largest error, the same bf16 inputs; peaky: q times 4. "
                + worst(data), "",
                *lines_of(accuracy_rows(data))]
    out += ["", "## Every measurement of ours", "",
            *lines_of([["operation", "shape", "ms", "GB/s", "TFLOP/s"]] + [
                [x["op"], x["what"], milliseconds(x["seconds"] * 1e3),
                 f"{x['bytes'] / x['seconds'] * 1e-9:.0f}",
                 f"{x['flop'] / x['seconds'] * 1e-12:.1f}" if x["flop"] else ""]
                for x in data["ours"] if not x["what"].startswith("peak ")]), "",
            "## Every measurement of the peers", "",
            *lines_of([["peer", "shape", "ms", "GB/s", "TFLOP/s"]] + [
                [x["peer"], x["what"], milliseconds(x["seconds"] * 1e3),
                 f"{x['bytes'] / x['seconds'] * 1e-9:.0f}" if x["bytes"] else "",
                 f"{x['flop'] / x['seconds'] * 1e-12:.1f}" if x["flop"] else ""]
                for x in data["peers"]])]
    out += [""] + [f"* Left out: {x['peer']}, {x['what']}: {x['reason']}" for x in data["missing"]]
    return "\n".join(out).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build-gpu"))
    parser.add_argument("--out")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--checks", default="", help="what kernelcheck counted before")
    parser.add_argument("--commit", default=os.environ.get("SPARSEX_COMMIT"))
    parser.add_argument("--markdown")
    args = parser.parse_args()

    if args.markdown:
        with open(args.markdown) as file:
            sys.stdout.write(page(json.load(file)))
        return
    quick, long = args.quick, args.long
    data = {"machine": machine(), "checks": args.checks,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": args.commit or output_of("git", "describe", "--always", "--dirty")
            or "unknown",
            "command": os.environ.get("SPARSEX_COMMAND", "python3 tests/bench/gpu_bench.py")
            + " --quick" * quick + " --long" * long,
            "ceilings": {}, "peers": [], "missing": [], "accuracy": []}
    say(json.dumps(data["machine"]))

    ops = ["sparse_attention", "window_attention", "landmark_topk", "gather_attention"]
    if not quick:
        ops += ["sparse_select", "block_mean", "landmark_pool", "kv", "lse_merge", "rms_norm",
                "embedding", "head_norm_rope", "swiglu", "softcap_argmax", "matmul"]
    with_torch = bool(torch) and torch.cuda.is_available()
    if with_torch:
        data["ceilings"]["start"] = ceilings()
        torch.cuda.empty_cache()
    else:
        say("no PyTorch with a GPU here: ours only")
    data["ours"] = ours(args.build, ops, not quick)
    if with_torch:
        peers = Peers()
        data["peers"], data["missing"] = peers.found, peers.missing
        dense_peers(peers, [32768, 131072] if quick else [4096 << i for i in range(6)], long)
        scan_peers(peers, [(1, 16), (32, 16)] + [(256, 16), (1, 4096), (32, 512)] * (not quick))
        gather_peers(peers)
        window_peers(peers, [(131072, 512, 131072)] + [(131072, 4096, 131072),
                                                       (85 * 1536, 512, 1536)] * (not quick))
        try:
            data["accuracy"] = accuracy(args.build, [1000, 4096] + [8192] * (not quick),
                                        [] if quick else [4096])
        except (OSError, ImportError) as error:
            say(f"accuracy: left out: {error}")
        data["ceilings"]["end"] = ceilings()
    data["seconds"] = time.monotonic() - started
    data["table"], data["growth"] = table(data), growth(data)

    if args.out:
        with open(args.out, "w") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
    shown = [HEADINGS] + [cells(row) for row in data["table"]]
    widths = [max(len(row[i]) for row in shown) for i in range(len(HEADINGS))]
    print("\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                    for row in shown))
    print(f"growth from 512K to 4 M tokens: N^{data['growth']:.3f}")
    print(worst(data))
    say("done")


main()
