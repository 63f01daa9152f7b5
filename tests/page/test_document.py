"""The file: everything in it, nothing that can get out of its place, the colours of all other pictures."""

import json
import re
import sys
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import pytest

from tandv.page import document, save
from tandv.viz.layout.style import THEMES

EVIL = "spectral:</script><script>alert(1)</script><!--"


def test_names_stay_where_they_belong():
    text = document({EVIL: [1.0, 2.0]}, title="<b>&", notes=["<i>"])
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert data["metrics"][0]["name"] == EVIL
    assert (data["title"], data["notes"]) == ("<b>&", ["<i>"])
    assert text.count("<script") == text.count("</script>") == 3
    assert "<title>&lt;b&gt;&amp;</title>" in text


def test_only_the_scripts_in_the_page_may_run_and_nothing_may_be_fetched():
    text = document({"loss": [1.0, 2.0]})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert len(hashes) == 2
    assert f"default-src 'none'; script-src {' '.join(hashes)};" in policy[1]
    assert not re.search(r"\b(?:src|href)=[\"']?(?!data:)\w", text.replace(scripts[0], ""))


def test_it_is_kept_as_one_file(tmp_path):
    path = save({"loss": [1.0, 2.0]}, tmp_path / "a.html", title="Ein Verlust: µ")
    assert path.read_text(encoding="utf-8") == document({"loss": [1.0, 2.0]}, title="Ein Verlust: µ")


def test_without_plotly_it_says_what_to_install(monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ModuleNotFoundError, match=re.escape('the page needs plotly: pip install "tandv[page]"')):
        document({"loss": [1.0]})


@pytest.mark.parametrize(("selector", "theme"), [(":root", "light"), (':root[data-theme="dark"]', "dark")])
def test_its_colours_are_those_of_all_pictures(selector, theme):
    css = files("tandv.page").joinpath("page.css").read_text(encoding="utf-8")
    block = re.search(re.escape(selector) + r" \{(.*?)\}", css, re.DOTALL)
    assert block
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", block[1]))
    style = THEMES[theme]
    named = ("paper", "panel", "ink", "muted", "grid", "edge", "alarm", "nan", "inf")
    assert colours == {name: getattr(style, name) for name in named} | {
        f"series-{i}": colour for i, colour in enumerate(style.series)
    }
