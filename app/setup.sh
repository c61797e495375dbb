# Sourced by app/try.sh and tests/run.sh: installs what is missing, configures and builds.
# Touches nothing outside this tree but apt packages, and those only where one is missing.

sx_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

sx_say() { printf '%s\n' "$*" >&2; }

sx_apt() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# sx_install PACKAGE...: those that are missing. A machine without apt is left alone: meson says then
# what it lacks.
sx_install() {
    local missing=() package
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
    for package in "$@"; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
            *' installed') ;;
            *) missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    sx_say "installing ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { sx_apt env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
           sx_apt env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
               "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        sx_say "installing failed; install the packages above and run this again"
        return 1
    fi
    rm -f "$log"
}

# What building needs. The grammars come from npm, at the versions of package-lock.json.
sx_prepare() {
    local packages=(meson ninja-build pkg-config git libgit2-dev libsqlite3-dev libdnnl-dev
                    libjansson-dev libutf8proc-dev libseccomp-dev libxxhash-dev)
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v npm >/dev/null || packages+=(nodejs npm)
    sx_install "${packages[@]}" "$@" || return 1
    if ! cmp -s "$sx_root/package-lock.json" "$sx_root/node_modules/.sparsex-lock"; then
        sx_say "fetching the grammars"
        (cd "$sx_root" && npm ci --silent --no-audit --no-fund >&2) || return 1
        cp "$sx_root/package-lock.json" "$sx_root/node_modules/.sparsex-lock"
    fi
}

# sx_build DIR [meson option...]: configured once, built as far as needed; with sx_targets set, only
# those.
sx_build() {
    local dir=$1 log
    shift
    log=$(mktemp)
    if [ ! -f "$dir/build.ninja" ]; then
        sx_say "building in ${dir#"$sx_root"/}"
        meson setup "$dir" "$sx_root" "$@" >"$log" 2>&1
    else
        meson configure "$dir" "$@" >"$log" 2>&1
    fi && ninja -C "$dir" ${sx_targets:-} >"$log" 2>&1
    local rc=$?
    [ $rc -eq 0 ] || tail -n 60 "$log" >&2
    rm -f "$log"
    return $rc
}
