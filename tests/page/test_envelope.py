"""Answers as bytes: what is packed comes back, at places that a browser can read from."""

import json

import numpy as np
import pytest

from tandv.page.envelope import DTYPES, pack, plain, unpack


def test_every_array_comes_back():
    arrays = [np.array([[1, 2, 3]], dtype) for dtype in DTYPES]
    [(head, back), (other, none)] = unpack(pack([({"name": "a"}, arrays), ({"n": 1}, [])]))
    assert head == {"name": "a"} and other == {"n": 1} and none == []
    for array, dtype in zip(back, DTYPES, strict=True):
        assert array.dtype == dtype and array.tolist() == [[1, 2, 3]]


def test_arrays_lie_at_multiples_of_eight_after_a_padded_header():
    data = pack([({"name": "é"}, [np.zeros(3, np.uint8), np.ones(1)])])
    length = int.from_bytes(data[:8], "little")
    places = json.loads(data[8 : 8 + length])[0]["arrays"]
    assert length % 8 == 0
    assert places == [
        {"dtype": "uint8", "shape": [3], "at": 0},
        {"dtype": "float64", "shape": [1], "at": 8},
    ]
    assert len(data) == 8 + length + 16
    assert data[8 + length + 8 :] == np.ones(1).tobytes()


def test_a_view_of_an_array_is_packed_as_its_values():
    [(_, [back])] = unpack(pack([({}, [np.arange(12.0).reshape(3, 4)[:, ::2].T])]))
    assert back.tolist() == [[0, 4, 8], [2, 6, 10]]


def test_big_endian_arrays_are_sent_as_little_endian_ones():
    [(_, [back])] = unpack(pack([({}, [np.array([1.5], ">f8")])]))
    assert back.tolist() == [1.5]


def test_json_has_no_number_that_is_not_finite():
    head = {"nan": float("nan"), "inf": np.float32("inf"), "low": [-np.inf], "one": np.int64(1), "yes": np.bool_(True)}
    text = pack([(head, [])])[8:]
    assert b"NaN" not in text and b"Infinity" not in text
    [(back, _)] = unpack(pack([(head, [])]))
    assert back == {"nan": "nan", "inf": "inf", "low": ["-inf"], "one": 1, "yes": True}


def test_arrays_in_a_head_are_lists():
    assert plain({"a": np.array([1, 2]), "b": None, 3: (np.nan,)}) == {"a": [1, 2], "b": None, "3": ["nan"]}


def test_half_a_character_does_not_break_an_envelope():
    [(head, _)] = unpack(pack([({"layer": "a\ud800b"}, [])]))
    assert head == {"layer": "a\ufffdb"}


def test_an_array_of_another_dtype_is_refused():
    with pytest.raises(ValueError, match=r"an array of int64 cannot be sent; allowed are float32, .*int32"):
        pack([({}, [np.zeros(1, np.int64)])])
