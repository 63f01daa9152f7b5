"""The log: it holds what happened, starts anew after so many lines, and is never a reason to fail."""

import errno
import logging

import pytest
import typer

from tandv.cli.logfile import LinesHandler, log_path, logged


@pytest.fixture
def written(tmp_path):
    """Return a function that logs lines through a handler, and the file."""
    path = tmp_path / "a.log"
    open_handlers = []

    def write(*texts, lines=3, kept=2):
        handler = LinesHandler(path, lines, kept)
        open_handlers.append(handler)
        for text in texts:
            handler.handle(logging.LogRecord("a", logging.INFO, "", 0, text, (), None))

    yield write, path
    for handler in open_handlers:
        handler.close()


def contents(path):
    return {found.name: found.read_text().splitlines() for found in sorted(path.parent.iterdir())}


def test_a_full_file_is_put_aside_and_the_oldest_dropped(written):
    write, path = written
    write(*"abcdefghijk")
    assert contents(path) == {"a.log": ["j", "k"], "a.log.1": ["g", "h", "i"], "a.log.2": ["d", "e", "f"]}


def test_lines_of_before_count(written):
    write, path = written
    write("a", "b")
    write("c", "d")
    assert contents(path) == {"a.log": ["d"], "a.log.1": ["a", "b", "c"]}


def test_a_record_of_several_lines_is_not_parted(written):
    write, path = written
    write("a", "b\nc\nd", "e")
    assert contents(path) == {"a.log": ["e"], "a.log.1": ["b", "c", "d"], "a.log.2": ["a"]}


def test_ten_thousand_lines_by_default():
    with logged("tandv x") as log:
        for number in range(10_000):
            log.info("%d", number)
    first = log_path().with_name("tandv.log.1").read_text().splitlines()
    assert len(first) == 10_000
    assert first[0].endswith("started: tandv x") and first[-1].endswith("INFO 9998")
    assert [line.split("INFO ")[1] for line in log_path().read_text().splitlines()] == ["9999", "ended: tandv x"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (typer.Exit(2), "ended with exit code 2: tandv x"),
        (KeyboardInterrupt(), "stopped by Ctrl-C: tandv x"),
        (RuntimeError("lost"), "RuntimeError: lost"),
    ],
)
def test_whatever_stops_a_command_is_logged(error, said):
    with pytest.raises(type(error)), logged("tandv x"):
        raise error
    assert log_path().read_text().splitlines()[-1].endswith(said)


def test_it_leaves_logging_as_it_was():
    logger = logging.getLogger("tandv")
    before = logger.level, logger.propagate, list(logger.handlers)
    with logged("tandv x"):
        pass
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


def test_without_a_place_to_write_the_command_goes_on(state, capsys):
    state.write_text("a file where the folder should be")
    with logged("tandv x") as log:
        log.info("a")
        log.info("b")
    assert capsys.readouterr().err.count("no log is kept") == 1


def test_when_writing_fails_later_it_is_said_once(state, capsys):
    log_path().mkdir(parents=True)  # a folder where the log should be
    with logged("tandv x") as log:
        log.info("a")
    assert capsys.readouterr().err.count("no log is kept") == 1


def test_a_full_disk_ends_no_command(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    closed = LinesHandler.close

    def close(handler):
        closed(handler)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LinesHandler, "close", close)
    with logged("tandv check run") as logger:
        pass
    assert not any(isinstance(one, LinesHandler) for one in logger.handlers)
