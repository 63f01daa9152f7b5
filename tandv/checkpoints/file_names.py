"""The numbers in the name of a checkpoint, and what each is: a step, an epoch, a metric, a seed, a date, a hash.

>>> [(one.kind, one.word, one.value) for one in tokens("model_ep10_loss0.532")]
[('counter', 'epoch', 10), ('metric', 'loss', 0.532)]
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from tandv.checkpoints.times_in_names import DATE, DURATION, MINUTES, SECONDS, is_timestamp

RANK = re.compile(r"^(consolidated)\.(\d\d)(?=\.)")  # of a model that is split over devices
ENDINGS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
# Endings that other files have too: these are checkpoints if their names say so.
MORE_ENDINGS = (".pth.tar", ".tar", ".npz", ".msgpack", ".weights.h5", ".keras", ".h5", ".pkl", ".pickle")
OF_WEIGHTS_ALONE = (".weights.h5", ".keras")  # which nothing else has
NAMED_SO = re.compile(r"model|params?|weights?|state|net|checkpoint|ckpt|chkpt|steps?|epochs?|iter", re.IGNORECASE)
_NO_TIME = "".join(f"(?<!{word})" for word in ("step", "steps", "epoch", "epochs", "iter", "iteration"))
SHARD = re.compile(rf"(?i:{_NO_TIME})-(\d+)-of-(\d+)(?=\.)")  # of a file in several parts; step-50-of-100 is a step
# Of several counters in a name, the first of these is the step. A word of a few letters must stand alone.
_COUNTERS: dict[str, str] = {
    "step": r".*steps?|gs",
    "update": r".*updates?",
    "iteration": r".*iter(?:ation)?s?|itr|it",
    "token": r"tokens?|toks?",
    "sample": r"samples?|examples?|kimg",
    "epoch": r".*epochs?|eps?|e",
    "episode": r".*episodes?",
    "round": r".*rounds?",
    "generation": r".*generations?",
    "checkpoint": r".*(?:checkpoint|ckpt|chkpt|snapshot)s?",
}
CHOSEN = "step_pattern"  # the step, where the user says what it is
COUNTERS = (CHOSEN, *_COUNTERS)
OUTER = ("epoch", "episode", "round", "generation")  # inside one of these another counter may begin anew
_METRICS = re.compile(
    r".*(?:loss|acc|accuracy|error|score|reward|return|perplexity|metric)|err|ppl|bleu|rouge|f1|auc|mse|rmse|mae|psnr|ssim"
    r"|fid|iou|miou|map|wer|cer|nll|bpb|bpc|time|elapsed|hours?|of"
)
# Numbers that tell one run from another. Those that merely count runs may be all that differs between files.
_SETTINGS = re.compile(
    r".*seed|fold|.*lr|wd|bs|batch|batchsize|.*dim|width|depth|layers?|heads?|hidden|dropout|gpus?|nodes?|workers?|dp"
)
# Numbers of the parts of one model.
_PARTS = re.compile(r".*(?:shard|rank)s?|(?:part|piece|chunk)s?|mp|tp|pp")
_OF = re.compile(r"[-_. ]*of[-_. ]*\d")  # 1_of_4
RUNS = re.compile(r"runs?|v|ver|version|exp|experiment|trial|job")

_VERSION = r"\d+(?:\.\d+){2,}"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HASH = rf"{_UUID}|(?!\d+(?:e\d+|b)(?![0-9a-z]))(?=[0-9]*[a-f])(?=[a-f]*\d)[0-9a-f]{{7,40}}"
_ENDS = r"(?![A-Za-z0-9])|(?=(?i:step|iter|update|token|sample|epoch))"  # 10k, 10ksteps; not the 5 of 5b1
_NUMBER = rf"\d+(?:\.\d+)?(?:(?:[eE][+-]?\d\d?|[kKmMbBgGtT])(?:{_ENDS}))?"
_REST = (
    rf"|(?P<hash>(?<![A-Za-z0-9])(?:{_HASH})(?![A-Za-z0-9]))"
    r"|(?P<resave>-v\d+$)"
    rf"|(?P<duration>(?<![A-Za-z0-9.])(?:{DURATION})(?![A-Za-z0-9]))"
    rf"|(?P<version>(?<!\d)(?<!\d\.)(?:{_VERSION})(?![A-Za-z0-9]))"
    r"|(?P<tag>(?<![A-Za-z])(?:best|last|final|latest|init|initial|interrupted)(?![A-Za-z]))"
    rf"|(?P<number>(?<!\d)(?<!\d\.){_NUMBER})"
)
Dates = Literal["days", "minutes", "seconds"]
_TOKENS: dict[Dates, re.Pattern[str]] = {
    "days": re.compile(rf"(?P<date>(?<!\d){DATE}(?!\d)){_REST}"),
    "minutes": re.compile(rf"(?P<date>(?<!\d){DATE}(?:{SECONDS}|{MINUTES})?(?!\d)){_REST}"),
    "seconds": re.compile(rf"(?P<date>(?<!\d){DATE}(?:{SECONDS})?(?!\d)){_REST}"),
}
_PLAIN = re.compile(_NUMBER)
_BEFORE = re.compile(r"([A-Za-z]+)[=_\-. :]*$")
_ORDINAL = re.compile(r"^(?:st|nd|rd|th)(?![A-Za-z])")
_AFTER = re.compile(r"[_\-. ]*([A-Za-z]+)(?![A-Za-z])(?![=_\-. :]*\d)")
_CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_SUFFIX = {"k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_COMMAS = re.compile(r"(?<!\d)\d{1,3}(?:,\d{3})+(?!\d)")
_UNDERSCORES = re.compile(r"(?<![\d.])(?<!\d_)[1-9]\d{0,2}(?:_\d{3})+(?![\d.]|_\d)")

Kind = Literal[
    "counter", "metric", "setting", "run", "part", "date", "duration", "hash", "resave", "tag", "number", "decimal"
]  # fmt: skip
_OTHERS: dict[str, Kind] = {
    "date": "date", "duration": "duration", "version": "run", "hash": "hash", "resave": "resave", "tag": "tag",
}  # fmt: skip
# Beyond these numbers float64 no longer tells neighbours apart.
LARGEST = 2**53


class Token(NamedTuple):
    """A part of a name that may differ between the checkpoints of one run: where it is, and what it is."""

    start: int
    end: int
    kind: Kind
    word: str  # a counter of COUNTERS, or the word before the number
    value: int | float | str


def stem_of(name: str) -> str:
    """Return a name without its ending and without the number of its shard.

    >>> stem_of("model-step5-00001-of-00002.safetensors"), stem_of("epoch_0.5")
    ('model-step5', 'epoch_0.5')
    """
    name = RANK.sub(r"\1", SHARD.sub("", name))
    return next((name.removesuffix(ending) for ending in (*ENDINGS, *MORE_ENDINGS) if name.endswith(ending)), name)


def tokens(stem: str, dates: Dates = "seconds") -> list[Token]:
    """Return the tokens of a name without its ending, in the order of the name.

    Args:
        stem: the name.
        dates: how far a date goes on: a number behind it may be a time, or a step.
    """
    out: list[Token] = []
    at = 0
    while found := _TOKENS[dates].search(stem, at):
        start = out[-1].end if out else 0
        kind, (first, end) = str(found.lastgroup), found.span()
        before = _word_before(stem[start:first])
        text = stem[first:end]
        if kind == "date" and text[:8].isdigit() and _counter(before) not in (None, "checkpoint"):
            kind, end = "number", first + 8  # step20240501 is a step
            text = text[:8]
        if kind == "number":
            rest = _ORDINAL.sub("", stem[end:], count=1)  # 3rd_epoch
            end = len(stem) - len(rest)
            out.append(_number(first, end, text, before, _word_after(rest), bool(_OF.match(rest))))
        else:
            out.append(Token(first, end, _OTHERS[kind], before, text))
        at = end
    return out


def tokens_around(stem: str, start: int, end: int, value: int | float) -> list[Token]:
    """Return the tokens of a name in which the user says where the step is, and what it is."""
    right = [one._replace(start=one.start + end, end=one.end + end) for one in tokens(stem[end:])]
    return [*tokens(stem[:start]), Token(start, end, "counter", CHOSEN, value), *right]


def number_in(text: str) -> int | float | None:
    """Return the number that a text is, with separators, a suffix or an exponent; None if it is none, or beyond 2^53.

    >>> number_in("1.5k"), number_in("10_000"), number_in("1e3"), number_in("2M"), number_in("0.5"), number_in("best")
    (1500, 10000, 1000, 2000000, 0.5, None)
    """
    text = text.strip().replace("_", "").replace(",", "")
    if not _PLAIN.fullmatch(text):
        return None
    scale = _SUFFIX.get(text[-1].lower(), 1)
    digits = text[:-1] if scale > 1 else text
    if digits.isdigit():
        return int(digits) * scale if len(digits) < 400 and int(digits) * scale <= LARGEST else None
    value = round(float(digits) * scale, 9)
    if value > LARGEST:
        return None
    # 1.5k and 1e3 are whole numbers, 3.0 of an epoch is counted in fractions
    whole = value.is_integer() and (scale > 1 or "e" in digits.lower())
    return int(value) if whole else value


def joined_thousands(stems: Sequence[str]) -> list[str]:
    """Return names with the groups of three digits of a number written together: `step_10_000`, `step-1,000`.

    With underscores the digits may as well be several numbers, which all names together tell.

    >>> joined_thousands(["step_500", "step_10_000"]), joined_thousands(["step_100_512", "step_200_512"])
    (['step_500', 'step_10000'], ['step_100_512', 'step_200_512'])
    """
    stems = [_COMMAS.sub(lambda found: found[0].replace(",", ""), stem) for stem in stems]
    found = [list(_UNDERSCORES.finditer(stem)) for stem in stems]
    grouped = [(stem, one[0]) for stem, one in zip(stems, found, strict=True) if one]
    others = " ".join(stem for stem, one in zip(stems, found, strict=True) if not one)
    words = {_counter(_word_before(stem[: one.start()])) for stem, one in grouped}
    # epoch_1_100 is an epoch and something inside of it; 1_100 beside 1_1000 are two numbers each
    if not grouped or max(map(len, found)) > 1 or words & {*OUTER} or re.search(r"\d_\d", others):
        return stems
    last = {one[0].rpartition("_")[2] for _, one in grouped}
    lowest = min(int(one[0].replace("_", "")) for _, one in grouped)
    before = max((int(one[0]) for one in re.finditer(r"\d+", others)), default=0)
    ends = all(end.endswith("00") for end in last)
    if words & {None, "checkpoint"}:  # without a word only where nothing else is as likely
        accepted = last == {"000"} or (ends and before < lowest <= 3 * before)  # 50_100 does not go on from 100
    else:
        accepted = ends or len(last) > 1
    return [_UNDERSCORES.sub(lambda one: one[0].replace("_", ""), stem) for stem in stems] if accepted else stems


def _number(start: int, end: int, text: str, before: str, after: str, is_of: bool) -> Token:
    value = number_in(text)
    if value is None:  # too large to count anything
        return Token(start, end, "hash", before, text)
    whole = "-" not in text and isinstance(value, int)
    if (counter := _counter(before)) and not (counter == "epoch" and before == "eps" and not whole):
        is_time = counter == "checkpoint" and is_timestamp(text)
        return Token(start, end, "date", before, text) if is_time else Token(start, end, "counter", counter, value)
    counted = (counter := _counter(after)) and counter != "checkpoint" and len(after) > 1
    if is_timestamp(text) and not counted and not (_METRICS.fullmatch(before) or _SETTINGS.fullmatch(before)):
        return Token(start, end, "date", before, text)
    if is_of and whole and not _METRICS.fullmatch(before):
        return Token(start, end, "part", before, value)
    for kind, words in _KINDS.items():
        if words(before):
            return Token(start, end, kind, before, value)
    if counted:
        return Token(start, end, "counter", str(counter), value)
    if "e-" in text.lower():  # a learning rate
        return Token(start, end, "setting", before, value)
    return Token(start, end, "number" if whole else "decimal", before, value)


_KINDS: dict[Kind, Callable[[str], object]] = {
    "metric": _METRICS.fullmatch,
    "setting": _SETTINGS.fullmatch,
    "run": RUNS.fullmatch,
    "part": _PARTS.fullmatch,
}


def _counter(word: str) -> str | None:
    return next((name for name, pattern in _COUNTERS.items() if word and re.fullmatch(pattern, word)), None)


def _word_before(text: str) -> str:
    found = _BEFORE.search(text)
    return _CAMEL.findall(found[1])[-1].lower() if found else ""


def _word_after(text: str) -> str:
    found = _AFTER.match(text)
    return _CAMEL.findall(found[1])[0].lower() if found else ""
