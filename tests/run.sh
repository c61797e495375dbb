#!/usr/bin/env bash
# bash tests/run.sh: installs what is missing, builds with warnings as errors, and runs every test:
# once as it is built for use, once under the address and undefined-behaviour sanitizers.
# The last line is `N passed, N failed`, and the exit status 1 if one failed.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/../app/setup.sh"
cd "$sx_root" || exit 1

passed=0 failed=0 skipped=0

# run_tests DIR [meson test option...]: sums up what each test program counted in its last line.
run_tests() {
    local dir=$1 log rows line p f s before=$failed rc
    shift
    log=$dir/meson-logs/testlog.json
    rm -f "$log"
    meson test -C "$dir" --print-errorlogs --num-processes "$(nproc)" "$@"
    rc=$?
    if ! rows=$(jq -r '[.name, .result,
                     ((.stdout // "") | split("\n") | map(select(test("[0-9]+ passed, [0-9]+ failed"))) | last // "")]
                    | @tsv' "$log") || [ -z "$rows" ]; then
        failed=$((failed + 1))
        printf 'failed: %s left no results\n' "$dir"
        return
    fi
    while IFS=$'\t' read -r name result line; do
        p=$(sed -n 's/.*\b\([0-9]\+\) passed.*/\1/p' <<<"$line")
        f=$(sed -n 's/.*\b\([0-9]\+\) failed.*/\1/p' <<<"$line")
        s=$(sed -n 's/.*\b\([0-9]\+\) skipped.*/\1/p' <<<"$line") # without a GPU: its kernels
        case $result in
            OK) passed=$((passed + ${p:-1})) skipped=$((skipped + ${s:-0})) ;;
            SKIP) skipped=$((skipped + 1)) ;;
            *)  # a test that died counts as one failure, whatever it counted before
                passed=$((passed + ${p:-0}))
                [ "${f:-0}" -gt 0 ] || f=1
                failed=$((failed + f))
                printf 'failed: %s (%s)\n' "$name" "$result" ;;
        esac
    done <<<"$rows"
    # what meson calls a failure is one, even if it died before it could write down which
    if [ $rc -ne 0 ] && [ "$failed" -eq "$before" ]; then
        failed=$((failed + 1))
        printf 'failed: meson test in %s (status %d)\n' "$dir" "$rc"
    fi
}

fail() {
    printf '%s\n%d passed, %d failed\n' "$1" "$passed" "$((failed + 1))"
    exit 1
}

sx_prepare jq strace || fail 'preparing failed'
sx_build "$sx_root/build" -Dwerror=true || fail 'building failed'
run_tests build
# no -Dwerror here: instrumented code makes the compiler guess, and warn of what cannot be
sx_build "$sx_root/build-asan" -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Dcuda=disabled ||
    fail 'building with sanitizers failed'
# Leak checking needs ptrace, which the program gives up: the sandbox is for the first run.
export SPARSEX_SANDBOX=off
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=99
run_tests build-asan --timeout-multiplier 6

printf '%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ]
