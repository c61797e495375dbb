"""The numbers of a definition's record (shards.unpack), and where a line starts. Standard library only."""
START, END, NAME0, NAME1, DOC0, DOC1, HEAD, KIND, PARENT = range(9)


def line_start(data, at):
    """Where the line of byte `at` starts if only blanks stand before it, else `at`."""
    start = data.rfind(b"\n", 0, at) + 1
    return start if not data[start:at].strip() else at


def whole_lines(data, a, b):
    """[a, b) with the blanks in front and the end of its last line, where nothing else stands on its lines"""
    start, end = data.rfind(b"\n", 0, a) + 1, data.find(b"\n", b) + 1 or len(data)
    return (start, end) if not data[start:a].strip() and not data[b:end].strip() else (a, b)
