# Sourced by the hostile tests: tests/app/lib.sh, and what acceptance asks of every hostile case.

source "$(dirname "${BASH_SOURCE[0]}")/../app/lib.sh"

# blob TEXT: a loose object in the current repository; its id.
blob() { printf '%s' "$1" | git hash-object -w --stdin; }

# raw_tree MODE,ID,NAME...: a tree whose names git itself would refuse (\xNN allowed). Its id.
raw_tree() {
    local entry mode id name
    for entry in "$@"; do
        mode=${entry%%,*}
        entry=${entry#*,}
        id=${entry%%,*}
        name=${entry#*,}
        printf "$mode $name\\0$(sed 's/../\\x&/g' <<<"$id")"
    done | git hash-object -t tree --literally -w --stdin
}

# commit_tree ID: makes it the commit of main.
commit_tree() { git update-ref refs/heads/main "$(git commit-tree "$1" -m tree)"; }

# hostile CODE WHAT ARGUMENT...: exit status, one clear line, clean output, repository untouched, nothing
# outside the cache, and the next command still works.
hostile() {
    local code=$1 what=$2 repository=${repository:-repo} before after
    shift 2
    before=$(fingerprint "$repository")
    exits "$code" "$what" "$@"
    check "$what: output is clean" clean out err
    after=$(fingerprint "$repository")
    check "$what: repository untouched" [ "$before" = "$after" ]
    check "$what: nothing in the home" [ -z "$(find "$HOME" -type f ! -name .gitconfig)" ]
}

fresh() {
    rm -rf repo
    git init -q repo
}
