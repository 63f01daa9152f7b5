"""What run.json says of a run."""

import pytest

from tandv.log.example import example_log
from tandv.log.facts import run_facts
from tandv.log.files import write_parquet
from tandv.log.opened import opened


def test_the_run_is_found_by_its_folder_its_log_and_a_log_read_from_it(tmp_path):
    write_parquet(example_log(layers=2, steps=2), tmp_path / "log.parquet")
    (tmp_path / "run.json").write_text('{"framework": "torch 2"}')
    log = opened(tmp_path)
    for one in (tmp_path, str(tmp_path), tmp_path / "log.parquet", log, log.frame()):
        assert run_facts(one) == {"framework": "torch 2"}


@pytest.mark.parametrize("text", ["{", "[1]", None])
def test_without_a_run_or_with_a_damaged_file_nothing_is_known(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    assert run_facts(tmp_path) == {}
    assert run_facts(example_log(layers=2, steps=2)) == {}
