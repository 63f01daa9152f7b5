from tandv.integrations.pictures import pictures_of
from tandv.log import logframe
from tandv.log.logframe import example_log


def test_there_is_an_overview_and_a_picture_of_each_tensor_type():
    log = example_log(layers=2, steps=4, tensor_types=["Weight", "Gradient"])
    found = pictures_of(log)
    assert list(found) == ["overview", "Weight", "Gradient"]
    assert len(found["Gradient"].axes) == 1 and len(found["overview"].axes) > 3
    assert [tick.get_text() for tick in found["Gradient"].axes[0].get_yticklabels()] == logframe.layers(log)
