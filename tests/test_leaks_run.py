import pytest

from toolkit.leaks_run import Proof

NOTHING = {"groups": False, "gap_days": None, "blocks_degrees": None}


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({}, "no row."),
        ({"groups": True, "gap_days": 5.0}, "no row, no group, no time within 5.0 days."),
        ({"blocks_degrees": 10.0}, "no row, no block of 10.0 degrees."),
    ],
)
def test_a_proof_says_what_was_proved(stated: dict, said: str) -> None:
    """Without a leak the sentence names what the run had stated, and no more."""
    assert Proof({"train": 3, "test": 1}, NOTHING | stated, ()).in_words == f"Nothing leaks: two parts share {said}"


def test_a_proof_tells_every_leak() -> None:
    """What leaks is told a line each, and nothing is said to be proved."""
    assert Proof({}, NOTHING, ("train and test share 2 rows.", "They share a day.")).in_words == (
        "train and test share 2 rows.\nThey share a day."
    )
