"""What one step computes on one device: from a group of sequences to the losses, compiled on a GPU. train.py and gradients.py
both go through here, so what is checked is what is trained."""
import numpy as np
import torch
import torch.nn.functional as F
import data as D, losses
from model import masks, masks_plain

PARTS = ("lm", "ret", "joint", "token", "mass", "late", "read", "absent", "null")          # the losses, each with its weight in settings.py


def weight(c, part):
    return 1.0 if part == "lm" else getattr(c, part + "_weight")


class Step:
    """Buffers of fixed shape and place, masks over them, the model and its losses. `world` processes keep each other's landmarks
    as negatives: others(lm) -> [world, ...] gathers."""

    def __init__(self, c, model, device, compiled, world=1, others=None):
        self.c, self.model, self.device, self.compiled, self.others = c, model, device, compiled, others
        B = c.B
        self.bufs = {k: torch.zeros(B, c.L, dtype=torch.int32, device=device) for k in ("T", "seg", "pos")}
        self.bufs["y"], self.bufs["blk"] = (torch.zeros(B, c.L, dtype=torch.int64, device=device) for _ in range(2))
        self.bufs["w"] = torch.zeros(B, c.L, device=device)
        self.small = {k: torch.zeros(B, *shape, dtype=torch.int64, device=device) for k, shape in
                      dict(gold=(c.NQ, D.GOLD), apos=(c.NQ,), qof=(c.L - c.LC,), aim=(c.L - c.LC, 2), qtype=(c.NQ,), qkey=(c.NQ, 3), bkey=(c.NB, 4), path=(c.NB, 2), together=(c.NB, D.TOGETHER)).items()}
        self.local, self.context = masks(c, self.bufs["seg"], device) if compiled else (None, None)
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.net, self.alone, self.language, self.retrieval, self.nothing, self.joint, self.answer_tokens, self.mass, self.late = (
            wrap(f) for f in (model, model.alone, losses.language, losses.retrieval, losses.nothing, losses.joint, losses.answer_tokens, losses.mass, losses.late))
        self.dense, self.use_old, self.teach = (torch.zeros((), dtype=torch.bool, device=device) for _ in range(3))
        n = world * B * (c.NB - 1)
        self.old = torch.zeros(len(c.glob), c.queue, n, c.didx, dtype=torch.bfloat16 if compiled else torch.float32, device=device) if c.queue else None
        self.old_key = torch.zeros(c.queue, n, 4, dtype=torch.int64, device=device) if c.queue else None

    def load(self, group):
        """A group of data.Builder, as tensors, into the buffers"""
        for k in self.bufs:
            self.bufs[k].copy_(group[k], non_blocking=True)
        for k in self.small:
            self.small[k].copy_(group[k], non_blocking=True)
        if not self.compiled:
            self.local, self.context = masks_plain(self.c, self.bufs["seg"])

    def losses(self, dense, use_old, teach):
        """dense: select everything; use_old: count the kept landmarks; teach: "not here" is the landmarks' task too
        -> {part: loss}, {what is watched}"""
        c, s, model = self.c, self.small, self.model
        self.dense.fill_(dense)
        self.use_old.fill_(use_old and bool(c.queue))
        self.teach.fill_(teach)
        asked = s["apos"] >= 0
        ap = (s["apos"] - c.LC).clamp(min=0)
        absent = asked & (s["qtype"] == D.TYPES.index("absent"))
        whole = (s["qtype"] == D.TYPES.index("task")) | (s["qtype"] == D.TYPES.index("callers"))
        hidden, self.aux, (before, near) = self.net(*(self.bufs[k] for k in ("T", "pos", "seg", "blk")), ap, self.dense, self.local, self.context)
        lm, ce = self.language(hidden, model.emb.weight, self.bufs["y"], self.bufs["w"], c.LC, c.lm_every)
        zero = torch.zeros((), device=self.device)
        out = dict(lm=lm, ret=zero, joint=zero, token=zero, mass=zero, late=zero, read=zero, absent=zero, null=zero)
        hits, margins, shares, every, right, late, read = [], [], [], [], [], None, None
        n_asked = (asked & ~absent).sum().clamp(min=1)
        for g, (iq, lm, it, att, _) in enumerate(self.aux):
            keys = (s["qkey"], s["bkey"], self.old[g].reshape(-1, c.didx) if c.queue else None, self.old_key.reshape(-1, 4) if c.queue else None, self.use_old)
            l, hit, x, y, far = self.retrieval(iq, lm, it, s["gold"], ap, asked, absent, whole, *keys)
            out["ret"] = out["ret"] + l.sum() / n_asked
            hits.append(hit)
            l, gap = self.nothing(x, y, far, it, model.null[g], asked, absent, self.teach)
            out["null"] = out["null"] + l
            margins.append(gap)
            every.append(x)
            right.append(y)
            if c.token_weight:
                out["token"] = out["token"] + self.answer_tokens(iq, lm, it, s["gold"], s["qof"], s["aim"], *keys, c.token_places)
            if att is not None:
                l, share = self.mass(att[0], att[1], self.bufs["blk"][:, :c.LC], s["gold"][:, :c.mass_questions], asked[:, :c.mass_questions], c.NB - 1)
                out["mass"] = out["mass"] + l
                shares.append(share.detach())
        if c.joint_weight or c.late_weight:
            out["joint"], hit, ranked = self.joint(every, right, model.joint, (asked & ~absent).reshape(-1), whole.reshape(-1))
            hits.append(hit)
            if c.late_weight:
                M = c.late_questions
                lq, k = self.aux[-1][4]
                prior = None
                if c.read_words:
                    counted = losses.words(model.spell(self.bufs["T"].long()), self.bufs["blk"][:, :c.LC], s["together"], self.bufs["pos"][:, c.LC:], ap[:, :M], c.late_tokens)
                    prior = c.read_words * (counted / counted.amax(1, keepdim=True).clamp(min=1e-6)) ** 2      # as rank.counted()
                out["late"], late, ordered = self.late(lq, k, self.bufs["blk"][:, :c.LC], self.bufs["pos"][:, c.LC:], ranked, s["gold"][:, :M], ap[:, :M], (asked & ~absent)[:, :M], whole[:, :M], c.late_blocks, c.late_tokens, prior, c.word_blocks)
                if c.read_weight:
                    M = c.read_questions
                    out["read"], out["absent"], read = losses.read(self.alone, before, near, self.bufs["pos"][:, c.LC:], ordered, s["path"], s["together"], ap[:, :M], (asked & ~absent)[:, :M], (asked & absent)[:, :M], c.read_wrong, c.read_tokens)
        return out, dict(asked=asked, absent=absent, ce=ce.detach(), hits=hits, ordered=(late, read), margins=margins, shares=shares)

    @torch.no_grad()
    def keep(self, step):
        """The step's landmarks become negatives of the steps to come"""
        c = self.c
        if not c.queue:
            return
        slot, n = step % c.queue, c.B * (c.NB - 1)
        lms = torch.stack([lm[:, :c.NB - 1].reshape(n, -1) for _, lm, *_ in self.aux]).to(self.old.dtype)
        keys = (self.small["bkey"][:, :c.NB - 1].reshape(n, 4) * (lms[0].abs().sum(-1, keepdim=True) > 0))
        if self.others:
            lms, keys = torch.cat(self.others(lms), 1), torch.cat(self.others(keys))
        self.old[:, slot].copy_(lms)
        self.old_key[slot].copy_(keys)

    @torch.no_grad()
    def watched(self, seen):
        """-> what the log says of a step: loss of context and answers, hit rates by type of question, 'not here'"""
        c, asked, absent = self.c, seen["asked"].reshape(-1), seen["absent"].reshape(-1)
        kinds = self.small["qtype"].reshape(-1)

        def mean(x):
            return round(x.float().mean().item(), 3) if x.numel() else 0.0
        by = {name: [mean(h[asked & (kinds == i)]) for h in seen["hits"]] for i, name in enumerate(D.TYPES) if name != "absent" and bool((asked & (kinds == i)).any())}
        for some in seen["ordered"]:              # of the questions that late interaction and reading alone order
            if some is not None:
                M = some.size(1)
                mine, types = seen["asked"][:, :M], self.small["qtype"][:, :M]
                for i, name in enumerate(D.TYPES):
                    if name in by:
                        by[name].append(mean(some[mine & (types == i)]))
        by["absent told"] = [mean(m[absent] < 0) for m in seen["margins"]]
        by["false alarm"] = [mean(m[asked & ~absent] < 0) for m in seen["margins"]]
        e, w, n = seen["ce"].view(c.B, -1), losses.thinned(self.bufs["w"], c.LC, c.lm_every) > 0, c.LC // c.lm_every
        return dict(lm=mean(e[:, :n][w[:, :n]]), ans=mean(e[:, n:][w[:, n:]]), mass=[mean(s) for s in seen["shares"]], hit=by, it=[round(x[2].exp().item(), 1) for x in self.aux],
                    null=[round(x, 3) for x in self.model.null.tolist()], weight=[round(x, 3) for x in self.model.joint.tolist()], questions=int(asked.sum()))


def total(c, parts):
    return sum(weight(c, k) * v for k, v in parts.items() if weight(c, k))


def tensors(group, pinned=False):
    """Arrays of data.Builder -> tensors"""
    t = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in group.items()}
    return {k: v.pin_memory() for k, v in t.items()} if pinned else t
