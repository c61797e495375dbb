#!/usr/bin/env bash
# bash tests/bench/gpu.sh [--quick | --long] [--out FILE.json]: on a machine with an NVIDIA GPU and
# nvcc, meson and ninja: builds, checks every kernel, and only then measures them and their peers.
# FILE.json (tests/bench/results/DATE-GPU.json unless given) gets everything, and a page of the same
# name in Markdown beside it. Where the sources came without git, SPARSEX_COMMIT names them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export SPARSEX_COMMAND='bash tests/bench/gpu.sh'

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1)
out=tests/bench/results/$(date -u +%F)-$(awk '{ print tolower($NF) }' <<<"$gpu").json
given=("$@") pids='' checks='' failed=''
for ((i = 0; i < $#; i++)); do
    [ "${given[i]}" != --out ] || out=${given[i + 1]}
done

[ -d build-gpu ] || meson setup build-gpu -Dui=disabled -Dindexer=disabled -Dcuda=enabled \
    -Dbuildtype=release
ninja -C build-gpu tests/kernelcheck/kernelcheck tests/bench/attention_file \
    kernels/cuda/libsparsex-cuda.so

# both at once: it is the references that take time, on the processor
for backend in cuda sm80; do
    build-gpu/tests/kernelcheck/kernelcheck --backend "$backend" >"build-gpu/check-$backend.txt" &
    pids+=" $!"
done
for pid in $pids; do
    wait "$pid" || failed=1
done
for backend in cuda sm80; do
    cat "build-gpu/check-$backend.txt"
    last=$(tail -n 1 "build-gpu/check-$backend.txt")
    [[ $last != *skipped* ]] || failed=1 # no GPU, or a kernel that is not there
    checks+="${checks:+; }$backend: $last"
done
[ -z "$failed" ] || { echo 'not measured: a check failed or was skipped'; exit 1; }

mkdir -p "$(dirname "$out")"
python3 tests/bench/gpu_bench.py --checks "$checks" --out "$out" "$@"
python3 tests/bench/gpu_bench.py --markdown "$out" >"${out%.json}.md"
echo "$out ${out%.json}.md"
