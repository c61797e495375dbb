"""Questions as people put them, from what the code says about itself. Templates and word lists; standard library only."""
import re

GOOD_NAME = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$]{2,}[?!]?$")
DULL = set("get set run main init new test data value name size next add remove close open read write call start stop update delete create copy clear reset free "
           "index length list item node type key apply process handle execute setup tostring equals hashcode compare iterator".split())
NAMED = ("Where is `{n}` defined?", "Where is {n} defined?", "Find the definition of `{n}`", "Show me {n}", "find {k} {n}", "{n}", "Which file defines {n}?",
         "go to definition of {n}", "Locate the {k} `{n}`.", "where's {n}", "definition of {n}", "Where can I find {n}()?", "which file is {n} in", "open {n}",
         "show the code of {n}", "Where do they define {n}?", "Where is the {k} {n} implemented?", "implementation of `{n}`", "{k} {n}", "Where is {n} declared?")
MEANING = ("{d}", "Which {k} does this: {d}", "Where is the code that does the following? {d}", "How do I: {d}", "find: {d}", "{d}?", "Which {k} handles this? {d}",
           "Where is this done: {d}", "What code is responsible for this: {d}", "I am looking for the {k} with this description: {d}", "where in the code: {d}", "code that {v}",
           "Which {k} {v}?", "where is the {k} that {v}", "Is there a {k} that {v}?", "find the {k} which {v}", "How does it work: {d}", "Show me where it {v}", "Where does it {i}?",
           "How does this code {i}?", "What is used to {i}?", "how to {i}", "I want to {i}", "function to {i}", "Which part of the program {v}?", "{i}", "why does it {i}")
MEANING_PLAIN = tuple(t for t in MEANING if "{v}" not in t and "{i}" not in t)
EXPLAIN = ("What does `{n}` do?", "What does {n} do?", "Explain {n}", "What is `{n}` for?", "Describe the {k} {n}.", "what is {n}", "{n} purpose", "Tell me about {n}", "how does {n} work?")
CALLERS = ("Who calls `{n}`?", "Where is {n} used?", "Find uses of `{n}`", "Which functions call {n}?", "callers of {n}", "What calls {n}()?", "usages of `{n}`", "Who uses {n}?")
WORDS_OF = ("{w}", "{w} {k}", "where is {w}", "{k} for {w}", "code for {w}", "Where is the {w} code?", "Which {k} is about {w}?", "{w}?", "how is {w} done", "Where does {w} happen?")
MESSAGE = ("{m}", "I get this error: {m}", "Where does this message come from? {m}", "Which function prints \"{m}\"?", "What causes: {m}", "error: {m}", "why do I see \"{m}\"?",
           "[ERROR] {m}", "2026-02-11 10:32:07 {m}", "Who prints this: {m}", "the log says: {m}")
NEEDLE_TEXT = ("The magic number for {k} is {v}.", "NOTE: {k} is set to {v}", "the secret of {k} is {v}", "{k} = {v}", "{k}: {v}", "#define {u} {v}", "One of the special values for {k} is: {v}.", "remember that {k} equals {v}")
NEEDLE_ASK = ("What is the magic number for {k}?", "What is {k} set to?", "What is the secret of {k}?", "{k}", "value of {k}", "What does {k} equal?", "Which value does {k} have?", "what is the value of {k}")
NOT_HERE = " Not found in this repository."
ADJECTIVES = ("red blue green amber silent hidden rapid frozen golden iron lunar solar velvet crimson hollow brave misty stale broken sharp quiet narrow wooden ancient bitter "
              "clever dusty electric fading gentle humble icy jolly keen loose mellow noble orange plain royal silver tender urban vivid warm young zealous").split()
NOUNS = ("falcon river token cipher harbor engine lantern matrix orchid beacon canyon marble rocket saddle temple violin walnut zephyr anchor bishop candle dagger ember forest "
         "garden hammer island jacket kettle ladder mirror needle ocean pencil quarry ribbon shadow tunnel umbrella valley window yarn zipper").split()
STOP_WORDS = set("a an the of to in on for with and or is are be by it its this that as at from if not will was has have which when then than into can may should must used use using "
                 "we you they their your our also any all each some other such only do does did been being so there these those one".split())
# Words that programmers exchange for one another. Each row: words that may stand for each other.
SAME = [row.split() for row in (
    "get return fetch retrieve obtain", "gets returns fetches retrieves obtains", "create make build construct allocate", "creates makes builds constructs allocates",
    "delete remove drop erase discard", "deletes removes drops erases discards", "free release dispose", "frees releases disposes", "check test verify validate", "checks tests verifies validates",
    "parse decode interpret", "parses decodes interprets", "print show display output", "prints shows displays outputs", "convert turn transform translate", "converts turns transforms translates",
    "find locate search", "finds locates searches", "compute calculate determine", "computes calculates determines", "initialize initialise prepare", "initializes initialises prepares",
    "send transmit emit", "sends transmits emits", "wait block", "waits blocks", "add append insert put", "adds appends inserts puts", "copy clone duplicate", "copies clones duplicates",
    "join concatenate merge combine", "joins concatenates merges combines", "split divide cut", "splits divides cuts", "update refresh change modify", "updates refreshes changes modifies",
    "start launch begin", "starts launches begins", "stop halt end terminate", "stops halts ends terminates", "error failure problem", "errors failures problems", "list array sequence",
    "string text", "number count amount", "directory folder", "file document", "path location", "buffer memory", "size length", "key name identifier", "user account", "message text",
    "connection link", "request query", "response reply answer", "option setting parameter", "options settings parameters", "empty blank", "current present active", "default standard",
    "whether if", "given specified supplied", "fast quick", "big large", "small little", "maximum largest", "minimum smallest", "handle process", "handles processes", "call invoke",
    "calls invokes", "write store save", "writes stores saves", "read load", "reads loads", "compare match", "compares matches", "register add", "lock acquire", "unlock release",
    "timeout deadline", "cache remember", "thread worker", "event signal", "callback handler", "element item entry", "elements items entries", "object instance", "child descendant", "parent owner")]
VERBS = set("""accept access acquire activate adjust align allow analyze apply assert assign attach bind break bring build cache cancel change clean clear close
    collect commit compress configure confirm connect consume copy count cut decide declare decompress decrease decrypt define delay deliver deny detach detect disable disconnect dispatch draw
    emit enable encode encrypt enqueue ensure enter evaluate examine exchange execute exit expand export extend extract fill filter finish fix flush force format forward generate give go grow guess
    hash hide hold identify ignore implement import increase indicate inform inspect install iterate keep kill leave let lift limit link list listen log look maintain make manage map mark mask
    measure migrate mount move multiply name negate normalize notify open order override pack pad parse pass pause perform pick place poll pop populate prevent process produce propagate protect
    provide publish pull push query queue raise rebuild receive record recover redirect reduce reject reload remember rename render reorder repeat replace report represent reserve reset resize resolve
    restart restore resume retry return reverse revert rewrite roll rotate round run sample scale scan schedule scroll select serialize set shift shrink shut skip sleep sort specify stash step strip
    subtract sum suspend swap switch synchronize take tell throw toggle track traverse trigger trim truncate try undo unload unlink unmount unpack unregister upgrade upload use visit walk warn watch wrap yield""".split())
VERBS |= {word for row in SAME for word in row if row[0] in ("get", "create", "delete", "free", "check", "parse", "print", "convert", "find", "compute", "initialize", "send", "wait", "add", "copy",
                                                             "join", "split", "update", "start", "stop", "handle", "call", "write", "read", "compare", "register", "acquire", "release")}
OTHERS = {word: [w for w in row if w != word] for row in SAME for word in row}
PIECES = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def pieces(name):
    """parseHTTPHeader2 and parse_http_header2 -> [parse, http, header, 2]"""
    return [p.lower() for p in PIECES.findall(name)]


def base(verb):
    """A sentence's first word as it follows "to": returns -> return, copies -> copy, matches -> match"""
    if re.search(r"(ss|us|is)$", verb) or not verb.endswith("s"):
        return verb
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    return verb[:-2] if re.search(r"(ch|sh|x|ss|zz)es$", verb) else verb[:-1]


def third(verb):
    """return -> returns, copy -> copies, match -> matches"""
    if verb.endswith("s") and not verb.endswith("ss"):
        return verb
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies"
    return verb + ("es" if re.search(r"(ch|sh|x|ss|z|o)$", verb) else "s")


def exchange(text, rng, often=0.35):
    """Some words for others that mean the same."""
    def other(m):
        row = OTHERS.get(m.group(0).lower()) if text[m.end():m.end() + 5] != " sure" else None
        return rng.choice(row) if row and rng.random() < often else m.group(0)
    return re.sub(r"[A-Za-z]+", other, text)


def keywords(text, rng):
    """What one types into a search box: a few words of it, seldom in order."""
    words = [w for w in re.findall(r"[A-Za-z][A-Za-z0-9_-]+", text) if w.lower() not in STOP_WORDS]
    if len(words) < 2:
        return None
    some = words if len(words) <= 3 else sorted(rng.sample(range(len(words)), rng.randint(3, min(6, len(words)))))
    some = [w if isinstance(w, str) else words[w] for w in some]
    if rng.random() < 0.3:
        rng.shuffle(some)
    return " ".join(w.lower() if rng.random() < 0.7 else w for w in some)


def meaning(sentence, kind, rng):
    """A sentence about a definition -> a question that it answers"""
    text = sentence.rstrip(".;")
    if rng.random() < 0.4:
        text = exchange(text, rng)
    r = rng.random()
    if r < 0.22:
        return sentence if rng.random() < 0.5 else text
    if r < 0.42:
        found = keywords(text, rng)
        if found:
            return found
    words = text.split()
    if r < 0.50 and len(text) > 60 and len(words) > 4:     # the half of it that one remembers
        return " ".join(words[:rng.randint(max(4, len(words) // 3), len(words))])
    first, _, rest = text.partition(" ")
    low = first.lower()
    return rng.choice(MEANING if base(low) in VERBS else MEANING_PLAIN).format(d=text, k=kind, v=third(low) + " " + rest, i=base(low) + " " + rest)


def people(question, rng):
    """A question that somebody wrote, as it is or a little otherwise"""
    r = rng.random()
    if r < 0.15:
        return keywords(question, rng) or question
    if r < 0.45:
        question = exchange(question, rng, 0.25)
    return question if rng.random() < 0.7 else question.rstrip("?.").lower()


def named(name, scope, kind, rng):
    """A question for a definition by its name, sometimes with what it belongs to"""
    if scope and rng.random() < 0.15:
        name = scope + rng.choice((".", "::", "#", "->")) + name
    return rng.choice(NAMED).format(n=name, k=kind)


def by_words(name, kind, rng):
    """A question by the words of a name, or None where the name says too little"""
    words = [w for w in pieces(name) if len(w) > 1]
    if len(words) < 3 and not (len(words) == 2 and min(map(len, words)) > 3):
        return None
    if len(words) > 3 and rng.random() < 0.3:
        words.pop(rng.randrange(len(words)))
    text = " ".join(words)
    if rng.random() < 0.3:
        text = exchange(text, rng, 0.6)
    return rng.choice(WORDS_OF).format(w=text, k=kind)


HOLE = re.compile(r"%[-+ #0]*[0-9]*(?:\.[0-9*]+)?(?:hh|h|ll|l|z|j|t)?[a-zA-Z]|\{[a-zA-Z_0-9.:!]*\}|\$\{[^}]*\}|\$[a-zA-Z_]\w*|#\{[^}]*\}")


def message(literal, rng):
    """A string of the program as it looks in a log: its holes filled. None where it is no sentence."""
    text = re.sub(r"\\[nrt]|\\\"", " ", literal).strip()
    if not 14 <= len(text) <= 160 or len(re.findall(r"[A-Za-z]{2,}", text)) < 3 or "\\" in text or re.search(r"[<>{};=|]{2}|^[\w./*-]+$", HOLE.sub("", text)):
        return None

    def fill(m):
        if m.group(0)[-1] in "duixXzl":
            return str(rng.randrange(10 ** rng.randint(1, 5)))
        return rng.choice(("foo", "config.yml", "/var/lib/data", "eth0", "user", "main", "10.0.0.5", "name", "a.txt", "None", "42"))
    return rng.choice(MESSAGE).format(m=re.sub(r"\s+", " ", HOLE.sub(fill, text)).strip())


def needle(rng, used=()):
    """-> key, value: nothing else in a repository is called so"""
    while True:
        key = rng.choice(ADJECTIVES) + rng.choice((" ", "_", "-", " ")) + rng.choice(NOUNS) + (str(rng.randrange(1000)) if rng.random() < 0.6 else "")
        if key not in used:
            break
    r = rng.random()
    if r < 0.75:
        value = "".join(rng.choice("0123456789") for _ in range(rng.choice((3, 5, 7, 7, 7, 9))))
        value = value if value[0] != "0" else "1" + value[1:]
    elif r < 0.9:
        value = rng.choice(ADJECTIVES) + rng.choice(("", "-", "_")) + rng.choice(NOUNS)
    else:
        value = "".join(rng.choice("0123456789abcdef") for _ in range(8))
    return key, value


TASKS = ("single", "multikey", "multivalue", "multiquery", "variables", "chain", "common", "frequent")
HARD = ("multivalue", "multiquery", "variables", "variables", "chain", "common")      # asked five times as often in training, variables nine times: the others are learned


def _name(rng, used, alike=0.0):
    """A name that is not in `used`; a share `alike` of them differ from one of those in one piece"""
    while True:
        adjective, noun, digits = rng.choice(ADJECTIVES), rng.choice(NOUNS), "%d" % rng.randrange(100) if rng.random() < 0.7 else ""
        other = re.fullmatch("([a-z]+)_([a-z]+)([0-9]*)", rng.choice(sorted(used))) if alike and used and rng.random() < alike else None
        if other:
            was, i = list(other.groups()), rng.randrange(3)
            was[i] = (adjective, noun, "%d" % rng.randrange(100))[i]
            adjective, noun, digits = was
        name = adjective + "_" + noun + digits
        if name not in used:
            used.add(name)
            return name


def task(kind, rng, used, hops=None, teach=False):
    """A synthetic long-context task in the manner of RULER (Hsieh et al. 2024), as lines to hide in source code
    -> lines, question, expected words in order, [for each line: does it matter?], steps of the answer that is taught: (text, number of the
    line it is read from, or None where no single line says it). So every step is one look into the context. `used` keeps names apart.
    teach: for training, where many names resemble each other, and where a question has no order of its own the steps come in any."""
    alike = 0.5 if teach else 0.0

    def some(n):
        return [_name(rng, used, alike) for _ in range(n)]

    def any_order(steps):
        return rng.sample(steps, len(steps)) if teach else steps

    def value():
        return str(rng.randrange(10**6, 10**7))

    def each(texts):
        return [(text, i) for i, text in enumerate(texts)]
    if kind in ("single", "multikey"):
        names = some(1 if kind == "single" else 4)
        values = [value() for _ in names]
        return (["The magic number for %s is %s." % nv for nv in zip(names, values)], "What is the magic number for %s?" % names[0], values[:1], [i == 0 for i in range(len(names))], each(values[:1]))
    if kind == "multivalue":
        (name,), values = some(1), [value() for _ in range(rng.choice((2, 3, 4)))]
        return (["One of the special values for %s is: %s." % (name, v) for v in values], "What are all the special values for %s?" % name, values, [True] * len(values),
                any_order(each(values)))
    if kind == "multiquery":
        names = some(rng.choice((2, 3, 4)))
        values = [value() for _ in names]
        return (["The magic number for %s is %s." % nv for nv in zip(names, values)], "What are the magic numbers for %s?" % ", ".join(names), values, [True] * len(names),
                each("%s %s" % nv for nv in zip(names, values)))
    if kind == "variables":
        names = some((hops or rng.choice((2, 3, 4))) + 1)
        v = value()
        return (["VAR %s = %s" % (names[0], v)] + ["VAR %s = %s" % (b, a) for a, b in zip(names, names[1:])], "Which variables have the value %s?" % v, names, [True] * len(names), each(names))
    if kind == "chain":
        names = some(hops or rng.choice((2, 3, 4)))
        v = value()
        return (["function %s() { return %s(); }" % nn for nn in zip(names, names[1:])] + ["function %s() { return %s; }" % (names[-1], v)], "What does %s() return in the end?" % names[0],
                names[1:] + [v], [True] * len(names), each(names[1:] + [v]))
    words = rng.sample([a + n for a in ADJECTIVES for n in NOUNS], 6)
    often = words[:2]
    lines = [w for w in often for _ in range(4)] + words[2:]
    rng.shuffle(lines)
    (tag,) = some(1)
    if kind == "common":
        return (["word of %s: %s" % (tag, w) for w in lines], "Which two words of %s are the most common?" % tag, sorted(often), [w in often for w in lines], any_order([(w, None) for w in often]))
    lines = [often[0]] * 5 + words[2:]
    rng.shuffle(lines)
    return (["%s notes: %s" % (tag, w) for w in lines], "Which word is the most frequent in the notes of %s?" % tag, often[:1], [w == often[0] for w in lines], [(often[0], None)])
