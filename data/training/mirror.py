"""Debian packages on the mirror that apt is set up for: archives of sources, or where the mirror lacks those, binary packages that hold
plain source code.

    python3 mirror.py WORK PACKAGE ...        # for packages.tsv: each package and the licence that its debian/copyright gives for most of it

apt's lists are read once and kept in WORK/mirror.pkl: apt-get reads them anew for every package, which takes longer than to fetch most.
What is fetched has the SHA-256 that the lists, which apt verified, say. Needs deb-src lines in apt's sources, and apt-get update."""
import collections, functools, hashlib, os, pickle, re, subprocess, sys, tarfile, tempfile, time, urllib.error, urllib.request

DEB = re.compile(r"^(python3?-|librust-.*-dev$|golang-.*-dev$|node-|libjs-|ruby-|php-|rails$|puppet|vagrant$)|^lib[a-z]+(-[a-z]+)?-ruby$")
MOST_DEBS = 12
COPYRIGHT = re.compile(r"(debian|usr/share/doc/[^/]+)/copyright")


def stanzas(text):
    """A list of apt's -> its paragraphs as {field: value}; lines of a value that goes on stay apart by newlines"""
    for paragraph in re.split(r"\n{2,}", text.strip()):
        fields, name = {}, None
        for line in paragraph.split("\n"):
            if line[:1] in (" ", "\t"):
                fields[name] += "\n" + line.strip()
            else:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        yield fields


def archives(stanza, root):
    """A paragraph of Sources -> [(address, SHA-256)] of its archives"""
    rows = [line.split() for line in stanza.get("Checksums-Sha256", "").split("\n")]
    return [(root + stanza["Directory"] + "/" + row[2], row[0]) for row in rows if len(row) == 3 and re.search(r"\.tar\.[a-z0-9]+$", row[2])]


def _newer(a, b):
    return 1 if subprocess.run(["dpkg", "--compare-versions", a[0], "gt", b[0]]).returncode == 0 else -1


def _targets(kind):
    """-> [(address of the archive, file of a list)]"""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(FILENAME)", "Created-By: " + kind], check=True, capture_output=True, text=True).stdout
    return [line.split(" ", 1) for line in out.splitlines()]


def _read(path):
    return subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], check=True, capture_output=True).stdout.decode()


@functools.lru_cache(1)
def lists(work):
    """-> {source package: [(version, archives())], newest first}, {source package: {binary package: (address, SHA-256)}}"""
    kept, wanted = os.path.join(work, "mirror.pkl"), {kind: _targets(kind) for kind in ("Sources", "Packages")}
    since = max((os.path.getmtime(path) for rows in wanted.values() for _, path in rows), default=0)
    if os.path.exists(kept) and os.path.getmtime(kept) > since:
        with open(kept, "rb") as f:
            return pickle.load(f)
    sources, binaries = collections.defaultdict(list), collections.defaultdict(dict)
    for root, path in wanted["Sources"]:
        for s in stanzas(_read(path)):
            if "Package" in s:
                sources[s["Package"]].append((s["Version"], archives(s, root)))
    for root, path in wanted["Packages"]:
        for s in stanzas(_read(path)):
            if "Filename" in s:
                binaries[s.get("Source", s["Package"]).split(" ")[0]][s["Package"]] = (root + s["Filename"], s["SHA256"])
    for versions in sources.values():
        if len(versions) > 1:
            versions.sort(key=functools.cmp_to_key(_newer), reverse=True)
    with open("%s.%d" % (kept, os.getpid()), "wb") as f:
        pickle.dump((dict(sources), dict(binaries)), f)
    os.rename(f.name, kept)
    return dict(sources), dict(binaries)


def fetch(address, sha, folder):
    """-> the file, or None where the mirror lacks it"""
    path = os.path.join(folder, urllib.request.unquote(os.path.basename(address)))
    for attempt in range(3):
        time.sleep(2 * attempt)
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                data = answer.read()
        except OSError as e:                       # what is not there is not asked for again; a mirror that is busy is
            if isinstance(e, urllib.error.HTTPError) and e.code in (404, 410):
                return None
            continue
        if hashlib.sha256(data).hexdigest() == sha:
            with open(path, "wb") as f:
                f.write(data)
            return path
    return None


def _all(files, folder):
    """fetch() of each -> the files, or None where one is missing"""
    out = []
    for address, sha in files:
        out.append(fetch(address, sha, folder))
        if out[-1] is None:
            return None
    return out


def download(work, package, folder):
    """-> [(archive, component)] of a source package, upstream's only: of the newest version that the mirror has. Where it has none, binary
    packages that hold plain source code. OSError where it has neither."""
    sources, binaries = lists(work)
    os.makedirs(folder, exist_ok=True)
    for _, files in sources.get(package, ()):
        found = _all([x for x in files if ".debian.tar" not in x[0]], folder)
        if found:
            component = (re.search(r"\.orig-([A-Za-z0-9.-]+?)\.tar\.", f) for f in found)
            return [(f, m.group(1) if m else "") for f, m in zip(found, component)]
    mine = [(name, x) for name, x in sorted(binaries.get(package, {}).items()) if DEB.search(name) or name in (package, package.partition("-")[2])]
    debs = [fetch(*x, folder) for name, x in mine[:MOST_DEBS] if not name.endswith("-doc")]
    if not any(debs):
        raise OSError("neither source nor binary packages on the mirror")
    return [(f, "") for f in debs if f]


def files_of(archive):
    """yields (path, tar member, tar file) of each file of a tar archive or a binary package"""
    deb = archive.endswith(".deb")
    unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) if deb else None
    try:
        with tarfile.open(fileobj=unpack.stdout, mode="r|") if deb else tarfile.open(archive, "r|*") as tar:
            for m in tar:
                if m.isfile():
                    yield m.name.removeprefix("./"), m, tar
    finally:
        if unpack:
            unpack.kill()                          # who has found what was looked for reads no further
            unpack.wait()


def licence(text):
    """debian/copyright -> the licence of most files, as it is written there; None where it has no such form"""
    first = None
    for s in re.split(r"\n\s*\n", text):
        files, told = (re.search(r"(?mi)^%s:[ \t]*(\S.*)$" % name, s) for name in ("Files", "Licen[sc]e"))
        if files and told:
            first = first or told.group(1).strip()
            if re.match(r"\*(\s|$)", files.group(1)):
                return told.group(1).strip()
    return first


def copyright_of(work, package, folder):
    """-> debian/copyright, or None"""
    sources, binaries = lists(work)
    os.makedirs(folder, exist_ok=True)
    wanted = [x for _, files in sources.get(package, ()) for x in files if ".debian.tar" in x[0]] + [x for _, x in sorted(binaries.get(package, {}).items())[:2]]
    for address, sha in wanted:
        archive = fetch(address, sha, folder)
        for path, m, tar in files_of(archive) if archive else ():
            if COPYRIGHT.fullmatch(path):
                return tar.extractfile(m).read().decode("utf-8", "replace")
    return None


def main(work, *packages):
    os.makedirs(work, exist_ok=True)
    for package in packages:
        with tempfile.TemporaryDirectory() as folder:
            text = copyright_of(work, package, folder)
            print("%s\t%s" % (package, licence(text or "") or "?"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
