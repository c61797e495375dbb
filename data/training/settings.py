"""Every number that a run depends on, with its default. A run takes `key=value` arguments; an ablation changes one."""
import ast, dataclasses


@dataclasses.dataclass
class Settings:
    # shape of the model: what config.json tells the engine
    vocab: int = 16384
    d: int = 384
    layers: int = 16
    heads: int = 6
    kv: int = 2
    hd: int = 64
    ff: int = 1024
    window: int = 512
    glob: tuple = (5, 9, 13)
    didx: int = 128
    theta: float = 10000.0
    topk: int = 16
    word_rows: int = 65536      # table of the word spelled so far (spelled.py); 0: none
    word_dim: int = 96
    four: bool = True           # the feed-forward's matrices and that table are kept in 4 bits, and trained so
    # shape of a step: B sequences of L tokens, the first LC context; NB block slots and NQ question slots a sequence
    B: int = 8                  # a GPU
    L: int = 32768
    LC: int = 28672
    NB: int = 1216
    NQ: int = 160
    # data
    strip: float = 0.6          # share of comments taken out of the context, and then asked for
    part: float = 0.35          # of those, share of which only the sentence that is asked goes
    told: float = 0.2           # share of the questions by meaning whose comment stays in the context
    repository: float = 0.6     # share of runs that come from one repository, so that negatives are neighbours
    asked: float = 0.3          # how often six segments are followed by a file that people's questions are about (asked.py); 0: never
    # losses
    lm_every: int = 2           # of the context, every so-manyth token is predicted; of answers, every one
    ret_weight: float = 0.3     # contrastive loss of the landmarks at <a>
    joint_weight: float = 0.3   # the same over the weighted sum of the global layers, which is what ranks in the end
    token_weight: float = 0.15  # the same at tokens of the answers
    token_places: int = 192     # of a sequence, at most so many of them
    mass_weight: float = 0.1    # attention mass on the right blocks at <a>; 0: not trained
    mass_layers: tuple = (9, 13)
    mass_questions: int = 64    # a sequence
    late_weight: float = 0.15   # contrastive loss of the late interaction, which orders what was selected; 0: the model has none
    late_questions: int = 64    # a sequence
    late_blocks: int = 24       # of the whole step, those that the landmarks put first, beside the right ones
    late_tokens: int = 48       # of a question, the last ones up to <a>
    read_weight: float = 0.1    # contrastive loss of the reading of each passage alone (data.together), which orders last; 0: the model has none
    absent_weight: float = 0.0  # of reading: what a passage says is above 0 where it answers, below where nothing does
    read_words: float = 0.0     # what the words of a question count at most beside the score of what is read, as config.json's lexical_weight; 0: nothing (LOG.md, rows 50 and 54)
    word_blocks: int = 8        # then, of the whole step, those that words alone put first, to be read too
    read_questions: int = 16    # a sequence
    read_wrong: int = 10        # of what the late interaction orders, the best wrong ones, beside the two best right ones
    read_tokens: int = 48       # longer questions are not read so; config.json may say another number, which the engine goes by
    queue: int = 16             # steps whose landmarks are kept as further negatives; 0: none
    queue_after: int = 300      # steps; before that landmarks change too fast
    null_weight: float = 0.05   # "not here": right blocks above a learned score, all others below it where nothing is right
    null_after: int = 600       # steps; before that only the score itself learns
    # optimisation
    lr_matrix: float = 0.02     # Muon
    lr_embedding: float = 3e-3  # AdamW
    lr_words: float = 3e-3
    lr_rest: float = 2e-3
    decay: float = 0.05         # weight decay of the matrices
    warm: int = 120             # steps from the start of training
    rewarm: int = 40            # steps after loading a travelling checkpoint, which has no or coarse momentum
    final_lr: float = 0.02      # share of the learning rate that is left at the end
    cool_from: float = 0.4      # in the last slice: share of its time at the full learning rate
    dense_steps: int = 230      # steps of dense selection at the start
    dense_share: float = 0.2    # steps with dense selection after that
    seed: int = 20261122
    workers: int = 12
    log_every: int = 50


def parse(pairs, settings=None):
    """["queue=0", ...] -> Settings"""
    s = settings or Settings()
    for pair in pairs:
        key, _, value = pair.partition("=")
        if not hasattr(s, key):
            raise SystemExit("unknown setting %s; known: %s" % (key, ", ".join(f.name for f in dataclasses.fields(s))))
        kind = type(getattr(s, key))
        setattr(s, key, tuple(ast.literal_eval(value)) if kind is tuple else ast.literal_eval(value) if kind is bool else kind(float(value)) if kind is int else kind(value))
    return s


SMOKE = ["d=64", "layers=4", "heads=2", "kv=1", "hd=32", "ff=128", "glob=(1,3)", "didx=32", "word_rows=1024", "word_dim=32", "window=128", "mass_layers=(3,)", "B=2", "L=2048", "LC=1536", "NB=128", "NQ=24",
         "mass_questions=16", "late_questions=12", "late_blocks=8", "read_questions=8", "read_wrong=4", "read_words=4", "word_blocks=2", "queue=2", "queue_after=2", "workers=2", "log_every=5", "warm=5", "rewarm=2", "dense_steps=0"]
