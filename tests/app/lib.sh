# Sourced by the scripts that run the real program: an own home, checks that count, small repositories.
# Every script begins with: source lib.sh PROGRAM

sparsex=$(realpath "$1")
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work/home XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data
export LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2026-01-01 00:00:00 +0000'
export GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
unset NO_COLOR SPARSEX_MODEL GIT_DIR GIT_WORK_TREE COLUMNS
mkdir -p "$HOME"
cd "$work" || exit 1
git config --global user.name test
git config --global user.email test@example.org
git config --global init.defaultBranch main

# check WHAT COMMAND...: counts whether the command succeeds.
check() {
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'failed: %s\n' "$what"
        [ ! -s out ] || sed 's/^/    out: /' out | head -n 8
        [ ! -s err ] || sed 's/^/    err: /' err | head -n 8
    fi
}

not() { ! "$@"; }

# run ARGUMENT...: the program, within a minute; leaves its output in out and err, its status in $rc.
run() {
    timeout -k 5 "${limit:-60}" "$sparsex" "$@" >out 2>err </dev/null
    rc=$?
}

# exits CODE WHAT ARGUMENT...: runs it and checks the exit status; an error is one line that begins
# with the program's name and an E-NAME.
exits() {
    local code=$1 what=$2
    shift 2
    run "$@"
    check "$what: exit $rc, not $code" [ "$rc" -eq "$code" ]
    [ "$code" -eq 0 ] || check "$what: one error line" error_line
}

error_line() { [ "$(grep -c '^sparsex: E-[A-Z0-9-]*: ' err)" -eq 1 ]; }

# Nothing below 0x20 but newline and tab, nothing that is not UTF-8.
clean() { ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$@" && iconv -f UTF-8 -t UTF-8 "$@" >/dev/null; }

json() { jq -e "$1" out >/dev/null; }

# Names, modes, times and bytes of a tree, as one line.
fingerprint() {
    (cd "$1" && find . -printf '%p %m %T@ %l\n' | sort | sha256sum
     find . -type f -print0 | sort -z | xargs -0 -r sha256sum | sha256sum) | sha256sum
}

finish() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit
}

# make_toy DIR: a repository of a few small sources.
make_toy() {
    mkdir -p "$1/src" "$1/tools" "$1/net"
    cat >"$1/src/ring.c" <<'END'
#include "ring.h"

/* Push one byte; returns false when the ring is full. */
bool ring_push(struct ring *r, uint8_t byte)
{
    if (r->len == RING_SIZE)
        return false;
    r->data[(r->head + r->len++) % RING_SIZE] = byte;
    return true;
}

/* Take the oldest byte out of the ring. */
int ring_pop(struct ring *r)
{
    if (r->len == 0)
        return -1;
    uint8_t byte = r->data[r->head];
    r->head = (r->head + 1) % RING_SIZE;
    r->len--;
    return byte;
}
END
    cat >"$1/tools/report.py" <<'END'
import csv
import json


def load_rows(path):
    """Read the measurement table and return a list of dictionaries."""
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


class Report:
    """Collects rows and prints them as JSON."""

    def __init__(self, rows):
        self.rows = rows

    def to_json(self):
        return json.dumps({"rows": load_rows(self.rows)})
END
    cat >"$1/net/retry.go" <<'END'
package net

// Backoff doubles the delay after each failed attempt, up to max.
func Backoff(attempt int, base, max time.Duration) time.Duration {
	d := base << uint(attempt)
	if d > max || d <= 0 {
		return max
	}
	return d
}
END
    printf 'A toy.\n\nRead `src/ring.c` first.\n' >"$1/README.md"
    head -c 300 /dev/zero >"$1/picture.png"
    git -C "$1" init -q
    git -C "$1" add -A
    git -C "$1" commit -qm 'A toy'
}

# make_large DIR N: N files of code that differ, to have something that takes a while.
make_large() {
    mkdir -p "$1/src"
    local i
    for ((i = 0; i < $2; i++)); do
        awk -v n="$i" 'BEGIN { for (k = 0; k < 60; k++)
            printf "/* Mixes %d into %d. */\nint mix_%d_%d(int a, int b)\n{\n    int t = a * %d + b;\n    return t ^ (t >> %d);\n}\n\n",
                   n, k, n, k, n * 60 + k, k % 7 }' >"$1/src/mix_$i.c"
    done
    git -C "$1" init -q
    git -C "$1" add -A
    git -C "$1" commit -qm 'Much of the same'
}
