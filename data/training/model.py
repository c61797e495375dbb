"""The model as it is trained: same tensors and arithmetic as the executable specification, packed sequences, bfloat16.

A sequence is LC tokens of context segments, then questions. Every segment attends to itself, which flex_attention does on a GPU
tile by tile; in the global layers questions attend to the context tokens of the blocks they select too, under a mask of one flag a pair:
in flex_attention, which looks flags up pair by pair and head by head, that took ten times as long as in attend().
attend_plain() is the same masks on any PyTorch, for checks."""
import math
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
import spelled

try:
    from torch.nn.attention.flex_attention import BlockMask, flex_attention
except ImportError:
    flex_attention = None


def rms(x):
    return x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1.1920929e-07).to(x.dtype) if not hasattr(F, "rms_norm") else F.rms_norm(x, (x.size(-1),), eps=1.1920929e-07)


def rope(x, pos, theta):
    """x [B, H, L, hd], pos [B, L]"""
    hd = x.size(-1)
    f = theta ** (-torch.arange(0, hd, 2, device=x.device, dtype=torch.float32) / hd)
    a = pos[:, None, :, None].float() * f
    c, s = a.cos().to(x.dtype), a.sin().to(x.dtype)
    x1, x2 = x[..., :hd // 2], x[..., hd // 2:]
    return torch.cat([x1 * c - x2 * s, x2 * c + x1 * s], -1)


class Lin(nn.Linear):
    """float32 weights used in the type of the input"""

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class Layer(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.c, self.i, self.is_global = c, i, i in c.glob
        self.n1, self.n2 = nn.Parameter(torch.ones(c.d)), nn.Parameter(torch.ones(c.d))
        self.wq = Lin(c.d, c.heads * c.hd, bias=False)
        self.wk, self.wv = Lin(c.d, c.kv * c.hd, bias=False), Lin(c.d, c.kv * c.hd, bias=False)
        self.wo = Lin(c.heads * c.hd, c.d, bias=False)
        self.w1, self.w2 = Lin(c.d, 2 * c.ff, bias=False), Lin(c.ff, c.d, bias=False)
        self.qs, self.ks = nn.Parameter(torch.ones(c.hd)), nn.Parameter(torch.ones(c.hd))
        if self.is_global:
            self.iq, self.ik, self.ig = Lin(c.d, c.didx, bias=False), Lin(c.d, c.didx, bias=False), Lin(c.d, 1)
            self.it = nn.Parameter(torch.tensor(math.log(14.0)))
        if c.late_weight and i == c.glob[-1]:
            self.lq = Lin(c.d, c.heads * c.hd, bias=False)       # question tokens as the late interaction asks for them

    def qkv(self, h, pos):
        c = self.c
        B, L, _ = h.shape
        q = self.wq(h).view(B, L, c.heads, c.hd).transpose(1, 2)
        k = self.wk(h).view(B, L, c.kv, c.hd).transpose(1, 2)
        v = self.wv(h).view(B, L, c.kv, c.hd).transpose(1, 2)
        q, k = rms(q) * self.qs.to(q.dtype), rms(k) * self.ks.to(k.dtype)
        if not self.is_global:
            q, k = rope(q, pos, c.theta), rope(k, pos, c.theta)
        return q, k, v

    def landmarks(self, h, blk, NB):
        """-> [B, NB, didx]: one unit vector a block; zero for slots without tokens"""
        k, g = self.ik(h).float(), self.ig(h).float().clamp(-8, 8).exp()
        num = torch.zeros(h.size(0), NB, k.size(-1), device=h.device).scatter_add_(1, blk[..., None].expand(-1, -1, k.size(-1)), k * g)
        return F.normalize(num, dim=-1)

    def mlp(self, x):
        a, b = self.w1(rms(x) * self.n2.to(x.dtype)).chunk(2, -1)
        return x + self.w2(F.silu(a) * b)


def attend_plain(q, k, v, ok):
    """ok [B, queries, keys]: which keys a query sees"""
    G = q.size(1) // k.size(1)
    s = (q @ k.repeat_interleave(G, 1).transpose(-1, -2)).float() * q.size(-1) ** -0.5
    s = s.masked_fill(~ok[:, None], -1e30).softmax(-1) * ok.any(-1)[:, None, :, None]
    return s.to(v.dtype) @ v.repeat_interleave(G, 1)


def attend(q, k, v, ok):
    """attend_plain() in one kernel, where there is one; every query sees a key"""
    if not q.is_cuda:
        return attend_plain(q, k, v, ok)
    G = q.size(1) // k.size(1)
    return F.scaled_dot_product_attention(q, k.repeat_interleave(G, 1), v.repeat_interleave(G, 1), attn_mask=ok[:, None])


class Model(nn.Module):
    def __init__(self, c, half=torch.bfloat16, tokenizer=None):
        """tokenizer: its tokenizer.json, where c.word_rows is not 0"""
        super().__init__()
        self.c, self.half = c, half
        self.emb = nn.Embedding(c.vocab, c.d)
        if c.word_rows:
            self.words, self.wp = nn.Embedding(c.word_rows, c.word_dim), Lin(c.word_dim, c.d, bias=False)
            nn.init.normal_(self.words.weight, std=0.02)
            nn.init.normal_(self.wp.weight, std=c.word_dim ** -0.5)
            for name, x in zip(("multiply", "add", "capital", "small"), spelled.tables(tokenizer, c.vocab)):
                self.register_buffer("spelled_" + name, torch.from_numpy(np.ascontiguousarray(x)), persistent=False)
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c.layers))
        self.nf = nn.Parameter(torch.ones(c.d))
        self.null = nn.Parameter(torch.full((len(c.glob),), 0.3))      # score of "not in this repository", on the scale of landmark scores
        if c.read_weight:
            self.read = nn.Parameter(torch.zeros(c.d))                 # what <a> says of the only block that its question could read
        self.joint = nn.Parameter(torch.full((len(c.glob),), 0.5))     # what the score of each global layer counts in the ranking
        nn.init.normal_(self.emb.weight, std=0.02)
        for l in self.layers:
            for m in (l.wq, l.wk, l.wv, l.w1):
                nn.init.normal_(m.weight, std=0.5 * c.d ** -0.5)
            nn.init.zeros_(l.wo.weight)
            nn.init.zeros_(l.w2.weight)
            if l.is_global:
                for m in (l.iq, l.ik):
                    nn.init.normal_(m.weight, std=c.d ** -0.5)
                if hasattr(l, "lq"):
                    nn.init.normal_(l.lq.weight, std=0.05 * c.d ** -0.5)
                nn.init.zeros_(l.ig.weight)
                nn.init.zeros_(l.ig.bias)

    def spell(self, T):
        """tokens [B, L] -> hash of the word spelled so far [B, L], 0 where there is none (spelled.py). Every token is a map h -> a h + b;
        they are composed over 1, 2, 4, ... tokens. Control tokens, with which every segment begins, are 0 h + 0."""
        capital, small = self.spelled_capital[T], F.pad(self.spelled_small[T], (1, 0))[:, :-1]
        a, b = torch.where(capital & small, 0, self.spelled_multiply[T]), self.spelled_add[T]
        n = 1
        while n < min(T.size(1), 2048):
            a_before, b_before = F.pad(a, (n, 0))[:, :-n], F.pad(b, (n, 0))[:, :-n]
            a, b = a * a_before & spelled.MASK, a * b_before + b & spelled.MASK
            n *= 2
        return b

    def enter(self, T):
        """tokens [B, L] -> [B, L, d]: what they enter the layers with"""
        x = rms(self.emb(T).to(self.half))
        if not self.c.word_rows:
            return x
        word = self.spell(T.long())
        w = sum(self.words(row) for row in spelled.rows(word, self.c.word_rows))
        return x + self.wp((w * (word != 0)[..., None]).to(x.dtype))

    def forward(self, T, pos, seg, blk, ap, dense, local, context):
        """T, pos, seg, blk [B, L]; ap [B, NQ]: where each question's <a> stands behind LC (0 where there is none).
        local, context: block masks, or [B, L, L] and [B, LC, LC] for attend_plain: masks(). -> hidden [B, L, d]; per global layer
        (question scoring vectors [B, L-LC, didx], landmarks [B, NB, didx], temperature, (q at <a> [B, H, MQ, hd], k of the context) or None,
        (late queries [B, L-LC, H*hd], k of the context [B, KV, LC, hd]) or None); what alone() needs: the questions before the first
        global layer [B, L-LC, d], k and v of the context of each global layer"""
        c, LC = self.c, self.c.LC
        B, L = T.shape
        segment = attend_plain if torch.is_tensor(local) else lambda q, k, v, mask: flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
        mine, there = in_segment(seg[:, LC:], c.window), seg[:, None, :LC] >= 0            # of questions: their own tokens; tokens that are context
        x = self.enter(T)
        aux, before, far = [], None, []
        for l in self.layers:
            if l.i == c.glob[0]:
                before = x[:, LC:]
            h = rms(x) * l.n1.to(x.dtype)
            q, k, v = l.qkv(h, pos)
            if l.is_global:
                far.append((k[:, :, :LC], v[:, :, :LC]))
            if not l.is_global:
                o = segment(q, k, v, local)
            else:
                lm = l.landmarks(h[:, :LC], blk[:, :LC], c.NB)
                iq = F.normalize(l.iq(h[:, LC:]).float(), dim=-1)
                with torch.no_grad():
                    sc = torch.einsum("bqd,bnd->bqn", iq, lm)[..., :c.NB - 1]
                    sc = sc.masked_fill(lm[:, None, :c.NB - 1].abs().sum(-1) == 0, -2.0)
                    threshold = sc.topk(min(c.topk, c.NB - 1), -1).values[..., -1:]
                    sel = F.pad(sc >= threshold, (0, 1)) | dense
                seen = torch.gather(sel, 2, blk[:, None, :LC].expand(-1, L - LC, -1))   # one flag a token: looked up once, not by every head
                ok = torch.cat([seen & there, mine], 2)
                o = torch.cat([segment(*(t[:, :, :LC] for t in (q, k, v)), context), attend(q[:, :, LC:], k, v, ok)], 2)
                mass = None
                if l.i in c.mass_layers and c.mass_weight > 0:
                    at = ap[:, :c.mass_questions] + LC
                    mass = (torch.gather(q, 2, at[:, None, :, None].expand(-1, c.heads, -1, c.hd)), k[:, :, :LC])
                aux.append((iq, lm, l.it, mass, (l.lq(h[:, LC:]), k[:, :, :LC]) if hasattr(l, "lq") else None))
            x = x + l.wo(o.transpose(1, 2).reshape(B, L, -1))
            x = l.mlp(x)
        return rms(x) * self.nf.to(x.dtype), aux, (before, far)

    def alone(self, x, n, near, ok):
        """Each question reads one place and nothing else: in every global layer its tokens attend to their own and to the place's.
        x [Q, T, d]: tokens of questions up to <a>, before the first global layer, n [Q] of them; near: k, v [Q, C, J, KV, hd] of C places of
        at most J tokens for each question, per global layer; ok [Q, C, J] -> [Q, C]: a score of each place"""
        c = self.c
        Q, T, _ = x.shape
        C, J = ok.shape[1:]
        x = x[:, None].expand(-1, C, -1, -1).reshape(Q * C, T, -1)
        pos = torch.arange(T, device=x.device)
        own = pos[:, None] >= pos
        wide = torch.cat([own.expand(Q * C, -1, -1), ok.reshape(Q * C, 1, J).expand(-1, T, -1)], 2)
        at = 0
        for l in self.layers[c.glob[0]:]:
            q, k, v = l.qkv(rms(x) * l.n1.to(x.dtype), pos[None].expand(Q * C, -1))
            if l.is_global:
                k, v = (torch.cat([mine, there.reshape(Q * C, J, c.kv, c.hd).transpose(1, 2)], 2) for mine, there in zip((k, v), near[at]))
                at += 1
            o = attend(q, k, v, wide if l.is_global else own[None])
            x = x + l.wo(o.transpose(1, 2).reshape(Q * C, T, -1))
            x = l.mlp(x)
        last = x.view(Q, C, T, -1)[torch.arange(Q, device=x.device), :, n - 1]
        return ((rms(last) * self.nf.to(x.dtype)).float() @ self.read)


def in_segment(seg, window):
    """seg [B, n] -> [B, n, n]: which tokens of its own segment a token sees"""
    i = torch.arange(seg.size(1), device=seg.device)
    return (seg[:, :, None] == seg[:, None]) & (i[:, None] >= i) & (i[:, None] - i < window)


def masks(c, seg, device, tile=128):
    """Block masks over the persistent buffer seg [B, L], of all tokens and of the first LC: which tiles exist is fixed, which elements
    count is read from seg."""
    B, L = seg.shape
    W = c.window

    def one(b, h, i, j):
        return (seg[b, i] == seg[b, j]) & (i >= j) & (i - j < W)

    def block_mask(length):
        n, w = length // tile, W // tile
        rows = [list(range(max(0, i - w), i + 1)) for i in range(n)]
        num = torch.tensor([len(r) for r in rows], dtype=torch.int32, device=device)[None, None].expand(B, 1, -1).contiguous()
        idx = torch.tensor([r + [0] * (n - len(r)) for r in rows], dtype=torch.int32, device=device)
        return BlockMask.from_kv_blocks(num, idx[None, None].expand(B, 1, -1, -1).contiguous(), BLOCK_SIZE=(tile, tile), mask_mod=one, seq_lengths=(length, length))
    return block_mask(L), block_mask(c.LC)


def masks_plain(c, seg):
    """The same as [B, L, L] and [B, LC, LC]"""
    every = in_segment(seg, c.window)
    return every, every[:, :c.LC, :c.LC]
