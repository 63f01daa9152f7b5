"""What began when: the first NaN, the first infinity, and from where on a tensor is zero."""

import numpy as np
import pytest
from stored import rows_of, stored

from tandv.log import logframe
from tandv.log.files import write_pickle
from tandv.log.live import LiveLog
from tandv.log.logframe import frame, select
from tandv.log.shown import First
from tandv.log.store.writing import Store

SIZE = 8


def log_of(tensors, last=12):
    """A log of (tensor type, layer): {count: [number of values at each step]}; None is not logged."""
    rows = []
    for (kind, name), counts in tensors.items():
        for step in range(last):
            given = {what: of[step] for what, of in counts.items()}
            if None not in given.values():
                rows.append((kind, name, step, {"nans": 0, "infs": 0, "zeros": 0} | given))
    rows.sort(key=lambda row: row[2])
    kinds, names, steps, found = zip(*rows, strict=True)
    text = {"name": names, "type": ["Linear"] * len(rows), "tensor_type": kinds, "dtype": ["float32"] * len(rows)}
    scalars = {what: np.array([one[what] for one in found], np.int64) for what in ("nans", "infs", "zeros")}
    scalars |= {"numel": np.full(len(rows), SIZE), "std": np.ones(len(rows), np.float32)}
    finite = SIZE - sum(scalars[what] for what in ("nans", "infs", "zeros"))
    return frame({**text, "step": steps}, scalars, np.stack([scalars["zeros"], finite, scalars["infs"]], axis=1), [0])


def at(steps, number, last=12):
    return [number if step in steps else 0 for step in range(last)]


def written(df, place, form):
    if form == "table":
        write_pickle(df, place)
    else:
        stored(df, place, steps=2, close=form == "finished")
    return LiveLog(place)


FORMS = pytest.mark.parametrize("form", ["finished", "killed", "table"])
SOUND = {"nans": [0] * 12}


@FORMS
def test_the_first_step_of_each_tensor_with_the_count_there(form, tmp_path):
    df = log_of(
        {
            ("Activation", "net"): SOUND,
            ("Activation", "net.fc"): {"nans": at({7, 9}, 3), "infs": at({5, 7}, 2)},
            ("Gradient", "net"): {"nans": at(range(7, 12), 8)},
            ("Gradient", "net.fc"): {"nans": at(range(7, 12), 4)},
            ("Weight", "net.fc"): {"infs": at({11}, 1)},
        }
    )
    assert written(df, tmp_path / "run", form).firsts() == [
        First("inf", "Activation", "net.fc", 5, 2, SIZE),
        First("nan", "Activation", "net.fc", 7, 3, SIZE),
        First("nan", "Gradient", "net", 7, 8, SIZE),  # gradients come from behind
        First("nan", "Gradient", "net.fc", 7, 4, SIZE),
        First("inf", "Weight", "net.fc", 11, 1, SIZE),
    ]


@FORMS
def test_infinity_comes_before_nan_at_one_step(form, tmp_path):
    df = log_of({("Activation", "fc"): {"nans": at({3}, 1), "infs": at({3}, 1)}})
    assert [one.kind for one in written(df, tmp_path / "run", form).firsts()] == ["inf", "nan"]


DEAD = {
    "from step 4 on": ({"zeros": at(range(4, 12), 8)}, 4),
    "from the first step on": ({"zeros": [8] * 12}, 0),
    "five steps": ({"zeros": at(range(7, 12), 8)}, 7),
    "four steps": ({"zeros": at(range(8, 12), 8)}, None),
    "alive again": ({"zeros": at(range(2, 11), 8)}, None),
    "almost all": ({"zeros": at(range(2, 12), 7)}, None),
    "not logged to the end": ({"zeros": [0, 0, *[8] * 6, None, None, None, None]}, 2),
    "logged seldom": ({"zeros": [8 if step % 2 == 0 else None for step in range(12)]}, 0),
    "logged too seldom": ({"zeros": [8 if step % 4 == 0 else None for step in range(12)]}, None),
}


@FORMS
@pytest.mark.parametrize("name", DEAD)
def test_dead_is_zero_from_some_step_to_the_last_one(name, form, tmp_path):
    counts, step = DEAD[name]
    df = log_of({("Activation", "fc"): counts, ("Activation", "sound"): SOUND})
    found = written(df, tmp_path / "run", form).firsts()
    assert found == ([] if step is None else [First("dead", "Activation", "fc", step, SIZE, SIZE)])


@FORMS
def test_what_is_zero_because_it_began_so_is_not_dead(form, tmp_path):
    never = {"zeros": [8] * 12}
    kinds = ("Weight", "Optimiser_State.exp_avg", "Weight_Gradient", "Weight_Update", "Gradient")
    df = log_of({(kind, "fc"): never for kind in kinds} | {("Weight", "late"): {"zeros": at(range(3, 12), 8)}})
    found = written(df, tmp_path / "run", form).firsts()
    dead = {(one.tt, one.layer, one.step) for one in found}
    assert dead == {
        ("Weight", "late", 3),
        ("Weight_Gradient", "fc", 0),
        ("Weight_Update", "fc", 0),
        ("Gradient", "fc", 0),
    }


def test_it_is_found_as_the_log_grows(tmp_path):
    df = log_of({("Activation", "fc"): {"zeros": at(range(2, 10), 8), "nans": at({11}, 1)}, ("Weight", "fc"): SOUND})
    store = Store(tmp_path, batch=6, block=12)
    log, seen = LiveLog(_begun(tmp_path)), []
    for step in range(12):
        store.add(rows_of(select(df, step=step)))
        while store.join():
            pass
        log.refresh()
        seen.append([(one.kind, one.step) for one in log.firsts()])
    assert seen == [[]] * 6 + [[("dead", 2)]] * 4 + [[], [("nan", 11)]]


def _begun(run):
    (run / "run.json").write_text('{"status": "running"}')
    return run


@FORMS
def test_a_log_without_counts_has_no_firsts(form, tmp_path):
    df = log_of({("Activation", "fc"): {"nans": [1] * 12}})
    df = df.drop(columns=[("scalar_stats", name) for name in ("nans", "infs", "zeros")])
    assert written(df, tmp_path / "run", form).firsts() == []
    counted = df.copy()
    counted["scalar_stats", "nans"] = 1
    counted = counted.drop(columns=[("scalar_stats", "numel")])
    assert logframe.scalar_metrics(counted) == ["std", "nans"]
    found = written(counted[[*df.columns[:5], *counted.columns[5:]]], tmp_path / "other", "table").firsts()
    assert found == [First("nan", "Activation", "fc", 0, 1, 0)]  # of how many is not known
