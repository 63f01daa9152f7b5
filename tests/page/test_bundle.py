"""The front end as text: in the order of its imports, in one scope, or refused with what is in the way."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tandv.page.bundle import hash_of, join_modules, joined, page, served_files, style, style_sheets


def test_each_module_follows_what_it_imports_and_stands_there_once():
    texts = {
        "app.js": "import { b } from './b.js';\nimport {\n  c as d,\n} from './inner/c.js';\nexport function go() {}",
        "b.js": "import './inner/c.js';\nexport const a = (x, y = ';') => [x, y], b = () => c;\nconst c = 'own';\n",
        "inner/c.js": "import { d } from '../d.js';\nexport const c = d;\n",
        "d.js": "export class d {}\nexport async function e() {}",
        "other.js": "const unused = 0;\n",
    }
    assert join_modules(texts, "app.js").splitlines() == [
        "const $0 = (() => {  // d.js", "class d {}", "async function e() {}", "return { d, e };", "})();",
        "const $1 = (() => {  // inner/c.js", "const { d } = $0;", "const c = d;", "return { c };", "})();",
        "const $2 = (() => {  // b.js", "const a = (x, y = ';') => [x, y], b = () => c;", "const c = 'own';",
        "return { a, b };", "})();",
        "const $3 = (() => {  // app.js", "const { b } = $2;", "const { c: d } = $1;", "function go() {}",
        "return { go };", "})();",
        "const { go } = $3;",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("import './app.js';", "", "app.js → b.js → app.js import each other in a circle"),
        ("", "import { c } from './c.js';", "app.js imports c.js, which does not exist"),
        (
            "export const a = 1;",
            "import { c } from './b.js';",
            "app.js imports c from b.js, which does not export that",
        ),
        ("export let a = 1;", "", "b.js: cannot join `export let a = 1;`"),
        (
            "export const a = 1;",
            "import * as b from './b.js';",
            "app.js imports * as b from b.js; name what it uses in",
        ),
        ("export default 1;", "", "b.js: cannot join `export default 1;`"),
        ("export { a };", "", "b.js: cannot join `export { a };`"),
        ("const a = '</SCRIPT>';", "", "b.js holds </script"),
        ("// <!--", "", "b.js holds <!--"),
        ("", "import plot from './vendor/uPlot.js';", "app.js imports plot from vendor/uPlot.js; call it uPlot"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_name(first, second, words):
    texts = {
        "b.js": first + "\n",
        "app.js": f"import './b.js';\n{second}\n",
        "vendor/uPlot.js": "",
        "vendor/uPlot.min.js": "",
    }
    with pytest.raises(ValueError, match="the modules of the page cannot be joined") as raised:
        join_modules(texts, "app.js")
    assert words in str(raised.value)


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(ValueError) as raised:
        join_modules({"app.js": "import { c } from './c.js';\nexport default 1;\n"}, "app.js")
    assert len(str(raised.value).splitlines()) >= 3


def test_the_library_is_the_form_for_scripts_in_one_script_and_the_readable_one_on_the_served_page():
    texts = {"app.js": "import uPlot from './vendor/uPlot.js';\n", "vendor/uPlot.js": "no"}
    text = join_modules(texts | {"vendor/uPlot.min.js": "var uPlot=1;"}, "app.js")
    assert text.startswith("var uPlot=1;\nconst $1 = (() => {  // app.js\n\nreturn {  };")
    assert "vendor/uPlot.js" in served_files() and "vendor/uPlot.min.js" not in served_files()
    assert b"export { uPlot as default };" in served_files()["vendor/uPlot.js"]


def test_only_scripts_and_styles_are_served():
    assert {name.rpartition(".")[2] for name in served_files()} == {"js", "css"}


def test_the_page_s_own_style_prevails():
    assert style_sheets()[0] == "vendor/uPlot.css"
    assert "</style" not in style().lower()


def test_a_document_holds_its_title_as_text():
    text = page("<b>&", "")
    assert "<title>&lt;b&gt;&amp;</title>" in text and 'id="tandv"' in text and "Security-Policy" not in text
    assert '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">' in page(
        "", "", policy="default-src 'none'"
    )


def test_a_hash_is_the_one_that_browsers_make():
    assert (
        hash_of("alert('Hello, world.');") == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    )  # W3C's example


@pytest.mark.parametrize(("entry", "end"), [("widget.js", "const { render } = $"), ("app.js", "const { mount } = $")])
def test_the_modules_of_the_page_can_be_joined(entry, end):
    text = joined(entry)
    assert text.splitlines()[-1].startswith(end)


@pytest.mark.slow
def test_a_wheel_brings_all_files_of_the_front_end(tmp_path):
    top = Path(__file__).parents[2]
    source = tmp_path / "source"
    shutil.copytree(top / "tandv", source / "tandv", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(top / name, source / name)
    make = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", make], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    front = top / "tandv" / "page" / "front"
    brought = {name for name in ZipFile(wheel).namelist() if name.startswith("tandv/page/front/")}
    assert brought == {
        f"tandv/page/front/{one.relative_to(front).as_posix()}" for one in front.rglob("*") if one.is_file()
    }
