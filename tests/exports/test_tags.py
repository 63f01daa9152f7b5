"""Under which names trackers show their numbers where several share one place."""

from tandv.exports.tags import Tags


class Writer:
    pass


def test_a_name_is_part_of_all_names():
    writer = Writer()
    assert [Tags(writer, name, "Linear").at(0) for name in ("G", "D")] == ["tandv-G", "tandv-D"]


def test_without_names_the_second_has_its_models_and_the_third_a_number():
    writer = Writer()
    tags = [Tags(writer, None, "Linear") for _ in range(3)]
    assert [one.at(0) for one in tags] == ["tandv", "tandv-Linear", "tandv-Linear-2"]
    assert [one.at(1) for one in tags] == ["tandv", "tandv-Linear", "tandv-Linear-2"]  # and keep them


def test_the_same_name_twice_is_told_apart():
    writer = Writer()
    assert [Tags(writer, "G", "Linear").at(0) for _ in range(2)] == ["tandv-G", "tandv-G-2"]


def test_what_goes_on_where_another_has_ended_has_its_names():
    writer = Writer()
    first = Tags(writer, None, "Linear")
    for step in range(3):
        first.at(step)
    first.close()
    assert Tags(writer, None, "Linear").at(3) == "tandv"
    assert Tags(writer, None, "Linear").at(3) == "tandv-Linear"  # it is still going on


def test_what_shows_the_same_steps_again_has_names_of_its_own():
    writer = Writer()
    first = Tags(writer, None, "Linear")
    first.at(5)
    first.close()
    assert Tags(writer, None, "Linear").at(0) == "tandv-Linear"


def test_other_places_do_not_count():
    assert [Tags(Writer(), None, "Linear").at(0) for _ in range(2)] == ["tandv", "tandv"]
