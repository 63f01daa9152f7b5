"""The text of a dossier: the same sections as Markdown and as one HTML file that contains its figures."""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tandv.analysis.findings.report import escaped
from tandv.analysis.transitions.wording import CERTAIN, KINDS, chance_in_words, size_in_words
from tandv.dossier.pictures import Picture

_LAYERS = 20  # rows of a table in the report; the JSON has all
_STYLE = """
body { font: 15px/1.55 system-ui, sans-serif; color: #17212c; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-top: 1px solid #e8ebef; padding-top: 1rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e8ebef; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: #64707d; font-weight: 600; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #64707d; font-size: .9rem; }
@media (prefers-color-scheme: dark) { body { color: #e8eaed; background: #11141b; } th, figcaption { color: #929ca8; }
  h2, th, td { border-color: #272d37; } img { background: #fff; } }
"""


class Section(NamedTuple):
    """A piece of the report: a heading ("h1", "h2"), "text", "list", "table" (header first) or "picture"."""

    kind: str
    content: Any


def sections(results: Mapping[str, Any], pictures: Sequence[Picture]) -> list[Section]:
    """Describe the findings in words, tables and pictures.

    Args:
        results: what `examine` returns.
        pictures: what `draw` returns.
    """
    summary = results["summary"]
    first, last = summary["first_step"], summary["last_step"]
    out = [
        Section("h1", f"{results['name']}: what changed, and when"),
        *([Section("text", results["wrong"]["words"])] if results["wrong"] else []),
        Section(
            "text",
            f"{_counted(summary['steps'], 'recorded step')} from {first:,} to {last:,}, "
            f"{_counted(len(summary['quantities']), 'quantity')}, {_counted(summary['num_jumps'], 'transition')}, "
            f"{_counted(len(summary['checkpoints']), 'checkpoint')}.",
        ),
        *[Section("picture", one) for one in pictures if one.moment is None],
    ]
    out += _wrong(results)
    if results["not_finite"]:
        out += [Section("h2", "NaN and infinity"), Section("list", results["not_finite"])]
    if results["missing"]:
        out += [Section("h2", "What is missing"), Section("list", results["missing"])]
    out += _generalisation(results) + _transitions(results)
    for i, moment in enumerate(results["moments"]):
        out += _moment(moment, [one for one in pictures if one.moment == i])
    return out + _loss_falls(results)


def as_markdown(content: Sequence[Section]) -> str:
    """Return sections as Markdown; names from the run are escaped, so that they cannot become markup."""
    parts = []
    for kind, what in content:
        if kind in ("h1", "h2"):
            parts.append(f"{'#' * int(kind[1])} {escaped(what)}")
        elif kind == "text":
            parts.append(escaped(what))
        elif kind == "list":
            parts.append("\n".join(f"- {escaped(one)}" for one in what))
        elif kind == "picture":
            parts.append(f"![{escaped(what.caption)}]({what.file})")
        else:
            header, *rows = [[escaped(cell) for cell in row] for row in what]
            rule = ["---", *["---:"] * (len(header) - 1)]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows]))
    return "\n\n".join(parts) + "\n"


def as_html(content: Sequence[Section], folder: Path) -> str:
    """Return sections as one HTML page that contains the pictures of `folder`; it loads nothing."""
    title = html.escape(next(what for kind, what in content if kind == "h1"))
    body = []
    for kind, what in content:
        if kind in ("h1", "h2"):
            body.append(f"<{kind}>{html.escape(what)}</{kind}>")
        elif kind == "text":
            body.append(f"<p>{html.escape(what)}</p>")
        elif kind == "list":
            body.append("<ul>" + "".join(f"<li>{html.escape(one)}</li>" for one in what) + "</ul>")
        elif kind == "picture":
            data = base64.b64encode((folder / what.file).read_bytes()).decode()
            caption = html.escape(what.caption)
            image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
            body.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
        else:
            header, *rows = [[html.escape(cell) for cell in row] for row in what]
            lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in header)}</tr>"]
            lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
            body.append(f"<table>{''.join(lines)}</table>")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _wrong(results: Mapping[str, Any]) -> list[Section]:
    """Describe each finding of the rules, and what they could not check."""
    wrong = results["wrong"]
    if not wrong:
        return []
    out = [Section("h2", "What is wrong")] if wrong["findings"] or wrong["not_checked"] else []
    for one in wrong["findings"]:
        place = f"{one['severity']} · {one['kind']} · {one['tensor_type']} · {one['layer']} · step {one['step']:,}"
        out.append(Section("text", f"{place}: {one['what']} {one['before']} To do: {one['advice']}"))
        out += [Section("list", one["evidence"])] if one["evidence"] else []
    if wrong["not_checked"]:
        out += [Section("text", "Not checked:"), Section("list", wrong["not_checked"])]
    return out


def _generalisation(results: Mapping[str, Any]) -> list[Section]:
    found = results["generalisation"]
    if found is None:
        return []
    verdict = {True: "This is grokking", False: "This is not grokking", None: "Whether this is grokking is not known"}
    return [Section("h2", "Generalisation"), Section("text", f"{verdict[found['is_grokking']]}: {found['words']}.")]


def _transitions(results: Mapping[str, Any]) -> list[Section]:
    found = results["transitions"]
    out = [Section("h2", "Transitions")]
    if not found:
        return [*out, Section("text", "No curve changes faster than before and after.")]
    header = ["quantity", "kind", "from step", "middle", "to step", "before", "after", "times the noise", "p"]
    rows = [
        [one["quantity"], KINDS.get(kind := one["evidence"].get("kind", ""), kind) or "–"]
        + [f"{one[key]:,}" for key in ("start", "step", "end")]
        + [_short(one["before"]), _short(one["after"])]
        + [size_in_words(one["evidence"]["effect"]), chance_in_words(one["evidence"]["p"])]
        for one in found
    ]
    about = (
        "Times the noise: the change in standard deviations of the noise of the curve there. p: how likely noise like "
        f"that of the curve changes as much somewhere; above {CERTAIN} a transition is uncertain, and drawn faintly."
    )
    if rate := results["learning_rate"]:
        about += f" {rate} is taken as the learning rate."
    return [*out, Section("text", about), Section("table", [header, *rows])]


def _moment(moment: Mapping[str, Any], pictures: Sequence[Picture]) -> list[Section]:
    also = f", and {', '.join(moment['also'])} at the same time" if moment["also"] else ""
    change = (
        f"{moment['quantity']} goes from {_short(moment['before_value'])} to {_short(moment['after_value'])}, "
        f"{100 * moment['strength']:.0f} % of its range{also}. Compared are the steps {moment['before']:,} and "
        f"{moment['after']:,}."
    )
    out = [Section("h2", f"Step {moment['during']:,}: {moment['quantity']}"), Section("text", change)]
    out += [Section("picture", one) for one in pictures]
    header = ["quantity", f"step {moment['before']:,}", f"step {moment['after']:,}", "change", "relative"]
    keys = ("before", "after", "change", "relative_change")
    out.append(
        Section(
            "table", [header, *[[one["quantity"], *(_short(one[key]) for key in keys)] for one in moment["curves"]]]
        )
    )
    if (together := moment.get("coordination")) is not None:
        moved = f": {', '.join(together['moved'][:_LAYERS])}" if together["moved"] else ""
        by = f" (by their {moment['layers_by']})" if moment.get("layers_by") else ""
        words = (
            f"{_percent(together['share'])} of the layers{by} move with it{moved}. At any other time "
            f"{_percent(together['base_rate'])} do (lift {_short(together['lift'])})."
        )
        out.append(Section("text", words))
    if moment.get("weights"):
        out += _weights(moment)
    if moment["missing"]:
        out.append(Section("list", moment["missing"]))
    return out


def _weights(moment: Mapping[str, Any]) -> list[Section]:
    files = {
        side: f"{one['step']:,}" + (f" ({one['why']})" if one["why"] else "")
        for side, one in moment["checkpoints"].items()
    }
    words = f"Weights of the checkpoints of step {files['before']} and step {files['after']}."
    if moment.get("usual_from"):
        words += f" Usual is the median over steps {'; '.join(moment['usual_from'])}."
    rows = sorted(
        moment["weights"], key=lambda one: -(one["relative"] or 0) if math.isfinite(one["relative"] or 0) else 0
    )
    keys = [
        "l2",
        "relative",
        *(["usual", "times_usual"] if moment.get("usual_from") else []),
        "max",
        "cosine_similarity",
    ]
    header = ["layer", *(key.replace("_", " ") for key in keys)]
    table = [[one["layer"], *(_short(one[key]) for key in keys)] for one in rows[:_LAYERS]]
    out = [Section("text", words), Section("table", [header, *table])]
    if len(rows) > _LAYERS:
        out.append(Section("text", f"The {_LAYERS} that moved furthest of {len(rows)} layers; all are in the JSON."))
    return out


def _loss_falls(results: Mapping[str, Any]) -> list[Section]:
    found = results["loss_falls"]
    if found is None or not found["steps"]:
        return []
    usual = _percent(found["base_rate"])
    words = (
        f"At {_counted(len(found['steps']), 'transition')} of other quantities {found['loss']} falls in "
        f"{_percent(found['share'])} of them, at any step in {usual} (lift {_short(found['lift'])}, "
        f"p = {_short(found['p_value'])})."
    )
    return [Section("h2", "Does the loss fall there?"), Section("text", words)]


def _counted(count: int, noun: str) -> str:
    """Return a number with what it counts.

    >>> _counted(1, "step"), _counted(2, "quantity")
    ('1 step', '2 quantities')
    """
    return f"{count:,} {noun if count == 1 else noun.removesuffix('y') + 'ies' if noun.endswith('y') else noun + 's'}"


def _short(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    return "an unknown share" if math.isnan(share) else f"{100 * share:.3g} %"
