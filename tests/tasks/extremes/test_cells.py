import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from tasks.extremes.cells import (
    CELL,
    DISPLACEMENT,
    EventHead,
    carried,
    columns,
    decode,
    loss,
    shares,
    stated,
    truth,
)
from tasks.extremes.task import extremes
from toolkit.backbones.features import FeatureSpec
from toolkit.data.label_kinds import KINDS
from toolkit.examples import Examples, unseen_maps
from toolkit.heads.features import Features, Given

LEADS = (1, 2)
SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 2.8125, 4, 8)


def features(known: Tensor, readouts: dict[str, Tensor] | None = None) -> Features:
    """Random features of windows of 16 by 16 pixels, with these known maps."""
    b = len(known)
    return Features(torch.randn(b, 16, 8), (4, 4), torch.randn(b, 5, 16, 16), readouts or {}, torch.zeros(b, 0), known)


def test_a_share_is_the_mean_of_the_cells_pixels(examples: Examples) -> None:
    """Cell by cell, lead by lead and kind by kind, the share is the mean of the label map's four pixels."""
    share = shares(examples, LEADS)
    maps = examples.maps((24, 48))
    assert share.shape == (len(examples), 2 * len(KINDS), 16, 16)
    for lead, kind, row, column in ((0, 0, 3, 5), (1, 2, 15, 0), (0, 1, 7, 7)):
        cell = maps[:, lead, kind, CELL * row : CELL * (row + 1), CELL * column : CELL * (column + 1)]
        np.testing.assert_allclose(share[:, lead * len(KINDS) + kind, row, column], cell.mean((1, 2)))


def test_later_maps_lie_where_the_events_have_drifted(examples: Examples) -> None:
    """The map one day later is that of today moved by four pixels, as the boxes of the fixture drift."""
    now, later = examples.maps((0, 24))[:, :, 0].swapaxes(0, 1)
    np.testing.assert_array_equal(later[:, :, 4:], now[:, :, :-4])


def test_a_kind_without_examples_is_named(examples: Examples) -> None:
    """The kind that nobody labelled is named, and so is one whose events are in other windows; no other is."""
    assert unseen_maps(extremes(lead=LEADS), examples) == [KINDS[-1]]
    empty = np.flatnonzero(examples.maps((24, 48))[:, :, 0].max((1, 2, 3)) == 0)
    assert KINDS[0] in unseen_maps(extremes(lead=LEADS), examples.subset(empty))


def test_the_truth_is_a_perfect_prediction(examples: Examples) -> None:
    """The probability 1 where an event is and 0 elsewhere scores every metric's perfect value that is defined."""
    from toolkit.metrics import evaluate_metrics

    task = extremes(lead=LEADS)
    true = truth(examples, LEADS)
    perfect = stated(np.nan_to_num(shares(examples, LEADS)) >= 0.5, examples, LEADS)
    kept = task.keep(perfect, task.choose(perfect, true, examples.table))
    for name, value in evaluate_metrics(task.metrics, kept, true, examples.table).values().items():
        metric = next(metric for metric in task.metrics if metric.name == name)
        assert np.isnan(value) == (KINDS[-1] in name)
        assert np.isnan(value) or value == pytest.approx(metric.perfect)


def test_a_row_of_the_table_is_a_cell_at_its_place(examples: Examples) -> None:
    """Probability and place of every row are those of its cell, also where a window is mirrored."""
    probability = np.random.default_rng(0).random((len(examples), 8, 16, 16))
    table = stated(probability, examples, LEADS)
    assert examples.mirrored(np.arange(len(examples))).any()
    for row in table.sample(20, random_state=0).itertuples():
        y, x = divmod(row.cell, 16)
        assert row.heat_24h == pytest.approx(probability[row.example, KINDS.index("heat"), y, x], rel=1e-5)
        place = examples.degrees([row.example], [CELL * y + 0.5], [CELL * x + 0.5])
        assert (row.latitude, row.longitude) == pytest.approx((place[0][0], place[1][0]))


def test_decoding_turns_logits_into_probabilities(examples: Examples) -> None:
    """A logit of 0 is a half, whatever the cell."""
    table = decode(np.zeros((len(examples), 8, 16, 16), np.float32), examples, LEADS)
    assert (table[columns(LEADS)] == 0.5).to_numpy().all()


def test_what_is_not_known_costs_nothing() -> None:
    """The loss of a kind is the weighted mean over its known cells alone, and pulls at no other."""
    share = torch.rand(3, 8, 4, 4).round()
    share[:, 3] = torch.nan
    share[:, 7] = torch.nan
    logits = torch.randn(3, 8, 4, 4, requires_grad=True)
    parts = loss(logits, {"share": share})
    assert parts["heat"] == 0
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, [0, 4]], share[:, [0, 4]])
    torch.testing.assert_close(parts["tropical_cyclone"], 4 * expected)
    sum(parts.values()).backward()
    assert (logits.grad[:, [3, 7]] == 0).all()
    assert (logits.grad[:, 0] != 0).all()


def test_maps_are_carried_by_the_displacement() -> None:
    """A displacement of whole pixels moves a map by so many, what comes from beyond the edge being what lies there."""
    maps = torch.randn(2, 3, 8, 8)
    right, down = torch.full((2, 8, 8), 2.0), torch.full((2, 8, 8), -1.0)
    moved = carried(maps, right, down)
    torch.testing.assert_close(moved[:, :, :-1, 2:], maps[:, :, 1:, :-2])
    torch.testing.assert_close(carried(maps, 0 * right, 0 * down), maps)


def test_an_untrained_head_states_the_same_everywhere() -> None:
    """Before training every cell has the same low probability."""
    out = EventHead(Given(SPEC, {}, known=4), LEADS)(features(torch.zeros(2, 4, 16, 16)))
    assert out.shape == (2, 8, 8, 8)
    assert out.min() == out.max() == -3.0


@pytest.mark.parametrize("readouts", [{}, {DISPLACEMENT: 2}])
def test_the_head_looks_at_known_events_and_can_do_without(readouts: dict[str, int]) -> None:
    """What is known changes the output; windows without it give what gaps give; in training some are kept from it."""
    torch.manual_seed(0)
    head = EventHead(Given(SPEC, readouts, known=4), LEADS)
    torch.nn.init.normal_(head.pixels.out.weight)
    known = torch.rand(64, 4, 16, 16).round()
    field = {name: torch.zeros(64, channels, 16, 16) for name, channels in readouts.items()}
    given, none = features(known, field), features(torch.full_like(known, torch.nan), field)
    none = Features(given.tokens, given.grid, given.planes, field, given.columns, none.known)
    with torch.no_grad():
        told, untold = head.eval()(given), head(none)
        trained = head.train()(given)
    assert not torch.allclose(told, untold)
    like_untold = [torch.allclose(row, without, atol=1e-4) for row, without in zip(trained, untold, strict=True)]
    like_told = [torch.allclose(row, seen, atol=1e-4) for row, seen in zip(trained, told, strict=True)]
    assert 5 < sum(like_untold) < 30
    assert sum(like_untold) + sum(like_told) == 64


def test_the_columns_name_kind_and_lead() -> None:
    """The time itself has the kind's own name, later ones the hours."""
    assert columns((0, 3))[:5] == [*KINDS, f"{KINDS[0]}_72h"]
    assert pd.Index(columns((1, 2))).is_unique
