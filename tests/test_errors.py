from toolkit.errors import unknown


def test_an_unknown_name_gets_the_near_miss_or_the_list() -> None:
    """A near miss is offered; where there is none, all known names are listed in order; where there are none, that."""
    assert str(unknown("task", "huricane", ["ozone", "hurricane"])) == "No task 'huricane'. Did you mean 'hurricane'?"
    assert str(unknown("task", "xyz", iter(["ozone", "events"]))) == "No task 'xyz'. Known: events, ozone."
    assert str(unknown("task", "xyz", [])) == "No task 'xyz'. Known: none."
