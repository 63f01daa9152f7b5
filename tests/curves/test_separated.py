"""Curves in text that other programs wrote: their separators, decimals and encodings."""

import pytest

from tandv.curves import read_curves

PLAIN = "step,loss\n0,1.5\n10,1.25\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";").replace(".", ","),
        "\ufeff" + PLAIN.replace(",", ";").replace(".", ",").replace("\n", "\r\n"),
        "sep=;\n" + PLAIN.replace(",", ";"),
        "step,loss\n0,1.5,\n10,1.25,\n",  # a separator at the end of each row
    ],
)
def test_curves_of_a_spreadsheet_are_read_as_what_they_were(text, tmp_path):
    (tmp_path / "run.csv").write_text(text, encoding="utf-8", newline="")
    assert read_curves(tmp_path / "run.csv")["loss"].to_dict() == {0: 1.5, 10: 1.25}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"loss\n1,5\n2,5\n", "its rows have more values than its first line has names"),
        (b"step;loss\n0;1,500\n1;2,500\n", "commas may stand before decimals or between thousands, as in '1,500'"),
        (b"step;loss\n0;1,5\n1;2.5\n", "'loss' holds something that is not a number"),
        ("step,loss\n0,1.5\n".encode("utf-16"), "it is no text in UTF-8"),
    ],
)
def test_what_may_mean_several_numbers_is_refused(data, words, tmp_path):
    (tmp_path / "run.csv").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_curves(tmp_path / "run.csv")


def test_three_digits_after_a_zero_are_decimals(tmp_path):
    (tmp_path / "run.csv").write_text("step;loss\n0;1,386\n1;0,693\n")
    assert read_curves(tmp_path / "run.csv")["loss"].tolist() == [1.386, 0.693]
