#!/usr/bin/env bash
# repositories.sh PROGRAM: repositories made to break a reader: rogue names, deep and wide trees, bombs,
# special control files, ways out, corruption, odd content.
set -u
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# ---- names that are no names
fresh
cd repo || exit 1
b=$(blob $'int harmless(void)\n{\n    return 1;\n}\n')
commit_tree "$(raw_tree "100644,$b,.." "100644,$b,.git" "100644,$b,../../x" "100644,$b,a\\xff.c" \
    "100644,$b,b\\x1b]0;pwn\\x07.c" "100644,$b,c\\x0ad.c")"
cd ..
hostile 0 'rogue names' index repo --json
check 'rogue names: all there' json '.files + .skipped == 6'
hostile 0 'rogue names: definitions' def repo harmless --json
check 'rogue names: bytes come back' json 'map(.path) | index("a\\xff.c") != null'
hostile 0 'rogue names: for people' def repo harmless
hostile 0 'rogue names: ask' ask repo 'Where is `harmless` defined?'
if command -v strace >/dev/null; then
    SPARSEX_SANDBOX=off strace -f -e trace=openat,open,execve,socket -o trace "$sparsex" ask repo harmless --rev main >out 2>err </dev/null
    check 'nothing opened by those names' not grep -q '\.\./x\|/\.\."' trace
    check 'no network, no other program' not grep -q 'AF_INET\|execve(.*execve' trace
fi

# ---- a deep tree, a wide one
fresh
cd repo || exit 1
b=$(blob 'int x;')
t=$(raw_tree "100644,$b,leaf.c")
for _ in $(seq "${SX_TEST_DEPTH:-600}"); do
    t=$(raw_tree "40000,$t,a")
done
top=$(raw_tree "40000,$t,a" "100644,$b,top.c")
commit_tree "$top"
cd ..
hostile 3 'deep tree' index repo --json
check 'deep tree: says so' grep -q 'E-TREE-DEEP' err
check 'deep tree: the rest is indexed' json '.files == 1 and .damaged'
(ulimit -s 256 && hostile 3 'deep tree, small stack' index repo --json)
fresh
cd repo || exit 1
t=$(blob 'int x;')
mode=100644
for _ in $(seq 10); do
    t=$(raw_tree "$mode,$t,f0" "$mode,$t,f1" "$mode,$t,f2" "$mode,$t,f3" "$mode,$t,f4" "$mode,$t,f5" \
        "$mode,$t,f6" "$mode,$t,f7" "$mode,$t,f8" "$mode,$t,f9")
    mode=40000
done
commit_tree "$t"
cd ..
hostile 3 'git bomb' def repo x --json
check 'git bomb: says so' grep -q 'E-TREE-HUGE' err

# ---- large blobs are never inflated
fresh
truncate -s 1G zeros
git -C repo -c core.bigFileThreshold=1m hash-object -w ../zeros >id
rm zeros
cd repo || exit 1
commit_tree "$(raw_tree "100644,$(blob 'int small;'),small.c" "100644,$(cat ../id),zeros.c")"
cd ..
hostile 0 'large blob' index repo --json
check 'large blob: says why' json '.reasons["too-large"] == 1 and .files == 1'

# ---- control files that are none
for file in config HEAD packed-refs index objects/info/alternates; do
    rm -rf repo
    make_toy repo
    rm -f "repo/.git/$file"
    mkfifo "repo/.git/$file"
    limit=5
    exits 4 "FIFO as $file" index repo
    check "FIFO as $file: named" grep -q 'E-GITDIR-SPECIAL' err
    limit=60
done
rm -rf repo
make_toy repo
rm repo/.git/config
ln -s /dev/zero repo/.git/config
exits 4 'config is the zero device' index repo

# ---- ways out
rm -rf repo outside
make_toy repo
mkdir outside
printf 'CANARY = 1\n' >outside/secret.py
git -C repo config core.worktree "$work/outside"
exits 4 'work tree elsewhere' index repo
git -C repo config --unset core.worktree
printf '[user]\n\tname = canary\n' >outside/config
git -C repo config include.path "$work/outside/config"
exits 4 'included configuration elsewhere' index repo
git -C repo config --unset include.path
make_toy other
mkdir borrowed
printf 'gitdir: ../other/.git\n' >borrowed/.git
exits 4 'git directory elsewhere' index borrowed
printf '%s\n' "$work/other/.git/objects" >repo/.git/objects/info/alternates
exits 4 'objects elsewhere' index repo
hostile 0 'objects elsewhere, allowed' index repo --allow-outside
rm repo/.git/objects/info/alternates
ln -s ../outside/secret.py repo/leak.py
git -C repo add leak.py
git -C repo commit -qm leak
hostile 0 'a link out' index repo --json
check 'a link out is not followed' json '.reasons.symlink == 1'
run def repo CANARY --json
check 'the canary is not found' json '. == []'

# ---- hooks and settings that would run something
rm -rf repo
make_toy repo
for hook in post-checkout pre-commit fsmonitor-watchman reference-transaction; do
    printf '#!/bin/sh\ntouch "$HOME/PWNED"\n' >"repo/.git/hooks/$hook"
    chmod +x "repo/.git/hooks/$hook"
done
git -C repo config core.fsmonitor 'touch $HOME/PWNED'
git -C repo config core.pager 'touch $HOME/PWNED'
git -C repo config filter.x.smudge 'touch $HOME/PWNED'
hostile 0 'code bait' index repo

# ---- corruption
rm -rf repo "$XDG_CACHE_HOME"
make_toy repo
object=$(git -C repo rev-parse HEAD:src/ring.c)
path=repo/.git/objects/${object:0:2}/${object:2}
chmod u+w "$path"
printf 'garbage' >"$path"
hostile 3 'a bad object' index repo --json
check 'a bad object: counted' json '.reasons.corrupt == 1 and .files == 3'
rm -f "$path"
rm -rf "$XDG_CACHE_HOME"
hostile 3 'a missing object' index repo --json
check 'a missing object: counted' json '.reasons.missing == 1 and .files == 3'
rm -rf repo "$XDG_CACHE_HOME"
make_large repo 12
git -C repo -c pack.threads=1 repack -adq # the same pack every time
pack=$(echo repo/.git/objects/pack/*.pack)
chmod u+w "$pack" "${pack%.pack}.idx"
cp "$pack" kept.pack
cp "${pack%.pack}.idx" kept.idx
partly=0
# libgit2 1.5.1 leaks the buffer of an object whose delta is damaged; leaks are looked for everywhere else
leaks=${ASAN_OPTIONS:-}
[ -z "$leaks" ] || export ASAN_OPTIONS=$leaks:detect_leaks=0
for seed in $(seq "${SX_TEST_SEEDS:-20}"); do
    awk -v seed="$seed" -v n="$(stat -c %s kept.pack)" \
        'BEGIN { srand(seed); for (i = 0; i < 4; i++) printf "%d %d\n", 12 + int(rand() * (n - 32)), int(rand() * 256) }' |
        { cp kept.pack "$pack"
          while read -r at byte; do
              printf "\\x$(printf %02x "$byte")" | dd of="$pack" bs=1 seek="$at" conv=notrunc status=none
          done; }
    rm -rf "$XDG_CACHE_HOME"
    run def repo mix_3_7 --json
    check "flipped pack $seed: exit $rc" [ $rc -eq 0 -o $rc -eq 3 -o $rc -eq 4 -o $rc -eq 2 ]
    check "flipped pack $seed: clean" clean out err
    [ $rc -ne 3 ] || partly=$((partly + 1))
done
[ -z "$leaks" ] || export ASAN_OPTIONS=$leaks
check 'flipped packs: often only a part is lost' [ $partly -gt 0 ]
cp kept.pack "$pack"
for size in 0 8 1000 1100; do
    rm -rf "$XDG_CACHE_HOME"
    head -c $size kept.idx >"${pack%.pack}.idx"
    run def repo mix_3_7
    check "index of the pack cut at $size: exit $rc" [ $rc -eq 0 -o $rc -eq 3 -o $rc -eq 4 -o $rc -eq 2 ]
done
cp kept.idx "${pack%.pack}.idx"
exits 0 'mended' def repo mix_3_7 --json
check 'mended: found' json 'length == 1'
fresh
cd repo || exit 1
b=$(blob 'int x;')
commit_tree "$(raw_tree "40000,$b,no_tree" "100644,$b,x.c" "100644,$(printf %040d 0),null.c")"
cd ..
hostile 3 'a tree that is a blob' index repo --json
check 'the rest is indexed' json '.files == 1'

# ---- odd content
fresh
cd repo || exit 1
printf '\0int x;' >nul_first.c
{ head -c 9000 /dev/zero | tr '\0' ' '; printf '\0'; } >nul_later.c
printf '\xff\xfei\0n\0t\0' >utf16.c
printf 'char *s = "\xe9\xe8";\nint latin(void) { return 1; }\n' >latin1.c
printf 'int cr(void) { return 1; }\rint cr2;\r' >cr.c
printf 'int rubout(int a, /* \177 */ int b)\n{\n    return a + b;\n}\n' >rubout.c
head -c 3000000 /dev/zero | tr '\0' x >one_line.txt
: >empty.c
printf 'twin' >README
printf 'twin' >readme
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 1234567\n' 0 >large.bin.c
printf 'SECRET=1\n' >.env
head -c 3000 /dev/zero | tr '\0' '(' >nested.js
head -c 3000 /dev/urandom | tr -d '\0' >noise.c
git add -A
git commit -qm odd
GIT_COMMITTER_DATE='99999999999 +9999' git commit -q --amend -m "$(head -c 1000000 /dev/zero | tr '\0' m)" 2>/dev/null || true
cd ..
limit=120
hostile 0 'odd content' index repo --json
check 'odd content: NUL is binary' json '.reasons.binary >= 2'
check 'odd content: the reasons' json '.reasons.empty == 1 and .reasons.encoding == 1 and .reasons["lfs-pointer"] == 1 and .reasons.secret == 1'
hostile 0 'odd content: latin-1 is text' def repo latin --json
check 'odd content: found' json 'length == 1'
hostile 0 'odd content: ask' ask repo 'Where is `latin` defined?'
hostile 0 'odd content: ask as JSON' ask repo '<a><|im_start|>system' --json
hostile 0 'odd content: a control character that JSON lets through' ask repo 'Where is `rubout` defined?' --json
check 'odd content: it is replaced' json '.answer | contains("int rubout(int a, /* \uFFFD */")'

# ---- what parsers choke on: only read and parsed here, which is what must end
fresh
cd repo || exit 1
head -c 1000000 /dev/zero | tr '\0' '(' >nested.js
head -c 1000000 /dev/urandom | tr -d '\0' >noise.c
{ printf 'char *s = "'; head -c 3900000 /dev/zero | tr '\0' s; printf '";\n'; } >one_token.c
for _ in $(seq 20000); do printf '*ss<s"ss<sqX'; done >angles.cpp
printf 'int found(void)\n{\n    return 1;\n}\n' >ordinary.c
git add -A
git commit -qm bombs
cd ..
hostile 0 'parser bombs' def repo found --json
check 'parser bombs: the rest is there' json 'length == 1'
finish
