#!/usr/bin/env bash
# end_to_end.sh PROGRAM: every command on small repositories, as a user would give it.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_toy toy

# ---- without a repository
exits 0 version --version
check 'version says its name' grep -q '^sparsex [0-9]' out
exits 0 help help
check 'help names every command' grep -q 'forget REPO' out
exits 0 'help ask' help ask
exits 0 doctor doctor
check 'doctor tells the libraries' grep -q 'libgit2 [0-9]' out
exits 0 'doctor as JSON' doctor --json
check 'doctor is JSON' json '.seccomp and .model'
for bad in '' 'frobnicate' 'map toy x' 'ask' 'ask toy q --top 0' 'ask toy q --top x' 'index a b' 'def' 'ask toy q --bogus'; do
    # shellcheck disable=SC2086
    exits 2 "usage: $bad" $bad
    check "usage: $bad: only one line" [ "$(wc -l <err)" -eq 1 ]
done
exits 2 'question too long' ask toy "$(head -c 9000 /dev/zero | tr '\0' x)"
exits 2 'question not UTF-8' ask toy $'\xff'
exits 4 'no repository' index "$HOME"
exits 4 'nothing there' index nowhere
exits 2 'no such revision' index toy --rev nonesuch
exits 5 'no such model' ask toy q --model nowhere

# ---- status before, index, status after
exits 0 'status before' status toy --json
check 'not indexed yet' json '.indexed == false and (.commit | length) == 40'
exits 2 'nothing to answer from' ask toy --now q
exits 0 index index toy --json
check 'index counts' json '.files == 4 and .skipped == 1 and .reasons.binary == 1 and .complete and .read == 1
    and .tokens > 300 and .blocks > 5 and .definitions >= 7 and .damaged == false'
exits 0 'index again' index toy --json
check 'nothing left to do' json '.read == 1'
exits 0 'status after' status toy
check 'status for people' grep -q 'Skipped .*1 binary' out
check 'status is clean' clean out

# ---- asking
exits 0 ask ask toy 'Where is `ring_pop` defined?'
check 'headline' grep -q '`ring_pop` is a function in src/ring.c:13-21' out
check 'quotes the source' grep -q '13 . int ring_pop(struct ring \*r)' out
check 'says what it read' grep -q 'Read from' out
check 'piped output is plain' clean out err
check 'what was read needs no note' not grep -q 'Not selected by the model' out
exits 0 'a question that selects nothing' ask toy 'Where is `ring_pop` defined?' --attention window
check 'the catalogue knows the name' grep -q 'Not selected by the model, but of that name: function ring_pop in src/ring.c:13' out
exits 0 'a question without a name' ask toy 'wait longer after every failed attempt'
check 'no certainty without a name' not grep -q '` is a' out
exits 0 'a question without a name, as JSON' ask toy 'wait longer after every failed attempt' --json
check 'its answer is read from the place that comes first' json '.spans[0] as $first | (.answer | contains($first.name)) and
    $first.mass > 2 * (.spans[1].mass // 0)'
exits 0 'ask as JSON' ask toy 'Where is `ring_pop` defined?' --json
check 'keys and their order' json 'keys_unsorted == ["question","repo","commit","model","device","tokens","blocks",
    "read","found","answer","spans","files","timing_ms"]'
check 'the span' json '.spans[0] | .path == "src/ring.c" and .name == "ring_pop" and .kind == "function" and
    .start_line == 13 and .end_line == 21 and (.mass | type) == "number"'
check 'the span of bytes' [ "$(jq -r '.spans[0] | "\(.start_byte) \(.end_byte - .start_byte)"' out |
    { read -r at n; tail -c +$((at + 1)) toy/src/ring.c | head -c "$n" | head -n 1; })" = 'int ring_pop(struct ring *r)' ]
check 'the answer is the source' [ "$(jq -r .answer out | head -n 1)" = 'int ring_pop(struct ring *r)' ]
check 'everything read' json '.read == 1 and .tokens > 300'
check 'timing' json '.timing_ms | .index >= 0 and .load > 0 and .prefill > 0 and .decode >= 0'
check 'commit' [ "$(jq -r .commit out)" = "$(git -C toy rev-parse HEAD)" ]
exits 0 'ask twice' ask toy 'Where is `ring_pop` defined?' --json
check 'same answer' [ "$(jq -r .answer out | head -n 1)" = 'int ring_pop(struct ring *r)' ]
check 'found' json '.found == true'
exits 0 'a name that is not there' ask toy 'Where is `renderPdfPreview` defined?'
check 'says so' grep -q '^Most likely not in this repository. Nearest:$' out
check 'and no more than that' not grep -qi 'written by the model\|not found' out

# a rare word in a body, among more blocks than a question selects by landmarks
mkdir wide
for i in $(seq 80); do
    printf 'int step_%d(int value)\n{\n    return value * %d + offset_of(value);\n}\n' "$i" "$i" >"wide/f$i.c"
done
sed -i 's/offset_of/quokka_of/' wide/f47.c
git -C wide init -q && git -C wide add . && git -C wide commit -q -m wide
exits 0 'a rare word' ask wide 'which step goes through the quokka' --json
check 'the rare word leads there' json '.spans[0] | .path == "f47.c" and .words > 0.3 and .rank > 0'
check 'what lacks it has less' json '[.spans[1:][].words] | max < 0.3'
exits 0 'a rare word, by windows alone' ask wide 'which step goes through the quokka' --json --attention window
check 'nothing is cited that was not read' json '.spans == []'

git init -q tested
mkdir tested/src tested/tests
printf 'int hop(int far)\n{\n    int quokka = far * 2;\n    return quokka + 1;\n}\n' >tested/src/hop.c
for i in $(seq 90); do printf 'static void test_quokka_%d(void)\n{\n    expect(quokka(%d), %d);\n}\n\n' "$i" "$i" "$i"; done >tested/tests/test_hop.c
git -C tested add . && git -C tested commit -qm 'More tests than code'
exits 0 'a word of ninety tests and one function' ask tested 'where is the quokka' --json --top 100
check 'the function was proposed all the same' json '[.spans[] | select(.path == "src/hop.c" and .words > 0)] | length == 1'
exits 0 'one place only' ask toy 'Where is `load_rows` defined?' --json --top 1
check 'one span' json '(.spans | length) == 1 and .spans[0].name == "load_rows"'
exits 0 'without kept keys' --cache "$work/cache0" ask toy 'Where is `ring_pop` defined?' --json --kv-budget 0
check 'same span' json '.spans[0].name == "ring_pop"'
printf 'Where is `Backoff` defined?\nWhere is `Report` defined?\r\nWhere is `ring_push` defined?\n' >questions
exits 0 batch ask toy --batch questions --json
check 'batch keeps order' [ "$(jq -r '.spans[0].name' out | tr '\n' ' ')" = 'Backoff Report ring_push ' ]
printf 'one\n\ntwo\n' >questions
exits 2 'batch with an empty line' ask toy --batch questions --json
check 'says the line' grep -q 'line 2' err
check 'nothing was answered' [ ! -s out ]
exits 2 'batch file missing' ask toy --batch nowhere --json
(cd toy/src && "$sparsex" ask 'Where is `ring_pop` defined?' --json --quiet >"$work/out" 2>"$work/err")
check 'the repository around' json '.spans[0].name == "ring_pop"'

# ---- exact look-ups
exits 0 def def toy ring_pop
check 'place and kind' grep -qx 'src/ring.c:13 function ring_pop' out
check 'signature' grep -qx '    int ring_pop(struct ring \*r)' out
exits 0 'def as JSON' def toy to_json --json
check 'method and scope' json 'length == 1 and .[0].kind == "method" and .[0].scope == "Report" and .[0].start_line == 17'
exits 0 'def with scope' def toy Report.to_json --json
check 'found with scope' json 'length == 1'
exits 0 'def nowhere' def toy Ring_Pop --json
check 'an empty array' json '. == []'
check 'a near name' grep -q 'no definition named Ring_Pop; defined are ring_pop' err
exits 0 refs refs toy load_rows --json
check 'used once' json 'length == 1 and .[0].path == "tools/report.py" and .[0].line == 18 and .[0].in == "to_json"'
exits 0 'refs for people' refs toy load_rows
check 'line of the use' grep -q '^tools/report.py:18 in to_json' out

# ---- another commit, another kind of repository
sed -i 's/ring_pop/ring_take/' toy/src/ring.c
git -C toy commit -qam 'Rename'
exits 0 'after a commit' ask toy 'Where is `ring_take` defined?' --json
check 'the new name' json '.spans[0].name == "ring_take"'
exits 0 'the old revision' ask toy 'Where is `ring_pop` defined?' --json --rev HEAD~1
check 'the old name' json '.spans[0].name == "ring_pop"'
git clone -q --bare toy bare.git
exits 0 bare def bare.git ring_take --json
check 'bare repository' json 'length == 1'
git clone -q --depth 1 "file://$work/toy" shallow
exits 0 shallow def shallow ring_take --json
check 'shallow clone' json 'length == 1'
git -C toy worktree add -q ../linked HEAD~1 2>/dev/null
exits 0 'linked work tree' def linked ring_pop --json
check 'its own HEAD' json 'length == 1'
git -C toy worktree remove ../linked
git init -q unborn
run index unborn
check 'unborn: a clear line' error_line
check 'unborn: refused' [ "$rc" -eq 2 -o "$rc" -eq 4 ]

# ---- lost files of the cache
rm "$XDG_CACHE_HOME"/sparsex/*/landmarks.*
exits 0 'landmarks deleted' ask toy 'Where is `ring_take` defined?' --json
check 'read again' json '.spans[0].name == "ring_take" and .read == 1'
rm -rf "$XDG_CACHE_HOME/sparsex"
exits 0 'cache deleted' ask toy 'Where is `ring_take` defined?' --json
check 'read from nothing' json '.spans[0].name == "ring_take"'

# ---- a terminal
if command -v script >/dev/null; then
    on_tty() { script -qec "stty cols 60; $1" /dev/null </dev/null >tty 2>&1; }
    TERM=xterm on_tty "'$sparsex' ask toy 'Where is \`ring_take\` defined?'"
    check 'colours on a terminal' grep -q $'\x1b\[1m' tty
    check 'no wider than the terminal' [ "$(sed 's/\x1b\[[0-9;]*[mK]//g; s/\r//g' tty | wc -L)" -le 60 ]
    TERM=xterm NO_COLOR=1 on_tty "'$sparsex' ask toy 'Where is \`ring_take\` defined?' --quiet"
    check 'NO_COLOR' not grep -q $'\x1b\[[0-9;]*m' tty
fi

# ---- stopping and going on
limit=300
make_large large "${SX_TEST_FILES:-12}"

# index_in_part: starts reading and leaves it at it once a part is on disk. Its process: $pid.
index_in_part() {
    "$sparsex" index large >part.out 2>part.err &
    pid=$!
    local had=$1
    for _ in $(seq 600); do
        run status large --json
        jq -e ".read > $had" out >/dev/null && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
}

index_in_part 0
kill -INT $pid
sleep 0.1
check 'acknowledged at once' grep -q 'stopping, what is done is kept' part.err
wait $pid
rc=$?
check "cancelled: exit $rc, not 8" [ $rc -eq 8 ]
check 'cancelled: one error line' [ "$(grep -c '^sparsex: E-CANCELLED: ' part.err)" -eq 1 ]
run status large --json
check 'a part is kept' json '.read > 0 and .read < 1'
kept=$(jq .read out)
exits 0 'ask now' ask large --now 'Where is `mix_0_1` defined?' --json
check 'ask now: the share' json '.read > 0 and .read < 1'
exits 0 'ask now, for people' ask large --now 'Where is `mix_0_1` defined?'
check 'ask now: says the share' grep -q '^Only [0-9]* % of the repository is read so far' out
exits 0 'ask within a second' ask large --within 1 'Where is `mix_0_1` defined?' --json
check 'within a second: more than before' json ".read > $kept"
index_in_part "$(jq .read out)" # someone else is reading
run ask large 'Where is `mix_0_1` defined?' --json
check "meanwhile: exit $rc" [ $rc -eq 0 ]
check 'meanwhile: the share' json '.read > 0 and .read <= 1'
run index large
check "meanwhile: a second one waits, then exit $rc" [ $rc -eq 9 -o $rc -eq 0 ]
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
exits 0 'going on after kill -9' index large --json
check 'all of it' json '.read == 1'
exits 0 'the last one' ask large 'Where is `mix_7_30` defined?' --json
check 'found' json '.spans[0].name == "mix_7_30"'
limit=60

# ---- leaving nothing
exits 0 forget forget toy
check 'forgot' grep -q '^deleted .* kept for toy' out
exits 0 'forget again' forget toy
check 'nothing was kept' grep -q 'nothing was kept' err
git -C toy reset -q --hard HEAD~1
check 'the cache is private' [ -z "$(find "$XDG_CACHE_HOME/sparsex" \( -type d ! -perm 0700 -o -type f ! -perm 0600 \) ! -name CACHEDIR.TAG)" ]
make_toy again
before=$(fingerprint again)
run index again
run ask again 'Where is `ring_pop` defined?'
check 'repository untouched' [ "$(fingerprint again)" = "$before" ]
check 'nothing written elsewhere' [ "$(find "$HOME" "$work/data" "$work/config" -newer questions -type f 2>/dev/null | grep -vc '\.gitconfig$')" -eq 0 ]
finish
