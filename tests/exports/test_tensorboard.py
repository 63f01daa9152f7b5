"""TensorBoard: what was written is read back from the event files."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from tandv.exports import to_tensorboard
from tandv.exports.summaries import of_log
from tandv.log import logframe
from tandv.log.files import read_pickle
from tandv.log.run import read_run
from tandv.track.torch import track

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard itself


@pytest.fixture
def written(tmp_path):
    """Return a SummaryWriter and a function that reads back what it wrote."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path / "events"))

    def read():
        writer.close()
        events = EventAccumulator(str(tmp_path / "events"), size_guidance={"histograms": 0, "scalars": 0})
        return events.Reload()

    return writer, read


def assert_shows(events, log):
    expected = dict(of_log(log))
    tags = events.Tags()
    numbers = {name for found in expected.values() for name in found.numbers}
    assert {tag for tag in tags["scalars"] if tag.startswith("tandv/")} == {f"tandv/{name}" for name in numbers}
    for name in numbers:
        shown = {event.step: event.value for event in events.Scalars(f"tandv/{name}")}
        wanted = {step: np.float32(found.numbers[name]) for step, found in expected.items() if name in found.numbers}
        assert shown == wanted
    for name in {name for found in expected.values() for name in found.histograms}:
        shown = {event.step: event.histogram_value for event in events.Histograms(f"tandv/{name}")}
        assert list(shown) == [step for step, found in expected.items() if name in found.histograms]
        for step, value in shown.items():
            histogram = expected[step].histograms[name]
            assert value.bucket == histogram.counts.tolist()
            assert [value.min, *value.bucket_limit] == histogram.edges.tolist()
            assert value.max == histogram.edges[-1]
            assert value.num == histogram.counts.sum()


def test_every_recorded_step_is_shown_beside_the_users_own(train, written):
    writer, read = written
    tracker = train(after=lambda step: writer.add_scalar("loss", step, step), tensorboard=writer, every=2)
    events = read()
    assert_shows(events, read_run(tracker.path))
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(step, step) for step in range(6)]


def test_a_finished_log_is_shown_alike(train, written):
    writer, read = written
    tracker = train()
    to_tensorboard(tracker.path, writer)
    assert_shows(read(), read_run(tracker.path))


def test_a_frame_is_shown(written):
    writer, read = written
    log = logframe.example_log(layers=2, steps=5)
    to_tensorboard(log, writer)
    assert_shows(read(), log)


def texts(events, tag):
    """Return the texts of a tag by step."""
    return {event.step: event.tensor_proto.string_val[0].decode() for event in events.Tensors(f"{tag}/text_summary")}


def test_what_is_wrong_is_a_text_at_the_step_since_when_it_is(written):
    writer, read = written
    to_tensorboard(logframe.example_log(layers=3, steps=40, tensor_types=["Gradient"]), writer)  # NaN in the last step
    (step,), (text,) = zip(*texts(read(), "tandv/findings").items(), strict=True)
    assert step == 39 and text.startswith("**error · not_finite · Gradient · head · step 39**")
    assert "The gradient of the output of 'head' (Linear, float16) has 4,096 NaN" in text


def test_a_run_that_ends_says_what_is_wrong_under_its_name(written):
    writer, read = written
    model = torch.nn.Linear(1, 1, bias=False)
    with track(model, tensorboard=writer, name="mine") as tracker:
        for step in range(3):
            if step == 1:
                torch.nn.init.constant_(model.weight, torch.nan)
            model(torch.ones(1, 1))
            tracker.step()
    found = texts(read(), "tandv-mine/findings")
    assert list(found) == [1] and "not_finite" in found[1]


def test_a_run_in_which_nothing_is_wrong_says_so(train, written):
    writer, read = written
    train(steps=3, tensorboard=writer)
    assert texts(read(), "tandv/findings")[2].startswith("The rules find nothing wrong in its log")


def test_tensorboard_draws_each_power_of_two_as_one_bucket(written):
    from tensorboard import data_compat
    from tensorboard.compat.proto import summary_pb2

    writer, read = written
    log = logframe.example_log(layers=2, steps=1)
    to_tensorboard(log, writer)
    (event,) = read().Histograms("tandv/Weight/exponents")
    protocol: Any = summary_pb2
    value = protocol.Summary.Value(tag="x", histo=dataclasses.asdict(event.histogram_value))
    buckets = np.frombuffer(data_compat.migrate_value(value).tensor.tensor_content, np.float32).reshape(-1, 3)
    histogram = next(of_log(log))[1].histograms["Weight/exponents"]
    assert buckets[:, 0].tolist() == histogram.edges[:-1].tolist()
    assert buckets[:, 1].tolist() == histogram.edges[1:].tolist()
    assert buckets[:, 2].tolist() == histogram.counts.tolist()


def test_what_is_no_writer_is_refused(train):
    with pytest.raises(ValueError, match=r"tensorboard=str must be a SummaryWriter, such as torch\.utils\.tensorboard"):
        train(tensorboard="runs")
    with pytest.raises(TypeError, match="tensorboard=int must be a SummaryWriter"):
        to_tensorboard(logframe.example_log(), 3)


def test_a_writer_that_fails_is_left_alone_and_the_log_goes_on(train, written, monkeypatch):
    writer, _ = written

    def broken(*_, **__):
        raise RuntimeError("planted")

    monkeypatch.setattr(writer, "add_scalar", broken)
    with pytest.warns(UserWarning) as said:
        tracker = train(tensorboard=writer)
    (warning,) = said
    assert "TensorBoard gets no more: RuntimeError: planted. The log itself goes on" in str(warning.message)
    assert logframe.steps(read_pickle(tracker.out_path)) == list(range(6))


def test_two_trackers_in_one_writer_have_tags_of_their_own(train, written):
    writer, read = written
    logs = {name: read_run(train(steps=3, tensorboard=writer, name=name).path) for name in ("G", "D")}
    events = read()
    assert {tag.split("/")[0] for tag in events.Tags()["scalars"]} == {"tandv-G", "tandv-D"}
    for name, log in logs.items():
        wanted = [np.float32(summary.numbers["Weight/rm2/max"]) for _, summary in of_log(log)]
        shown = events.Scalars(f"tandv-{name}/Weight/rm2/max")
        assert [(event.step, event.value) for event in shown] == list(enumerate(wanted))


def test_a_second_tracker_without_a_name_is_told_apart_too(train, written):
    writer, read = written
    train(steps=2, tensorboard=writer)
    train(steps=2, tensorboard=writer)
    events = read()
    for tag in ("tandv/Weight/rm2/max", "tandv-Sequential/Weight/rm2/max"):
        assert [event.step for event in events.Scalars(tag)] == [0, 1]


def test_phases_have_tags_of_their_own(written):
    writer, read = written
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    with track(model, tensorboard=writer) as tracker:
        with tracker.phase("rollout"):
            model(torch.full((1, 1), 8.0))
        model(torch.full((1, 1), 2.0))
        tracker.step()
    events = read()
    for tag, value in (("tandv/rollout/Activation", 8.0), ("tandv/Activation", 2.0)):
        assert [event.value for event in events.Scalars(f"{tag}/max_abs/max")] == [value]
    assert_shows(events, read_run(tracker.path))


def test_the_losses_of_a_finished_run_are_shown_and_while_it_goes_on_they_are_the_users(written):
    writer, read = written
    with track(torch.nn.Linear(2, 1), path="run", tensorboard=writer) as tracker:
        for step in range(3):
            tracker.step(loss=float(step))
    assert not [tag for tag in read().Tags()["scalars"] if "loss" in tag]
    to_tensorboard("run", writer)
    assert [(event.step, event.value) for event in read().Scalars("tandv/loss")] == [(0, 0.0), (1, 1.0), (2, 2.0)]
