"""What the model is trained for, beside the next token: that landmarks, and attention, find the right blocks."""
import torch, torch.nn.functional as F
import spelled
from data import PATH
from words import K1

LOW = -1e4
BUCKETS = 16384                                  # of words, in words()


def thinned(x, context, every):
    """[B, L, ..] -> of the first `context` places every so-manyth, then all others. By slices, whose gradient is a plain copy"""
    return torch.cat([x[:, every - 1:context:every], x[:, context:]], 1)


def language(hidden, emb, y, w, context, every):
    """Weighted cross entropy of the next token with soft-capped logits at the places that thinned() keeps -> loss, [B * kept] per token"""
    hidden, y, w = (thinned(x, context, every).flatten(0, 1) for x in (hidden, y, w))
    logits = 20 * torch.tanh(F.linear(hidden, emb.to(hidden.dtype)).float() / 20)
    ce = F.cross_entropy(logits, y, reduction="none")
    return (ce * w).sum() / w.sum().clamp(min=1), ce


def same(qkey, bkey):
    """[n, 3] file, name, comment; [m, 4] file, name, name, comment -> [n, m]: may the block answer the question though it is not marked so?"""
    return (qkey[:, 0:1] == bkey[:, 0]) | (qkey[:, 1:2] == bkey[:, 1]) | (qkey[:, 1:2] == bkey[:, 2]) | (qkey[:, 2:3] == bkey[:, 3])


def same_name(qkey, bkey):
    return (qkey[:, 1:2] == bkey[:, 1]) | (qkey[:, 1:2] == bkey[:, 2]) | (qkey[:, 2:3] == bkey[:, 3])


def found(right, whole):
    """right [n, 8]: logits of the right blocks, LOW where there are fewer; whole [n]: are all of them wanted (tasks of several lines, callers), or is one enough?
    -> [n]: what stands against the logsumexp over all blocks in a contrastive loss"""
    there = right > LOW / 2
    mean = (right * there).sum(1) / there.sum(1).clamp(min=1)
    return torch.where(whole, mean, torch.logsumexp(right, 1))


def against(qv, own, qk, gold, lm, bkey, t, old, old_key, use_old):
    """Scoring vectors of one global layer against the blocks of all sequences of the step and those kept from earlier steps (old [M, didx],
    old_key [M, 4]).  qv [n, didx]; own [n]: the sequence each is of; qk [n, 3]: its question's keys; gold [n, 8]: its right blocks there, -1 where there are fewer;
    lm [B, NB, didx], bkey [B, NB, 4], t: the temperature
    -> logits [n, B*N], those of the right blocks [n, 8], numbers of the right blocks [n, 8], logsumexp over everything [n], the best of the kept [n]"""
    B, N = lm.size(0), lm.size(1) - 1
    keys = lm[:, :N].reshape(B * N, -1)
    live = keys.abs().sum(-1) > 0
    logits = (qv @ keys.T) * t
    mine = own[:, None] == torch.arange(B, device=qv.device).repeat_interleave(N)[None]
    bk = bkey[:, :N].reshape(B * N, 4)
    drop = ~live[None] | (~mine & same(qk, bk)) | (mine & same_name(qk, bk))
    at = (gold + own[:, None] * N).clamp(min=0)
    at = torch.where(gold >= 0, at, at[:, :1])                  # unused places repeat the first, so that they change nothing
    right = torch.where(gold >= 0, logits.gather(1, at), LOW)
    keep = torch.zeros(logits.shape, dtype=torch.bool, device=qv.device).scatter_(1, at, (gold[:, :1] >= 0).expand(-1, gold.size(1)))
    logits = logits.masked_fill(drop & ~keep, LOW)
    every, far = torch.logsumexp(logits, 1), torch.full_like(logits[:, 0], LOW)
    if old is not None:
        others = (qv @ old.to(qv.dtype).T) * t
        others = others.masked_fill(~use_old | (old_key[:, 0] == 0)[None] | same(qk, old_key), LOW)
        every, far = torch.logaddexp(every, torch.logsumexp(others, 1)), others.amax(1)
    return logits, right, at, every, far


def retrieval(iq, lm, it, gold, ap, asked, absent, whole, qkey, bkey, old, old_key, use_old):
    """One global layer, all questions at <a>, against().
    iq [B, QL, didx], lm [B, NB, didx], gold [B, NQ, 8], ap [B, NQ] (behind LC), asked/absent/whole [B, NQ] (found()), qkey [B, NQ, 3], bkey [B, NB, 4].
    -> loss of each question [B*NQ] (0 where none), best block right [B*NQ], logits [B*NQ, B*N], those of the right blocks
    [B*NQ, 8], the best of the kept [B*NQ]; the last three are for joint() and nothing()"""
    B, NQ = ap.shape
    qv = torch.gather(iq, 1, ap[..., None].expand(-1, -1, iq.size(-1))).reshape(B * NQ, -1)
    own, g = torch.arange(B, device=ap.device).repeat_interleave(NQ), gold.reshape(B * NQ, -1)
    logits, right, at, every, far = against(qv, own, qkey.reshape(B * NQ, 3), g, lm, bkey, it.exp().clamp(max=60), old, old_key, use_old)
    with torch.no_grad():
        top = logits.argmax(1)
        hit = ((top[:, None] == at) & (g >= 0)).any(1)
    valid = (asked & ~absent).reshape(-1)
    return (every - found(right, whole.reshape(-1))) * valid, hit & valid, logits, right, far


def nothing(logits, right, far, it, null, asked, absent, teach):
    """"Not here", one global layer: the best right block should score above `null`, and where nothing is right no block should.
    Apart from the contrastive loss on purpose: as one more candidate there, it took all the probability at the start, and then
    no block was told from another. teach: do the landmarks learn from it too, or the threshold alone?
    -> loss, best score over the threshold [B*NQ]"""
    t = it.detach().exp().clamp(max=60)
    asked, absent = asked.reshape(-1), absent.reshape(-1)
    present = asked & ~absent
    best = torch.maximum(logits.amax(1), far)
    score = torch.where(absent, best, right.amax(1))
    score = torch.where(teach, score, score.detach()) - t * null
    wrong = F.softplus(torch.where(absent, score, -score).clamp(-60, 60))
    loss = sum((wrong * m).sum() / m.sum().clamp(min=1) for m in (present, asked & absent))
    return loss, (logits.amax(1) - t * null).detach()


def joint(logits, right, weight, valid, whole):
    """The contrastive loss over the weighted sum of the global layers' scores, which ranks in the end: layers learn to add to
    each other.  logits, right: of retrieval(), a list over the layers; weight [layers]; valid, whole [B*NQ] -> loss, best block right, the sum"""
    every = sum(w * x for w, x in zip(weight, logits))
    best = sum(w * x for w, x in zip(weight, right))
    loss = torch.logsumexp(every, 1) - found(best, whole)
    with torch.no_grad():
        hit = every.amax(1) <= best.amax(1)
    return (loss * valid).sum() / valid.sum().clamp(min=1), hit & valid, every


def answer_tokens(iq, lm, it, gold, qof, aim, qkey, bkey, old, old_key, use_old, places):
    """The same at `places` tokens of each sequence's answers: one that has to find its own line among all is as hard as a question.
    qof [B, QL]: the question that a token answers, or -1; aim [B, QL, 2]: the blocks that the next token is read from, -1 where any right
    block will do; tokens with an aim come first."""
    B, QL = qof.shape
    chance = torch.arange(QL, device=qof.device) * 40503 % QL / QL                      # spread over the sequence, in every run alike
    worth, at = ((qof >= 0) * 2.0 + (aim[..., 0] >= 0) * 2.0 + chance).topk(min(places, QL), 1)
    at_of = (lambda x: torch.gather(x, 1, at[..., None].expand(-1, -1, x.size(-1))))
    q = torch.gather(qof, 1, at).clamp(min=0)[..., None]
    g, own_aim = torch.gather(gold, 1, q.expand(-1, -1, gold.size(-1))), at_of(aim)
    g = torch.where(own_aim[..., :1] >= 0, F.pad(own_aim, (0, gold.size(-1) - own_aim.size(-1)), value=-1), g)
    own = torch.arange(B, device=qof.device).repeat_interleave(at.size(1))
    _, right, _, every, _ = against(at_of(iq).flatten(0, 1), own, torch.gather(qkey, 1, q.expand(-1, -1, 3)).flatten(0, 1), g.flatten(0, 1), lm, bkey, it.exp().clamp(max=60), old, old_key, use_old)
    valid = (worth.reshape(-1) >= 2) & (right[:, 0] > LOW / 2)
    return ((every - torch.logsumexp(right, 1)) * valid).sum() / valid.sum().clamp(min=1)


def mass(q, k, blk, gold, asked, none):
    """The share of the attention at <a> to the context that goes to the right blocks, mean over the heads: -log of it.
    q [B, H, M, hd], k [B, KV, LC, hd], blk [B, LC], gold [B, M, 8], asked [B, M]; none: the slot of what belongs to no block
    -> loss, mean share"""
    B, H, M, hd = q.shape
    KV = k.size(1)
    s = torch.einsum("bagmd,bajd->bagmj", q.reshape(B, KV, H // KV, M, hd), k).reshape(B, H, M, -1).float() * hd ** -0.5
    right = torch.zeros(B, M, k.size(2), dtype=torch.bool, device=q.device)
    for i in range(gold.size(-1)):
        g = gold[..., i:i + 1]
        right = right | ((blk[:, None] == g) & (g >= 0))
    s = s.masked_fill((blk == none)[:, None, None], LOW)
    share = (torch.logsumexp(s.masked_fill(~right[:, None], LOW), -1) - torch.logsumexp(s, -1)).exp().mean(1)
    valid = asked & (gold[..., 0] >= 0)
    n = valid.sum().clamp(min=1)
    return (-(share + 1e-6).log() * valid).sum() / n, (share * valid).sum() / n


def maxsim(q, k, ok):
    """Late interaction (ColBERT: Khattab and Zaharia 2020), heads apart: for every token of the question and head the most similar
    token of a block, summed.  q [n, T, H, hd], zero where there is no token; k [n, C, J, KV, hd] of C blocks; ok [n, C, J] -> [n, C]"""
    n, T, H, hd = q.shape
    C, J, KV = k.shape[1:4]
    q = q.view(n, T, KV, H // KV, hd).permute(0, 2, 1, 3, 4).reshape(n, KV, -1, hd)
    s = q @ k.reshape(n, C * J, KV, hd).permute(0, 2, 3, 1)
    s = s.masked_fill(~ok.view(n, 1, 1, C * J), LOW).view(n, KV, -1, C, J).amax(-1)
    return s.float().sum((1, 2)) * hd ** -0.5


@torch.no_grad()
def words(h, blk, together, pos, ap, tokens):
    """What the words of a question count for the definition of each block of the step: near what the program's lexical channel says (words.py),
    with what is at hand: no names or signatures apart, no associations; a word that many questions of the step have counts less.
    h [B, L]: hash of the word spelled so far at each token (model.spell), blk [B, LC], together [B, NB, TOGETHER], pos [B, QL], ap [B, M] -> [B*M, B*N], 0 to 1"""
    B, M = ap.shape
    LC, N = blk.size(1), together.size(1) - 1
    of = torch.arange(B, device=h.device)[:, None]
    word = torch.where(h > 0, spelled.rows(h, BUCKETS)[0], BUCKETS)                     # the last bucket: no word
    count = torch.zeros((B * N + 1) * (BUCKETS + 1), dtype=torch.bfloat16, device=h.device)
    at = torch.where(blk < N, blk + of * N, B * N) * (BUCKETS + 1) + word[:, :LC]
    count = count.scatter_add_(0, at.reshape(-1), torch.ones_like(at, dtype=count.dtype).reshape(-1)).view(B * N + 1, -1)
    count[B * N] = 0
    back = torch.arange(tokens, device=h.device)
    there = back <= torch.gather(pos, 1, ap)[..., None]
    term = torch.where(there, torch.gather(word[:, LC:], 1, (ap[..., None] - back).clamp(min=0).view(B, -1)).view(B, M, -1), BUCKETS).view(B * M, -1)
    first = ~((term[:, :, None] == term[:, None]) & (back[:, None] > back)).any(2) & (term < BUCKETS)
    live = (count.sum(1) > 0).sum().clamp(min=1)
    df = (count > 0).sum(0).float()
    asked = torch.zeros(BUCKETS + 1, device=h.device).scatter_add_(0, term.reshape(-1), first.float().reshape(-1)).clamp(min=1)
    weight = torch.log(1 + live / (df[term] + 0.5)) * torch.log(1 + B * M / asked[term]) * first * (df[term] > 0)
    with_it = torch.where(together[:, :N, 1:] >= 0, together[:, :N, 1:] + of[..., None] * N, B * N).view(B * N, -1)
    count = sum(count[with_it[:, k]] for k in range(with_it.size(1)))                   # of the definition, as far as it is read
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-6)
    asks = torch.zeros(B * M, BUCKETS + 1, device=h.device).scatter_add_(1, term, weight)
    return (asks.to(count.dtype) @ (count / (K1 + count)).t()).float()


def late(lq, k, blk, pos, every, gold, ap, asked, whole, blocks, tokens, prior=None, further=0):
    """The blocks of the whole step that joint() puts first, and the right ones, ordered by its score and the late interaction together.
    lq [B, QL, H*hd], k [B, KV, LC, hd], blk [B, LC], pos [B, QL], every [B*NQ, B*N] (joint()'s logits; LOW where a block may not count),
    gold [B, M, 8], ap, asked, whole [B, M] (M <= NQ questions of each sequence), prior [B*M, B*N]: what counts beside the score (words()), `further`:
    how many more blocks, which it puts first -> loss, best block right [B, M]; for read(): scores, numbers and prior of the blocks
    [B*M, blocks + further + 8], the right ones last, LOW where there is none; first token and length of every block [B*N]"""
    B, M = ap.shape
    KV, LC, hd = k.shape[1:]
    N = every.size(1) // B
    back, own = torch.arange(tokens, device=ap.device), torch.arange(B, device=ap.device)
    at = (ap[..., None] - back).clamp(min=0)
    there = back <= torch.gather(pos, 1, ap)[..., None]                                # a question's positions count from 0
    q = torch.gather(lq, 1, at.view(B, -1, 1).expand(-1, -1, lq.size(-1))).view(B * M, tokens, -1, hd) * there.view(B * M, tokens, 1, 1)
    size = torch.zeros(B, N + 1, dtype=torch.int64, device=ap.device).scatter_add_(1, blk.long(), torch.ones_like(blk, dtype=torch.int64))
    first = (size.cumsum(1) - size)[:, :N] + own[:, None] * LC                         # blocks follow each other, without gaps
    size = size[:, :N]
    score = every.view(B, -1, B * N)[:, :M].reshape(B * M, -1)
    g = gold.reshape(B * M, -1)
    right = (g + own.repeat_interleave(M)[:, None] * N).clamp(min=0)
    best = score.detach().topk(blocks, 1).indices
    if prior is not None:
        best = torch.cat([best, prior.masked_fill(score.detach() < LOW / 2, LOW).scatter(1, best, LOW).topk(further, 1).indices], 1)
        blocks += further
    known = ((best[:, :, None] == right[:, None]) & (g >= 0)[:, None]).any(2)          # right ones stand in their own places
    place = torch.cat([best, right], 1)
    live = torch.cat([~known, g >= 0], 1)
    reach = torch.arange(64, device=ap.device)
    ok = reach < size.reshape(-1)[place][..., None]
    rows = torch.where(ok, first.reshape(-1)[place][..., None] + reach, 0)
    near = k.transpose(1, 2).reshape(B * LC, -1).index_select(0, rows.view(-1)).view(B * M, place.size(1), 64, KV, hd)
    score = score.gather(1, place)
    score = (score + maxsim(q, near, ok)).masked_fill(~live | (score < LOW / 2), LOW)
    answers = score[:, blocks:]
    valid = (asked & (gold[..., 0] >= 0)).reshape(-1)
    loss = torch.logsumexp(score, 1) - found(answers, whole.reshape(-1))
    with torch.no_grad():
        hit = score.amax(1) <= answers.amax(1)
    counts = prior.gather(1, place) if prior is not None else torch.zeros_like(score)
    return (loss * valid).sum() / valid.sum().clamp(min=1), (hit & valid).view(B, M), (score.detach(), place, counts, first.reshape(-1), size.reshape(-1))


def beside(path, together, first, size):
    """What a block is read with -> rows of tokens and which of them count, [blocks, PATH + 64 * TOGETHER] (data.py).
    path [blocks, 2]: first token of the path and how many; together [blocks, TOGETHER]: numbers of blocks, -1 where there are fewer;
    first, size [blocks]: of the blocks' own tokens. A path that is in one of the blocks is not read twice."""
    n, device = path.size(0), path.device
    reach, way = torch.arange(64, device=device), torch.arange(PATH, device=device)
    blocks = together.clamp(min=0)
    rows = torch.cat([path[:, :1] + way, (first[blocks][..., None] + reach).view(n, -1)], 1)
    begun = ((first[blocks] <= path[:, :1]) & (path[:, :1] < first[blocks] + size[blocks]) & (together >= 0)).any(1)
    ok = torch.cat([(way < path[:, 1:]) & ~begun[:, None], ((reach < size[blocks][..., None]) & (together >= 0)[..., None]).view(n, -1)], 1)
    return torch.where(ok, rows, 0), ok


def read(alone, x, near, pos, ordered, path, together, ap, asked, absent, wrong, tokens, right=2):
    """Of what late() ordered, the `wrong` best wrong blocks and the `right` best right ones, ordered by its score, what counts beside it and what
    the question finds when it reads each, with the definition around it, and nothing else (model.alone, beside()). x [B, QL, d], near: k, v [B, KV, LC, hd] a layer,
    ordered: of late(), path [B, NB, 2], together [B, NB, TOGETHER] (data.py), ap, asked, absent [B, M] (the first M questions of those of late();
    asked: has an answer) -> loss; loss of "not here": what the best right passage says should be above 0, and where nothing is right what each
    says below; best block right [B, M]"""
    B, M = ap.shape
    KV, LC, hd = near[0][0].shape[1:]
    score, place, prior, first, size = ordered
    N = first.size(0) // B
    most = score.size(1) - 8                                                           # late()'s blocks
    some = (lambda t: t.view(B, -1, t.size(1))[:, :M].reshape(B * M, -1))
    place = some(place)
    score = torch.where(some(score) > LOW / 2, some(score) + some(prior), LOW)         # best first is by both, as what is read is chosen (app/passages.c)
    own = torch.arange(B, device=ap.device)[:, None, None]
    with_it = torch.where(together[:, :N] >= 0, together[:, :N] + own * N, -1).reshape(B * N, -1)
    # blocks that are read with the same ones are one place: the right one is kept, or the first
    last = with_it[:, 1:].amax(1)
    same_place = (with_it[place][:, :, None, 1] == with_it[place][:, None, :, 1]) & (last[place][:, :, None] == last[place][:, None])
    order = torch.cat([torch.arange(8, 8 + most, device=ap.device), torch.arange(8, device=ap.device)])
    again = (same_place & (order[:, None] > order[None]) & (score > LOW / 2)[:, None]).any(2)
    score = score.masked_fill(again, LOW)
    bad, good = score[:, :most].topk(wrong, 1), score[:, most:].topk(right, 1)
    score = torch.cat([bad.values, good.values], 1)
    place = place.gather(1, torch.cat([bad.indices, good.indices + most], 1))
    n = torch.gather(pos, 1, ap).reshape(-1).long() + 1
    start = (ap.reshape(-1) - n + 1).view(B, M, 1)
    at = (start + torch.arange(tokens, device=ap.device)).clamp(max=x.size(1) - 1).view(B, -1, 1)
    mine = torch.gather(x, 1, at.expand(-1, -1, x.size(-1))).view(B * M, tokens, -1)
    way = torch.stack([path[:, :N, 0] + own[..., 0] * LC, path[:, :N, 1]], -1).reshape(B * N, 2)
    rows, ok = beside(way[place.reshape(-1)], with_it[place.reshape(-1)], first, size)
    J = rows.size(1)
    ok = ok.view(B * M, -1, J) & (score > LOW / 2)[..., None]
    there = [tuple(t.transpose(1, 2).reshape(B * LC, -1).index_select(0, rows.view(-1)).view(B * M, place.size(1), J, KV, hd) for t in kv) for kv in near]
    said, live = alone(mine, n.clamp(max=tokens), there, ok), score > LOW / 2
    score = torch.where(live, score + said, LOW)
    valid = asked.reshape(-1) & (good.values[:, 0] > LOW / 2) & (n <= tokens)
    loss = torch.logsumexp(score, 1) - torch.logsumexp(score[:, wrong:], 1)
    none = absent.reshape(-1) & (n <= tokens)
    best = torch.where(live, said, LOW)
    best = torch.where(none, best.amax(1), -best[:, wrong:].amax(1)).clamp(-60, 60)
    nothing = sum((F.softplus(best) * m).sum() / m.sum().clamp(min=1) for m in (valid, none))
    with torch.no_grad():
        hit = score.amax(1) <= score[:, wrong:].amax(1)
    return (loss * valid).sum() / valid.sum().clamp(min=1), nothing, (hit & valid).view(B, M)
