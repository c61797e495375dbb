"""Comments as people write them -> plain sentences about the code below them. Standard library only."""
import re

LICENCE = re.compile(r"copyright|\bSPDX|licen[cs]e|all rights reserved|warrant(y|ies)|redistribut|\bauthors?:", re.I)
MARK = re.compile(r"^\s*(/\*+[!<]?|\*+/|\*(?!/)|//+[!<]?|--+\[\[|--+|#+|;+|%+|\"\"\"|'''|r\"\"\"|=begin|=end)\s?")
TAIL = re.compile(r"\s*(\*+/|\"\"\"|'''|\]\]|\*/)\s*$")
STOP = re.compile(r"^([@\\](param|return|throws|exception|see|since|deprecated|author|version|type|todo|arg|var|property|template|default|example|brief\s*$|retval|note|warning|ingroup|file|internal|private|public|api|access|category|link|uses|covers|test|package|global|static|final|override|inheritdoc)"
                  r"|:(param|return|rtype|type|raise|arg|keyword|var|yield)s?\b|(Args|Arguments|Parameters|Params|Returns?|Return value|Yields|Raises|Throws|Examples?|Usage|Notes?|See also|Since|Stability|Attributes|References|Errors?|Panics|Safety|Context|Input|Output|Inputs|Outputs|Options|Todo)\s*:?\s*$"
                  r"|(Args|Arguments|Parameters|Params|Returns?|Return value|Since|Stability|Raises|Throws|Deprecated|Context)\s*:|>>>|```|~~~|\.\. |call-seq:|:call-seq:|# (Examples?|Panics|Errors|Safety))", re.I)
SKIP = re.compile(r"^(eslint|jshint|jscs|tslint|@ts-|istanbul|prettier|globals? |NOLINT|clang-format|nolint|go:|\+build|coverity|LCOV|rubocop|frozen_string_literal|-\*-|vim?:|ex:|pylint|noqa|type:|flake8|pragma|region|endregion|phpcs|fall.?through|TODO|FIXME|XXX|HACK|:nodoc:|:stopdoc:|static$|public$|private$|protected$|!/)", re.I)
MARKUP = ((re.compile(r"\{@(?:link|linkplain|code|literal|value|see)\s+([^{}]*)\}"), r"\1"), (re.compile(r"\{@[a-z]+\}", re.I), ""),
          (re.compile(r"<see\s+(?:cref|langword)=\"([^\"]*)\"\s*/>"), r"\1"), (re.compile(r"<paramref\s+name=\"([^\"]*)\"\s*/>"), r"\1"),
          (re.compile(r"</?[a-zA-Z][^<>]{0,80}>"), " "), (re.compile(r":[a-z]+(?::[a-z]+)?:`~?([^`<]*)(?:\s*<[^`]*>)?`"), r"\1"),
          (re.compile(r"[@\\](?:brief|details|short|c|p|a|e|ref|em|b|summary|desc(?:ription)?|tt)\b:?\s*"), ""), (re.compile(r"`+([^`]*)`+"), r"\1"),
          (re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"), (re.compile(r"&(lt|gt|amp|quot);"), " "), (re.compile(r"[#%@](?=[A-Za-z_])"), ""))
SHORTENED = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|resp|approx|incl|esp|no|fig|sec|eq|al|St|Dr|Mr)|\b[A-Z])\.$")
WORDS = re.compile(r"[A-Za-z][A-Za-z'-]+")


def paragraphs(raw, name):
    """Comment text with its marks -> paragraphs of plain text, tags and their text left out"""
    if "<summary>" in raw:
        m = re.search(r"<summary>(.*?)</summary>", raw, re.S)
        raw = m.group(1) if m else raw
    out, now, skipping, first = [], [], False, True
    for line in raw.split("\n"):
        line = TAIL.sub("", line)
        line = MARK.sub("", MARK.sub("", line) if line.lstrip().startswith(("/*", '"""', "'''")) else line).strip()
        if not re.search(r"[A-Za-z]", line) or re.fullmatch(r"[-=*_~+#/ ]{3,}", line):
            if now:
                out.append(" ".join(now))
                now = []
            skipping = False
            continue
        line = re.sub(r"^[-=*_#~+]{2,}\s*|\s*[-=*_#~+]{2,}$", "", line)
        if first:
            first = False
            bare = re.escape(name)
            m = name in line and re.match(r"^(?:(?:static|inline|struct|enum|union|function|class|func|method|def|macro|void|int|bool|char|const|interface|type)\s+)*[*&]*(?:[\w.:]*(?:::|\.|->|#))?" + bare
                         + r"\s*(?:\([^)]*\))?\s*(?:\((?:skip|method|constructor|virtual|type|get|set|rename)[^)]*\)\s*)?(?:(?:--+|-|\u2013|\u2014|:)\s*(.*)|[:.;]*)$", line)
            if m:
                line = m.group(1) or ""
            else:
                m = re.match(r"^[A-Za-z_]\w*\s*(?:\(\))?\s+(?:--?|\u2014)\s+(\S.*)$", line)
                line = m.group(1) if m else line
            if not line:
                continue
        if STOP.match(line):
            skipping = True
            if now:
                out.append(" ".join(now))
                now = []
            continue
        if re.match(r"^@\w+\s*:", line):                # gtk-doc: a parameter and its lines
            skipping = True
            continue
        if skipping or SKIP.match(line):
            continue
        now.append(line)
    if now:
        out.append(" ".join(now))
    return out


def sentences(raw, name="", most=4):
    """-> up to `most` sentences that say something about the code called `name`; the name itself is taken from the front
    of the first ("Backoff doubles the delay" says "doubles the delay")"""
    if LICENCE.search(raw[:2000]):
        return []
    out = []
    for text in paragraphs(raw[:6000], name):
        for pattern, by in MARKUP:
            text = pattern.sub(by, text)
        text = re.sub(r"\s+", " ", text).strip(" -*:")
        start = 0
        for m in list(re.finditer(r"[.!?;](?=\s|$)", text)) + [None]:
            end = m.end() if m else len(text)
            part = text[start:end].strip()
            if m and (SHORTENED.search(part) or end - start < 12):
                continue
            start = end
            if name and name in part[:len(name) + 40]:
                part = re.sub(r"^(?:The |A |This )?(?:function |method |class |macro )?[`'\"]?" + re.escape(name) + r"(?:\(\))?[`'\"]?(?:\s+(?:function|method|class|type|struct|macro))?\s+(?:is|are|will|shall|can|may)?\s*(?=[a-zA-Z])", "", part)
            part = part.strip(" -*:")
            words = WORDS.findall(part)
            if len(words) >= 3 and 14 <= len(part) <= 320 and sum(map(len, words)) > 0.6 * len(part.replace(" ", "")) and not re.search(r"[{};=]{2}|\);|\bhttps?:", part):
                out.append(part)
                if len(out) == most:
                    return out
    return out


def first_sentence(raw, name=""):
    """Where a comment's first sentence stands, if others follow it -> (start, end) in the bytes of `raw`, whole lines but for a mark that
    opens the comment, and the sentence; None where it cannot be taken out like that"""
    told = sentences(raw, name, 2)
    if len(told) < 2:
        return None
    lines = raw.split("\n")
    end = next((k for k in range(1, min(len(lines), 9)) if sentences("\n".join(lines[:k]), name, 1) == told[:1]), 0)
    if not end or not sentences("\n".join(lines[end:]), "", 1):
        return None
    start = max(j for j in range(end) if sentences("\n".join(lines[j:end]), name, 1) == told[:1])
    before = "".join(line + "\n" for line in lines[:start])
    if start == 0:
        opens = re.match(r"\s*(/\*+[!<]?|\"\"\"|\'\'\'|r\"\"\")\s?", lines[0])
        before += opens.group(0) if opens else ""
    return len(before.encode()), len("".join(line + "\n" for line in lines[:end]).encode()), told[0]
