"""A checkpoint small enough to travel in files of at most 16 MiB, in three kinds of parts; the first alone is enough to go on.

    weights-N.bin    matrices as int8 with a float32 scale a row (25 MB), vectors as they are
    rest-N.bin       what int8 left over, again as int8 a row: with it a matrix has about 15 bits, more than bfloat16
    momentum-N.bin   Muon's momentum as 4 bits with a scale for 64 values (half a byte a value)

What is lost: with weights alone, every matrix entry is rounded by up to 1/254 of its row's largest entry, about what one Muon step
at the full learning rate changes; with the rest, nothing that bfloat16 would have kept. Adam's moments do not travel (their memory is
20 steps), nor do the landmarks kept as negatives (16 steps): training goes on with a short warm-up instead.
The format is: a line of JSON (names, shapes, kinds, offsets), then the bytes. Standard library and numpy."""
import glob, json, os
import numpy as np

LARGEST = 15 * 2**20


def rows8(x):
    """[r, c] float -> int8 rows, float32 scale a row"""
    scale = np.maximum(np.abs(x).max(1), 1e-12).astype(np.float32) / 127
    return np.clip(np.rint(x / scale[:, None]), -127, 127).astype(np.int8), scale


def rows4(x):
    """[r, c] float, c a multiple of 32 -> two values a byte (-7 .. 7, 8 added; the first in the low half), a multiplier 1 .. 16 for every
    32 columns (less 1, two a byte), float32 scale a row. Value times multiplier fits int8: unpacked, it is a matrix of rows8()"""
    r, c = x.shape
    groups = np.asarray(x, np.float32).reshape(r, c // 32, 32)
    scale = np.maximum(np.abs(groups).max((1, 2)), np.float32(1e-12)) / np.float32(112)
    m = np.clip(np.ceil(np.abs(groups).max(2) / (7 * scale[:, None]) - np.float32(1e-3)), 1, 16)
    q = np.clip(np.rint(groups / (m * scale[:, None])[..., None]), -7, 7).astype(np.int8).reshape(r, c) + 8
    m = np.pad(m.astype(np.uint8) - 1, ((0, 0), (0, c // 32 % 2)))
    q = q.astype(np.uint8)
    return q[:, 0::2] | q[:, 1::2] << 4, m[:, 0::2] | m[:, 1::2] << 4, scale.astype(np.float32)


def from_rows4(packed, group, scale):
    two = (lambda a: np.stack([a & 15, a >> 4], 2).reshape(len(a), -1))
    q = two(packed).astype(np.int8) - 8
    m = two(group)[:, :q.shape[1] // 32].astype(np.int8) + 1
    return (q.reshape(len(q), -1, 32) * m[..., None]).reshape(q.shape).astype(np.float32) * scale[:, None]


def is_four(name):
    """Is this matrix kept in 4 bits, where the settings say so?"""
    return name == "words.weight" or name.endswith((".w1.weight", ".w2.weight"))


def nibbles(x):
    """any shape -> two values a byte, float16 scale for 64 values"""
    flat = x.astype(np.float32).ravel()
    flat = np.concatenate([flat, np.zeros(-len(flat) % 64, np.float32)]).reshape(-1, 64)
    scale = np.maximum(np.abs(flat).max(1) / 7, 6e-8).astype(np.float16)
    q = np.clip(np.rint(flat / scale[:, None].astype(np.float32)), -7, 7).astype(np.int8) + 8
    q = q.astype(np.uint8).ravel()
    return (q[0::2] | q[1::2] << 4), scale


def from_nibbles(packed, scale, shape):
    q = np.stack([packed & 15, packed >> 4], 1).ravel().astype(np.float32) - 8
    return (q.reshape(-1, 64) * scale[:, None].astype(np.float32)).ravel()[:int(np.prod(shape))].reshape(shape)


class Writer:
    """Arrays -> files KIND-0.bin, KIND-1.bin, … none larger than `largest`"""

    def __init__(self, folder, kind, largest=LARGEST):
        self.folder, self.kind, self.largest, self.n = folder, kind, largest, 0
        self.entries, self.blobs, self.size = [], [], 0

    def put(self, name, array):
        array = np.asarray(array, order="C")
        if array.nbytes + 65536 > self.largest:
            if array.ndim == 0 or len(array) < 2:
                raise ValueError(name + " does not fit a file")
            cut = max(1, (self.largest - 65536) * len(array) // array.nbytes)
            for i in range(0, len(array), cut):
                self.put("%s@%d" % (name, i), array[i:i + cut])
            return
        if self.size + array.nbytes + 65536 > self.largest:
            self.flush()
        self.entries.append({"name": name, "shape": list(array.shape), "dtype": array.dtype.str, "at": self.size})
        self.blobs.append(array.tobytes())
        self.size += array.nbytes

    def flush(self, meta=None):
        if self.entries:
            with open(os.path.join(self.folder, "%s-%d.bin" % (self.kind, self.n)), "wb") as f:
                f.write(json.dumps({"arrays": self.entries, "meta": meta}).encode() + b"\n")
                f.writelines(self.blobs)
            self.n += 1
        self.entries, self.blobs, self.size = [], [], 0


def read(folder, kind):
    """-> {name: array}, meta; both empty where there is no such part"""
    parts, meta = {}, None
    for name in sorted(glob.glob(os.path.join(glob.escape(folder), kind + "-*.bin"))):
        with open(name, "rb") as f:
            head = json.loads(f.readline())
            body = f.read()
        meta = head["meta"] or meta
        for e in head["arrays"]:
            n = int(np.prod(e["shape"]))
            parts[e["name"]] = np.frombuffer(body, np.dtype(e["dtype"]), n, e["at"]).reshape(e["shape"])
    out, pieces = {}, {}
    for name, a in parts.items():
        base, _, at = name.partition("@")
        pieces.setdefault(base, []).append((int(at or 0), a))
    for base, ps in pieces.items():
        ps.sort(key=lambda p: p[0])
        out[base] = ps[0][1] if len(ps) == 1 else np.concatenate([a for _, a in ps])
    return out, meta


def save(folder, tensors, momentum, meta, rest=True, largest=LARGEST):
    """tensors, momentum: {name: float array}; meta: JSON (step, tokens, seconds, settings)"""
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(os.path.join(glob.escape(folder), "*-*.bin")):
        os.remove(old)
    w, r, m = (Writer(folder, k, largest) for k in ("weights", "rest", "momentum"))
    for name, x in tensors.items():
        x = np.asarray(x, np.float32)
        if x.ndim != 2:
            w.put(name, x)
            continue
        q, scale = rows8(x)
        w.put(name, q)
        w.put(name + ".scale", scale)
        if rest:
            q, scale = rows8(x - q.astype(np.float32) * scale[:, None])
            r.put(name, q)
            r.put(name + ".scale", scale)
    for name, x in momentum.items():
        q, scale = nibbles(np.asarray(x))
        m.put(name, q)
        m.put(name + ".scale", scale)
    w.flush(meta)
    r.flush(meta)
    m.flush(meta)


def load(folder, shapes):
    """shapes: {name: shape} of the momentum that is wanted -> tensors, momentum (those found), meta"""
    w, meta = read(folder, "weights")
    if not w:
        raise FileNotFoundError("no weights-0.bin in " + folder)
    r, other = read(folder, "rest")
    if r and other != meta:
        raise ValueError("rest-*.bin belongs to another checkpoint than weights-*.bin")
    tensors = {}
    for name, q in w.items():
        if name.endswith(".scale"):
            continue
        tensors[name] = q.astype(np.float32)
        if name + ".scale" in w:
            tensors[name] = tensors[name] * w[name + ".scale"][:, None]
            if name in r:
                tensors[name] = tensors[name] + r[name].astype(np.float32) * r[name + ".scale"][:, None]
    m, other = read(folder, "momentum")
    if m and other != meta:
        raise ValueError("momentum-*.bin belongs to another checkpoint than weights-*.bin")
    return tensors, {n: from_nibbles(m[n], m[n + ".scale"], s) for n, s in shapes.items() if n in m}, meta
