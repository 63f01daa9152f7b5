"""The page of messages quotes what the code says, and names classes that there are."""

import re
from pathlib import Path

import pytest

from tandv import checkpoints

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def said():
    """All of the code, with texts over several lines joined and braces of formatted ones doubled to single."""
    code = "".join(path.read_text() for path in sorted((ROOT / "tandv").rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", code)


def quoted(column: str) -> list[str]:
    """Return the texts in the first column of the tables with a heading."""
    tables = re.findall(rf"^\| {column} \|.*\n\|.*\n((?:\|.*\n)+)", (ROOT / "docs/messages.md").read_text(), re.M)
    return [
        text for table in tables for line in table.splitlines() for text in re.findall("`(.+?)`", line.split(" | ")[0])
    ]


def absent(messages: list[str], said: str) -> list[str]:
    """Return the messages that the code cannot say: of each, what stands between `…` must be in it."""
    return [message for message in messages if any(part.strip() not in said for part in message.split("…"))]


def test_every_message_is_one_of_the_code(said):
    messages = quoted("message")
    assert len(messages) > 30
    assert absent(messages, said) == []


def test_a_message_that_nobody_says_is_found(said):
    assert absent(["tracking stopped at step …", "tracking … halted"], said) == ["tracking … halted"]


def test_every_class_is_there():
    classes = quoted("class")
    assert len(classes) == 8
    assert [name for name in classes if not issubclass(getattr(checkpoints, name), checkpoints.CheckpointWarning)] == []
