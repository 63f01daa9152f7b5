"""Every Python block of the README and of each page of the docs runs, in order, in one session for each."""

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
# The README is read on a package index, too, where only whole addresses lead somewhere.
ADDRESS = re.compile(
    r"\]\(https://(?:github\.com/tandv/tandv/blob|raw\.githubusercontent\.com/tandv/tandv)/main/([^)#]+)\)"
)


def run(page: Path) -> dict[str, object]:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks
    session: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page.name} block {number}", "exec"), session)
    return session


@pytest.mark.slow
def test_python_blocks_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = run(ROOT / "README.md")
    assert session["worst"] > 0 and len(session["curve"]) == 30  # type: ignore[operator, arg-type]


PAGES = sorted((ROOT / "docs").rglob("*.md"))


def named(page: Path) -> str:
    """Return what a test of a page is called, which .ci/pages names, too."""
    return "-".join(page.relative_to(ROOT).parts)


# What trainers and other tools read of the environment.
OF_TRAINERS = {"KERAS_BACKEND": "torch", "KERAS_HOME": "keras", "MLFLOW_ALLOW_FILE_STORE": "true"}


def blocks_of(page: Path):
    """Return a page as a parameter; what trainers warn of is their own."""
    marks = [pytest.mark.filterwarnings("ignore")] if page.name == "integrations.md" else []
    return pytest.param(page, id=named(page), marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize("page", [blocks_of(p) for p in PAGES if "```python\n" in p.read_text()])
def test_python_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in OF_TRAINERS.items():
        monkeypatch.setenv(name, value)
    run(page)


@pytest.mark.parametrize("page", [p for p in PAGES if "```python\n" in p.read_text()], ids=named)
def test_a_page_names_the_extras_that_it_needs(page):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    top = page.read_text().partition("```python\n")[0]
    given = re.findall(r'pip install (?:-e )?"(?:tandv|\.)\[([\w,]+)\]"', top)
    assert len(given) == 2 and given[0] == given[1] and set(given[0].split(",")) <= set(extras)


def links() -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", *PAGES]
    near = [(page.relative_to(ROOT).as_posix(), target) for page in pages for target in LINK.findall(page.read_text())]
    return near + [("README.md", target) for page in pages for target in ADDRESS.findall(page.read_text())]


@pytest.mark.parametrize(("page", "target"), sorted(set(links())))
def test_links_lead_somewhere(page, target):
    assert ((ROOT / page).parent / target).exists()


def test_the_readme_can_be_read_where_there_is_no_repository():
    text = (ROOT / "README.md").read_text()
    assert LINK.findall(text) == [] and len(ADDRESS.findall(text)) > 10


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_tests_that_a_page_names_exist(page):
    tests = re.findall(r"`(tests/\S+\.py)::(\w+)`", page.read_text())
    assert [f"{file}::{name}" for file, name in tests if f"def {name}(" not in (ROOT / file).read_text()] == []
    assert tests or page.name != "works-with.md"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=named)
def test_names_that_a_page_gives_lead_to_something(page):
    for name in set(re.findall(r"`(tandv(?:\.\w+)+)(?:\(.*?\))?`", page.read_text())):
        pkgutil.resolve_name(name)
