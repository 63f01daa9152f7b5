"""The front end as text: a table of files for the served page, one script for the file and the widget.

There is no bundler. Modules are joined in the order of their imports, each as a function that returns what it exports;
what that cannot express is refused by name: modules that import each other, default exports, exported variables.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from posixpath import dirname, join, normpath

# A library is one scope already in the form that is made for scripts; the modules import the readable one.
_LIBRARIES = {"vendor/uPlot.js": "vendor/uPlot.min.js"}
_IMPORT = re.compile(r"^import\s+(?P<names>[^'\";]*?)\s*(?:\bfrom\s*)?['\"](?P<module>[^'\"]+)['\"];?[ \t]*\n?", re.M)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function|const|class)\b)", re.M)
_DEFINITION = re.compile(r"export\s+(?:async\s+)?(function\s*\*?|const|class)\s+")


@cache
def served_files() -> dict[str, bytes]:
    """Return the content of each script and style sheet of the page by its name, such as "vendor/uPlot.js"."""
    return {
        name: content.encode()
        for name, content in _texts().items()
        if name.endswith((".js", ".css")) and name not in _LIBRARIES.values()
    }


def style_sheets() -> list[str]:
    """Return the names of the style sheets: those of libraries first, so that the page's own prevail."""
    return sorted((name for name in _texts() if name.endswith(".css")), key=lambda name: ("/" not in name, name))


def style() -> str:
    """Return all style sheets as one."""
    return "".join(_texts()[name] for name in style_sheets())


def joined(entry: str) -> str:
    """Return a module and all that it imports as one script, in which the names stand that the module exports.

    >>> "function kernel(" in joined("source.js")
    True

    Args:
        entry: the name of the module, such as "source.js".

    Raises ValueError naming everything that cannot be joined.
    """
    return join_modules(_texts(), entry)


def join_modules(texts: dict[str, str], entry: str) -> str:
    """Return a module and all that it imports as one script.

    >>> print(join_modules({"a.js": "export const a = 1;\\n"}, "a.js"))
    const $0 = (() => {  // a.js
    const a = 1;
    return { a };
    })();
    const { a } = $0;
    <BLANKLINE>

    Args:
        texts: the text of each module by its name.
        entry: the name of the module.

    Raises ValueError naming everything that cannot be joined.
    """
    order, problems = _import_order(texts, entry)
    scopes = {name: f"${number}" for number, name in enumerate(order)}
    parts = []
    for name in order:
        text = texts[_LIBRARIES.get(name, name)]
        if name not in _LIBRARIES:
            exported = ", ".join(_exported(text))
            text = _IMPORT.sub(lambda found, name=name: _taken(found, name, scopes), text)
            text = _EXPORT.sub("", text)
            problems += [f"{name}: cannot join `{line}`" for line in re.findall(r"^(?:im|ex)port\b.*", text, re.M)]
            text = f"const {scopes[name]} = (() => {{  // {name}\n{text.rstrip()}\nreturn {{ {exported} }};\n}})();"
        # In the text of a script a browser ends it at </script, and begins a comment at <!--.
        problems += [f"{name} holds {word}" for word in ("</script", "<!--") if word in text.lower()]
        parts.append(text.rstrip())
    if problems:
        raise ValueError("the modules of the page cannot be joined:\n  " + "\n  ".join(problems))
    return "\n".join([*parts, f"const {{ {', '.join(_exported(texts[entry]))} }} = {scopes[entry]};", ""])


def page(title: str, body: str, *, policy: str = "", head: str = "") -> str:
    """Return an HTML document around the element that the page is mounted in.

    Args:
        title: its title, as plain text.
        body: HTML that follows the element.
        policy: a content security policy; "" where the server's answer carries it.
        head: HTML in the head.
    """
    carried = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{carried}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{html.escape(title)}</title><link rel="icon" href="data:,">{head}</head>'
        '<body class="tandv-page"><div id="tandv"></div>'
        "<noscript>This page is drawn by JavaScript, which is turned off here.</noscript>"
        f"{body}</body></html>\n"
    )


def hash_of(text: str) -> str:
    """Return the expression by which a content security policy admits one script or style.

    >>> hash_of("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

    Args:
        text: the text between its tags.
    """
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _import_order(texts: dict[str, str], entry: str) -> tuple[list[str], list[str]]:
    """Return the modules so that each follows those that it imports, and what is wrong with their imports."""
    order: list[str] = []
    problems: list[str] = []
    open_: list[str] = []  # the chain of imports that leads here

    def visit(name: str, by: str) -> None:
        if name in open_:
            problems.append(f"{' → '.join([*open_[open_.index(name) :], name])} import each other in a circle")
        elif name not in texts:
            problems.append(f"{by} imports {name}, which does not exist")
        elif name not in order:
            open_.append(name)
            for found in () if name in _LIBRARIES else _IMPORT.finditer(texts[name]):
                other = _resolved(found["module"], name)
                visit(other, name)
                problems.extend(f"{name} imports {one}" for one in _not_joinable(texts, found["names"], other))
            open_.pop()
            order.append(name)

    visit(entry, "the page")
    return order, problems


def _not_joinable(texts: dict[str, str], names: str, module: str) -> list[str]:
    """Return what of one import cannot be taken from a module."""
    if module in _LIBRARIES:
        library = re.split(r"[/.]", module)[-2]
        return [] if names == library else [f"{names} from {module}; call it {library}"]
    if names and not names.startswith("{"):
        return [f"{names} from {module}; name what it uses in braces"]
    exported = _exported(texts.get(module, ""))
    wanted = [name.split(" as ")[0].strip() for name in _in_braces(names)]
    return [f"{name} from {module}, which does not export that" for name in wanted if name not in exported]


def _taken(found: re.Match[str], by: str, scopes: dict[str, str]) -> str:
    """Return what an import becomes: the names are taken out of what the other module returns."""
    module = _resolved(found["module"], by)
    if module in _LIBRARIES or not found["names"]:
        return ""
    names = ", ".join(name.replace(" as ", ": ") for name in _in_braces(found["names"]))
    return f"const {{ {names} }} = {scopes.get(module, '')};\n"


def _in_braces(names: str) -> list[str]:
    return [name.strip() for name in names.strip("{} \n").split(",") if name.strip()]


def _resolved(module: str, by: str) -> str:
    return normpath(join(dirname(by), module))


def _exported(text: str) -> list[str]:
    """Return the names that a module exports, in its order."""
    return [name for one in _EXPORT.finditer(text) for name in _names(text, one.start())]


def _names(text: str, at: int) -> list[str]:
    """Return the names that the exported definition at a position of a module defines."""
    kind = _DEFINITION.match(text, at)
    assert kind is not None, text[at : at + 80]
    if kind[1] != "const":
        return re.findall(r"\A[\w$]+", text[kind.end() :])
    names, depth, quote, wanted, position = [], 0, "", True, kind.end()
    while position < len(text):
        one = text[position]
        if quote:
            position += one == "\\"
            quote = "" if one == quote else quote
        elif one in "'\"`":
            quote = one
        elif wanted and (found := re.compile(r"[\w$]+|[{\[][^=]*").match(text, position)):
            names += re.findall(r"[\w$]+(?=\s*[,}\]]|$)", found[0])
            wanted, position = False, found.end() - 1
        elif one in "([{":
            depth += 1
        elif one in ")]}":
            depth -= 1
        elif depth == 0 and one == ";":
            break
        elif depth == 0 and one == ",":
            wanted = True
        position += 1
    return names


@cache
def _texts() -> dict[str, str]:
    """Return the text of each file of the front end by its name; browsers hash text with normalised line ends."""
    found: dict[str, str] = {}

    def walk(folder: Traversable, before: str) -> None:
        for one in sorted(folder.iterdir(), key=lambda one: one.name):
            if one.is_dir():
                walk(one, f"{before}{one.name}/")
            elif one.name.endswith((".js", ".css")):
                found[before + one.name] = one.read_text(encoding="utf-8").replace("\r\n", "\n")

    walk(files("tandv.page").joinpath("front"), "")
    return found
