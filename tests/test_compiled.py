"""What tests keep of what compilers made."""

import fcntl
import types

import pytest

from tests.compiled import _locked, _one_at_a_time


def is_locked(path):
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_function_is_compiled_while_no_other_process_does_so(tmp_path):
    index = tmp_path / "folder" / "function.nbi"  # numba has not made the folder yet
    function = types.SimpleNamespace(
        _cache=types.SimpleNamespace(_cache_file=types.SimpleNamespace(_index_path=str(index)))
    )
    seen = []

    def compiled(self, depth):
        seen.append((depth, is_locked(f"{index}.lock")))
        if depth:
            alone(self, depth - 1)  # waiting for itself would never end
        return f"program {depth}"

    alone = _one_at_a_time(compiled)
    assert alone(function, 1) == "program 1"
    assert seen == [(1, True), (0, True)]
    assert not is_locked(f"{index}.lock")


def test_a_function_whose_programs_are_not_kept_waits_for_nobody():
    alone = _one_at_a_time(lambda self: "program")
    assert alone(types.SimpleNamespace(_cache=object())) == "program"


def test_the_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), _locked(str(tmp_path / "function.nbi")):
        assert is_locked(tmp_path / "function.nbi.lock")
        _ = 1 / 0
    assert not is_locked(tmp_path / "function.nbi.lock")
