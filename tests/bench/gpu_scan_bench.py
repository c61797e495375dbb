#!/usr/bin/env python3
"""The scan and the gather against PyTorch, one after the other on the same GPU.

usage: gpu_scan_bench.py KERNELCHECK [--large] [--json FILE]

KERNELCHECK is the built tests/kernelcheck/kernelcheck; its --bench measures ours. The peers: matmul
and torch.topk over chunks for the scan, dense attention over gathered keys and values for the
gather (the gathering itself is not timed). Medians; the ceiling is a device copy in this process.
"""
import argparse
import json
import re
import statistics
import subprocess
import sys

import torch

D = 128
LINE = re.compile(r"^cuda\S* sm_\d+\s+(?P<what>.*?)\s+(?P<us>[\d.]+) us\s+(?P<gb>[\d.]+) GB/s")


def ours(program, large):
    """{shape as kernelcheck names it: (seconds, bytes a second)}"""
    found = {}
    for op in ("landmark_topk", "gather_attention"):
        command = [program, "--bench", "--backend", "cuda", "--op", op] + ["--large"] * large
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        sys.stdout.write(text)
        for line in text.splitlines():
            if match := LINE.match(line):
                found[match["what"]] = float(match["us"]) * 1e-6, float(match["gb"]) * 1e9
    return found


def median_seconds(run, repeat=20):
    run()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeat):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def copy_bandwidth():
    a = torch.empty(1 << 30, dtype=torch.bfloat16, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.numel() * 2 / median_seconds(lambda: b.copy_(a))


def scan_peer(landmarks, n, k, chunk=1 << 20):
    """matmul + torch.topk, chunk by chunk, so that no [n, blocks] scores exist."""
    q = torch.randn(n, D, dtype=torch.bfloat16, device="cuda")

    def run():
        best, index = [], []
        for first in range(0, landmarks.shape[0], chunk):
            score, at = torch.topk(q @ landmarks[first:first + chunk].T, k)
            best.append(score)
            index.append(at + first)
        score, at = torch.topk(torch.cat(best, 1), k)
        return score, torch.gather(torch.cat(index, 1), 1, at)

    return median_seconds(run)


def gather_peer(n, blocks, heads, kv_heads, d, copies=2):
    """Dense attention of one query a token over its rows, gathered beforehand."""
    rows = blocks * 64
    q = torch.randn(n, heads, 1, d, dtype=torch.bfloat16, device="cuda")
    kv = [torch.randn(2, n, kv_heads, rows, d, dtype=torch.bfloat16, device="cuda")
          for _ in range(copies)]
    turn = iter(range(1 << 30))

    def run():
        k, v = kv[next(turn) % copies]
        torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    return median_seconds(run)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kernelcheck")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()

    mine = ours(args.kernelcheck, args.large)
    copy = copy_bandwidth()
    results = []
    landmarks = torch.randn(1 << 23, D, dtype=torch.bfloat16, device="cuda")
    for what, (seconds, rate) in mine.items():
        row = {"what": what, "seconds": seconds, "bytes_per_s": rate, "of_copy": rate / copy}
        if match := re.match(r"bf16, 8388608 of 128, n (\d+) k (\d+)", what):
            row["peer"] = "matmul + torch.topk"
            row["peer_seconds"] = scan_peer(landmarks, int(match[1]), int(match[2]))
        elif match := re.match(r"bf16, (\d+) tokens x (\d+) blocks, (\d+)/(\d+) heads d(\d+)", what):
            row["peer"] = "scaled_dot_product_attention, gathered before"
            row["peer_seconds"] = gather_peer(*map(int, match.groups()))
        if "peer" in row:
            row["times_faster"] = row["peer_seconds"] / seconds
        results.append(row)
    report = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__,
              "copy_bytes_per_s": copy, "results": results}
    for row in results:
        peer = f"{row['times_faster']:6.2f} x {row['peer']}" if "peer" in row else ""
        print(f"{row['what']:48} {row['seconds'] * 1e6:10.1f} us  {row['of_copy'] * 100:5.1f} % of copy  {peer}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)


main()
