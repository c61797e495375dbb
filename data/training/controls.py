"""The control tokens: the one table of their names, ids and spellings.

A spelling is the name between two private-use code points. No source text has reason to hold them, and collect.py refuses
files that do, so a control token in the training data is always ours. The engine goes by the ids in config.json alone."""
OPEN, CLOSE = "\uE2F0", "\uE2F1"
NAMES = ("pad", "file", "question", "answer", "eos", "spare1", "spare2", "spare3")   # the id is the place in this row
PAD, FILE, Q, A, EOS = range(5)
SPELLINGS = tuple(OPEN + name + CLOSE for name in NAMES)
