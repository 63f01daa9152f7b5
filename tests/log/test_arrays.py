import numpy as np
import pytest

from tandv.log.arrays import write_arrays


def test_arrays_come_back_under_any_name_and_nothing_else_does(tmp_path):
    arrays = {"file": np.arange(3, dtype=np.int8), "allow_pickle": np.eye(2), "0/fc.weight": np.array(["a", "bc"])}
    write_arrays(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert found.files == list(arrays)
        assert all(found[name].dtype == array.dtype and (found[name] == array).all() for name, array in arrays.items())


def test_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_arrays(tmp_path / "a.npz", {"a": np.array([{}], object)})
