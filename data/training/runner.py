"""A trained model at work, the way the engine works: encode segments, then ask questions over all their blocks.

On a GPU in bfloat16 and batches; on a CPU in float32, which is the executable specification's arithmetic (parity.py)."""
import json, os, re, struct
import numpy as np
import torch, torch.nn.functional as F
import controls as C, settings, travel
from losses import beside, maxsim
from model import Model, attend_plain, flex_attention, masks, masks_plain, rms

HELD, HELD_BEST = 96, 2
CANDIDATES, READ, JOINED = 200, 32, 16           # engine/order.h: ordered, of those read alone, of those joined to what <a> sees
FORK_GAP, MOST_WAYS = 9.0, 8                     # engine/answer.c
KINDS = {"I8": np.int8, "U8": np.uint8, "F32": np.float32, "I32": np.int32}


def read_safetensors(path):
    with open(path, "rb") as f:
        b = f.read()
    n = struct.unpack("<Q", b[:8])[0]
    out = {}
    for name, t in json.loads(b[8:8 + n]).items():
        if name != "__metadata__":
            start, end = t["data_offsets"]
            out[name] = np.frombuffer(b[8 + n + start:8 + n + end], KINDS[t["dtype"]]).reshape(t["shape"])
    return out


def read_model(folder):
    """A folder of export.py -> tensors, config.json. Older folders have no null scores (they never say "not here") and no ranking weights."""
    with open(os.path.join(folder, "config.json")) as f:
        j = json.load(f)
    w, n = read_safetensors(os.path.join(folder, "model.safetensors")), len(j["global_layers"])
    tensors = {}
    for k, x in w.items():
        if k + ".group" in w:
            x = travel.from_rows4(x, w[k + ".group"], w[k + ".scale"])
        elif k + ".scale" in w:
            x = x.astype(np.float32) * w[k + ".scale"][:, None]
        if not k.endswith((".scale", ".group")):
            tensors[k] = torch.from_numpy(x.copy())
    tensors["null"] = torch.tensor(j.get("null_scores", [0.3] * n))
    tensors["joint"] = torch.tensor(j.get("rank_weights", [0.5] * n))
    return tensors, j


def open_model(folder, device, half):
    """-> Model, in evaluation mode"""
    tensors, j = read_model(folder)
    c = settings.Settings(vocab=j["vocab_size"], d=j["hidden_size"], layers=j["num_hidden_layers"], heads=j["num_attention_heads"], kv=j["num_key_value_heads"], hd=j["head_dim"],
                          ff=j["intermediate_size"], window=j["sliding_window"], glob=tuple(j["global_layers"]), didx=j["landmark_dim"], theta=j["rope_theta"], topk=j["top_k_blocks"], mass_weight=0, read_weight="read_tokens" in j, read_tokens=j.get("read_tokens", 0), late_weight="late_tokens" in j, late_tokens=j.get("late_tokens", 0), word_rows=j.get("word_rows", 0), word_dim=j.get("word_dim", 0))
    c.read_null_weight, c.read_null_score = j.get("read_null_weight", 0.0), j.get("read_null_score", 0.0)
    c.read_together = "read_blocks" in j                          # else a block is read without the definition around it
    m = Model(c, half, os.path.join(folder, "tokenizer.json"))
    m.load_state_dict(tensors)
    return m.to(device).eval().requires_grad_(False)


class Said:
    """An answer's tokens, and whether its list says something twice (engine/said.h, answer.c)"""
    WORD = re.compile("[ _0-9a-zA-Z]+")

    def __init__(self, tok):
        self.tok, self.tokens, self.others, self.item, self.broken, self.ways = tok, [], [], 0, False, 0

    def comma(self, token):
        return self.tok.decode([token]) == ","

    def again(self):
        """Is the running item one that was said before?"""
        if self.broken or not self.item or len(self.tokens) == self.item:
            return False
        comma, items = self.tokens[self.item - 1], [[]]
        for t in self.tokens[:self.item - 1]:
            items.append([]) if t == comma else items[-1].append(t)
        return self.tokens[self.item:] in items

    def next(self, logits):
        """Logits behind the tokens -> token or EOS, by how much it is above the next best, how many tokens were taken back"""
        top, n = logits.topk(2), len(self.tokens)
        token, other = int(top.indices[0]), (float(top.values[0] - top.values[1]), int(top.indices[1]))
        if (token == C.EOS or self.comma(token)) and self.again():
            at = min(range(self.item, n), key=lambda i: self.others[i][0])
            gap, token = self.others[at]
            self.ways += 1
            if gap > FORK_GAP or self.ways > MOST_WAYS:
                token = C.EOS
            if token == C.EOS:
                at = self.item - 1
            del self.tokens[at:], self.others[at:]
            other = (float("inf"), token)
        back = n - len(self.tokens)
        if token != C.EOS:
            self.tokens.append(token)
            self.others.append(other)
            if self.comma(token):
                self.item = len(self.tokens)
            self.broken |= not self.comma(token) and not self.WORD.fullmatch(self.tok.decode([token]))
        return token, other[0], back


class Context:
    """What encode() keeps of segments: keys, values and landmarks of each global layer, where each block starts"""


class Seen:
    """What a question's <a> saw: Runner.forward()"""


class Runner:
    def __init__(self, model, rows=8, length=32768):
        self.m, self.c, self.device = model, model.c, model.nf.device
        self.gpu = self.device.type == "cuda"
        self.rows, self.length = rows, length
        if self.gpu:
            for l in model.layers:
                for w in (l.wq, l.wk, l.wv, l.wo, l.w1, l.w2):
                    w.weight.data = w.weight.data.bfloat16()
        c = self.c
        c.L = c.LC = length
        self.seg = torch.zeros(rows, length, dtype=torch.int32, device=self.device)
        self.local = masks(c, self.seg, self.device)[0] if self.gpu else None
        self._pack = torch.compile(self.pack, dynamic=False) if self.gpu else self.pack

    def pack(self, T, pos, blk, blocks, ok):
        """One packed batch through the layers up to the last global one -> [(k, v, landmarks)]"""
        m, c = self.m, self.c
        x, out = m.enter(T), []
        for l in m.layers[:max(c.glob) + 1]:
            h = rms(x) * l.n1.to(x.dtype)
            q, k, v = l.qkv(h, pos)
            if l.is_global:
                out.append((k.transpose(1, 2).reshape(-1, c.kv, c.hd), v.transpose(1, 2).reshape(-1, c.kv, c.hd), l.landmarks(h.float().reshape(1, -1, c.d), blk.reshape(1, -1), blocks)[0]))
            if l.i == max(c.glob):
                break
            if self.gpu:
                o = flex_attention(q, k, v, block_mask=ok, enable_gqa=True)
            else:
                o = attend_plain(q, k, v, ok)
            x = x + l.wo(o.transpose(1, 2).reshape(T.size(0), T.size(1), -1))
            x = l.mlp(x)
        return out

    @torch.no_grad()
    def encode(self, segments, path=None, together=None):
        """segments: [(tokens, block starts)]; path [blocks, 2], together [blocks, TOGETHER]: what a block is read with (losses.beside), else
        itself alone -> Context"""
        c, R, L = self.c, self.rows, self.length
        n, nb = sum(len(t) for t, _ in segments), sum(len(b) for _, b in segments)
        s = Context()
        kind = self.m.half
        s.k = [torch.empty(n, c.kv, c.hd, dtype=kind, device=self.device) for _ in c.glob]
        s.v = [torch.empty_like(k) for k in s.k]
        s.landmark = [torch.empty(nb, c.didx, device=self.device) for _ in c.glob]
        starts, off = [], 0
        for t, b in segments:
            if len(t) > L or len(b) >= R * L // 8:
                raise ValueError("a segment of %d tokens does not fit a row of %d" % (len(t), L))
            starts.append(np.asarray(b) + off)
            off += len(t)
        s.start = torch.from_numpy(np.concatenate(starts + [[off]])).to(self.device)
        s.tokens, s.blocks = n, nb
        if together is None or not c.read_together:
            path, together = np.zeros((nb, 2), np.int64), np.stack([np.full(nb, -1), np.arange(nb)], 1)
        s.path, s.together = (torch.from_numpy(x).to(self.device) for x in (path, together))
        most, i, w, wb = R * L // 8, 0, 0, 0
        while i < len(segments):
            T, S = np.zeros((R, L), np.int64), np.full((R, L), -1, np.int32)
            P, K = np.zeros((R, L), np.int64), np.full((R, L), most - 1, np.int64)
            at, row, p, blocks = [], 0, 0, 0
            while i < len(segments):
                t, b = segments[i]
                if p + len(t) > L:
                    row, p = row + 1, 0
                if row >= R or blocks + len(b) >= most:
                    break
                T[row, p:p + len(t)], S[row, p:p + len(t)], P[row, p:p + len(t)] = t, i, np.arange(len(t))
                z = np.zeros(len(t), np.int64)
                z[b] = 1
                K[row, p:p + len(t)] = blocks + np.cumsum(z) - 1
                at.append(np.arange(row * L + p, row * L + p + len(t)))
                blocks += len(b)
                p += len(t)
                i += 1
            self.seg.copy_(torch.from_numpy(S))
            ok = self.local if self.gpu else masks_plain(c, self.seg)[0]
            out = self._pack(*(torch.from_numpy(x).to(self.device) for x in (T, P, K)), most, ok)
            at = torch.from_numpy(np.concatenate(at)).to(self.device)
            for g, (k, v, lm) in enumerate(out):
                s.k[g][w:w + len(at)], s.v[g][w:w + len(at)], s.landmark[g][wb:wb + blocks] = k[at], v[at], lm[:blocks]
            w += len(at)
            wb += blocks
        return s

    @torch.no_grad()
    def forward(self, prompts, s, upto=None, how="sparse", joined=None, order=True, prior=None):
        """prompts: token lists with <a> in each. upto: only the first so many blocks. how: sparse, dense, window (no context). joined: for
        each prompt {block: i}: its tokens from the i-th on select the block beside their own choice (sparse). prior: for each prompt block -> what
        counts for it beside its score: the first by both are read.
        -> logits at the last tokens [n, vocab]; what <a> saw. Seen.layers, for each global layer: (blocks [n, K], scores * temperature, mass,
        weighted (best score - null score)); Seen.chosen [n, layers * K]: all of them and those joined, some twice; Seen.last: what the last tokens chose, [n, K] a layer.
        With `order` also Seen.blocks: those chosen and the CANDIDATES best by the landmarks, some twice; Seen.landmarks: the weighted sum of their
        scores over the layers; Seen.late: with the late interaction; Seen.rank: with what each says read alone, if the model has them: what orders; Seen.margin: below 0 nothing here
        answers, by landmarks and by what the first passage says read alone (config.json's null_scores, read_null_*)"""
        m, c = self.m, self.c
        n, Lq, G = len(prompts), max(map(len, prompts)), c.heads // c.kv
        NB = min(upto or s.blocks, s.blocks)
        NT = int(s.start[NB])
        T = torch.zeros(n, Lq, dtype=torch.long, device=self.device)
        for i, p in enumerate(prompts):
            T[i, :len(p)] = torch.tensor(p, device=self.device)
        a = torch.tensor([p.index(C.A) for p in prompts], device=self.device)
        last = torch.tensor([len(p) - 1 for p in prompts], device=self.device)
        pos, ar = torch.arange(Lq, device=self.device)[None].expand(n, -1), torch.arange(n, device=self.device)
        beside = None
        if joined is not None and how == "sparse" and max(map(len, joined)):
            beside = torch.full((n, max(map(len, joined))), -1, dtype=torch.long, device=self.device)
            since = torch.zeros_like(beside)
            for i, b in enumerate(joined):
                beside[i, :len(b)] = torch.tensor(list(b), dtype=torch.long, device=self.device)
                since[i, :len(b)] = torch.tensor(list(b.values()), dtype=torch.long, device=self.device)
            waits = (torch.arange(Lq, device=self.device)[:, None] < since[:, None]).reshape(n * Lq, -1)
        causal = torch.tril(torch.ones(Lq, Lq, dtype=torch.bool, device=self.device))
        x, gi, seen, asked, before = m.enter(T), 0, Seen(), [], None
        seen.layers, seen.last = [], []
        for l in m.layers:
            before = x if l.i == c.glob[0] else before
            h = rms(x) * l.n1.to(x.dtype)
            q, k, v = l.qkv(h, pos)
            k, v = k.repeat_interleave(G, 1), v.repeat_interleave(G, 1)
            own = ((q @ k.transpose(-1, -2)).float() * c.hd ** -0.5).masked_fill(~causal, float("-inf"))
            if not l.is_global or how == "window":
                o = own.softmax(-1).to(v.dtype) @ v
                gi += l.is_global
            else:
                K_, V_, LM = s.k[gi], s.v[gi], s.landmark[gi][:NB]
                iq = F.normalize(l.iq(h.float()), dim=-1)
                K = min(c.topk, NB)
                score, block = (iq.reshape(-1, c.didx) @ LM.T).topk(K, -1)
                read, dead = block, torch.zeros_like(block, dtype=torch.bool)
                if beside is not None:
                    more = beside[:, None].expand(n, Lq, -1).reshape(n * Lq, -1)
                    dead = torch.cat([dead, waits | (more < 0) | (more[..., None] == block[:, None]).any(-1)], 1)
                    read = torch.cat([block, more.clamp(min=0)], 1)
                qq = q.reshape(n, c.kv, G, Lq, c.hd)
                if how == "sparse":
                    width = int((s.start[1:NB + 1] - s.start[:NB]).max())
                    first = s.start[read]
                    reach = torch.arange(width, device=self.device)
                    ok = (reach < (s.start[read + 1] - first)[..., None]) & ~dead[..., None]
                    idx = torch.where(ok, first[..., None] + reach, 0).view(n, Lq, -1)
                    ok = ok.view(n, Lq, -1)
                    kk, vv = K_[idx], V_[idx]
                    sc = torch.einsum("nagqd,nqmad->nagqm", qq, kk).float() * c.hd ** -0.5
                    sc = sc.masked_fill(~ok[:, None, None], float("-inf")).view(n, c.heads, Lq, -1)
                    pr = torch.cat([own, sc], -1).softmax(-1)
                    o = pr[..., :Lq].to(v.dtype) @ v
                    far = pr[..., Lq:]
                    o = o + torch.einsum("nagqm,nqmad->nagqd", far.view(n, c.kv, G, Lq, -1).to(vv.dtype), vv).reshape(n, c.heads, Lq, c.hd)
                    mass = far.view(n, c.heads, Lq, -1, width).sum(-1).mean(1)[ar, a]
                else:
                    top = own.amax(-1, keepdim=True)
                    z = (own - top).exp()
                    den, num = z.sum(-1, keepdim=True), (z.to(v.dtype) @ v).float()
                    q2 = q.reshape(n, c.kv, G * Lq, c.hd)
                    for at in range(0, NT, 32768):
                        kk, vv = K_[at:min(at + 32768, NT)].permute(1, 2, 0), V_[at:min(at + 32768, NT)].permute(1, 0, 2)
                        sc = (q2 @ kk[None]).float().view(n, c.heads, Lq, -1) * c.hd ** -0.5
                        new = torch.maximum(top, sc.amax(-1, keepdim=True))
                        e, r = (sc - new).exp(), (top - new).exp()
                        den = den * r + e.sum(-1, keepdim=True)
                        num = num * r + (e.to(vv.dtype).view(n, c.kv, G * Lq, -1) @ vv[None]).view(n, c.heads, Lq, c.hd).float()
                        top = new
                    o, mass = (num / den).to(v.dtype), torch.zeros(n, K, device=self.device)
                t = l.it.exp()
                at_a = score.view(n, Lq, -1)[ar, a]
                seen.layers.append((block.view(n, Lq, -1)[ar, a], at_a * t, mass, (at_a[:, 0] - m.null[gi]) * t * m.joint[gi]))
                seen.last.append(block.view(n, Lq, -1)[ar, last])
                asked.append((iq[ar, a], LM, t * m.joint[gi]))
                if c.late_weight and l.i == c.glob[-1]:
                    late = l.lq(h).view(n, Lq, c.heads, c.hd)
                gi += 1
            x = x + l.wo(o.transpose(1, 2).reshape(n, Lq, -1).to(l.wo.weight.dtype if self.gpu else x.dtype))
            x = l.mlp(x)
        logits = F.linear((rms(x) * m.nf.to(x.dtype))[ar, last], m.emb.weight.to(m.half)).float()
        if asked:
            seen.chosen = torch.cat([l[0] for l in seen.layers] + ([] if beside is None else [torch.where(beside < 0, seen.layers[0][0][:, :1], beside)]), 1)
            if order:
                every = sum((q @ LM.T) * w for q, LM, w in asked)
                seen.blocks = torch.cat([seen.chosen, every.topk(min(CANDIDATES, NB), -1).indices], 1)
                seen.landmarks = every.gather(1, seen.blocks)
                seen.late = seen.landmarks + self.late(late, a, seen.blocks, s) if c.late_weight else seen.landmarks
                seen.rank, first = self.alone(before, a, seen.blocks, seen.late, s, prior) if c.read_weight else (seen.late, torch.full((n,), float("nan")))
                reads = c.read_null_weight * (first - c.read_null_score)
                seen.margin = sum(l[3] for l in seen.layers).cpu() + torch.where(first.isnan(), torch.zeros(n), reads)
        return 20 * torch.tanh(logits / 20), seen

    def late(self, q, a, blocks, s):
        """The late interaction of questions, q [n, Lq, H, hd] of the last global layer, <a> at a [n], with blocks [n, K] -> [n, K]"""
        back = torch.arange(self.c.late_tokens, device=self.device)
        at = a[:, None] - back
        q = q[torch.arange(len(a), device=self.device)[:, None], at.clamp(min=0)] * (at >= 0)[..., None, None]
        reach = torch.arange(int((s.start[1:] - s.start[:-1]).max()), device=self.device)
        first = s.start[blocks][..., None]
        ok = reach < s.start[blocks + 1][..., None] - first
        return torch.cat([maxsim(q[i:i + 1], s.k[-1][torch.where(ok, first + reach, 0)[i:i + 1]], ok[i:i + 1]) for i in range(len(a))])

    def alone(self, x, a, blocks, score, s, prior):
        """score [n, K] of blocks [n, K], and what questions say of the best READ places of them, by score and prior, when they read each alone (Model.alone), of
        the others what they say of the worst of those; x [n, Lq, d]: before the first global layer, <a> at a [n] -> [n, K]; what the passage
        that then comes first says [n], nan where nothing is read"""
        out, size, says = score.clone(), s.start[1:] - s.start[:-1], torch.full((len(a),), float("nan"))
        for i, n in enumerate((a + 1).tolist()):
            if n > self.c.read_tokens:
                continue
            with_it, at = s.together[blocks[i]][:, 1:].tolist(), {}            # at: {place: its candidates}, best first
            both = score[i] + torch.tensor([prior[i](b) for b in blocks[i].tolist()], device=self.device) if prior else score[i]
            for j in both.argsort(descending=True, stable=True).tolist():
                at.setdefault(tuple(with_it[j]), []).append(j)
            best = torch.stack([blocks[i, js[0]] for js in at.values()][:READ])
            rows, ok = beside(s.path[best], s.together[best], s.start[:-1], size)
            said = self.m.alone(x[i:i + 1, :n], torch.tensor([n], device=self.device), [(k[rows][None], v[rows][None]) for k, v in zip(s.k, s.v)], ok[None])[0]
            of = torch.full_like(score[i], said.min())
            for v, js in zip(said.tolist(), at.values()):
                of[js] = v
            out[i] += of
            says[i] = of[out[i].argmax()]
        return out, says

    def answer(self, prompts, s, most, upto=None, how="sparse", joined=None, prior=None):
        """Greedy -> token lists without <eos>. <a> looks twice: the second time the JOINED best of what it could read are joined to what it
        chooses. What it then sees, and the best of every answer token, stay selected (engine/attention.h, order.h). A list says nothing twice (Said). self.gaps: by how
        much the logit of each token was above the next best."""
        out, self.gaps, done, held = [[] for _ in prompts], [[] for _ in prompts], [False] * len(prompts), [dict(b) for b in joined or [{}] * len(prompts)]
        if how == "sparse":
            _, seen = self.forward(prompts, s, upto, how, held, prior=prior)
            for i, p in enumerate(prompts):
                best = dict.fromkeys(seen.blocks[i, seen.rank[i].argsort(descending=True)].tolist())
                for b in list(best)[:JOINED]:
                    held[i].setdefault(b, p.index(C.A))
        most_held = [HELD + len(h) for h in held]
        said, step = [Said(self.tok) for _ in prompts], 0
        while not all(done):
            logits, seen = self.forward([p + o for p, o in zip(prompts, out)], s, upto, how, held, order=False)
            for i in range(len(prompts) if how == "sparse" and seen.last else 0):
                at, mine = len(prompts[i]) + len(out[i]), held[i]
                chosen = seen.chosen[i].tolist() if step == 0 else [b for x in seen.last for b in x[i, :HELD_BEST].tolist()]
                for b in chosen:
                    if b not in mine and len(mine) < most_held[i]:
                        mine[b] = at
            for i in range(len(prompts)):
                if done[i]:
                    continue
                token, gap, back = said[i].next(logits[i])
                del self.gaps[i][len(out[i]) - back:], out[i][len(out[i]) - back:]
                held[i] = {b: min(at, len(prompts[i]) + len(out[i])) for b, at in held[i].items()}
                if token != C.EOS:
                    out[i].append(token)
                    self.gaps[i].append(gap)
                done[i] = token == C.EOS or len(out[i]) == most
            step += 1
        return out
