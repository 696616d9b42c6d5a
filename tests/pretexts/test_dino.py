import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from toolkit.backbones.features import FeatureSpec
from toolkit.data.store import Store
from toolkit.data.windows import window_at
from toolkit.errors import UserError
from toolkit.pretexts.contract import Place, Views, patches
from toolkit.pretexts.dino import Head, crop_size, crops, dino, dino_measures, variation
from toolkit.pretexts.draw import Recipe, draw, normalisation_for, unlabelled
from toolkit.pretrain import Pretraining

SPEC = FeatureSpec(("vorticity", "divergence"), ("s-1", "s-1"), (-6, 0), 2.8125, patch=4, dim=5)
K, LOCAL, WIDE, NARROW = 12, 3, 12, 8
PRETEXT = dino(prototypes=K, local_crops=LOCAL)


def random(*shape: int, seed: int = 0) -> Tensor:
    """Random normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def views(b: int = 4, seed: int = 0) -> Views:
    """Windows of 16 by 16 pixels, of which the student misses some, and the corners of their crops."""
    clean = random(b, SPEC.planes, 16, 16, seed=seed)
    seen = clean.clone()
    seen[:, :-1][random(b, SPEC.planes - 1, 16, 16, seed=seed + 1) > 1] = torch.nan
    generator = torch.Generator().manual_seed(seed)
    places = {"global": torch.randint(0, 5, (b, 2, 2), generator=generator)}
    places["local"] = torch.randint(0, 9, (b, LOCAL, 2), generator=generator)
    return Views(clean, seen, torch.zeros(b, 16, 4, dtype=torch.bool), {"dino": places})


def head(warm_up: int = 1000) -> Head:
    """The module with weights of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Head(SPEC, K, (0.75, 0.4), warm_up)


class Encodes:
    """An encoder whose tokens are the means of the patches; it keeps what it and its teacher were asked."""

    def __init__(self, module: Head, says: Callable[[Tensor], Tensor] | None = None) -> None:
        self.module, self.says = module, says
        self.asked: list[Tensor] = []
        self.taught: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Return the tokens."""
        self.asked.append(x)
        return patches(x.nan_to_num(), 4).mean(-1)

    def teacher(self, name: str, x: Tensor) -> Tensor:
        """Return what the teacher says, the module itself where nothing else is to be said."""
        assert name == "dino"
        self.taught.append(x)
        with torch.no_grad():
            return self.says(x) if self.says else self.module(patches(x, 4).mean(-1))


def loss(module: Head, given: Views, says: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """The loss of one batch."""
    return PRETEXT.loss(module, Encodes(module, says), given)


def test_crops_have_the_size_of_whole_patches_and_the_pixels_of_their_places() -> None:
    """A crop is a share of the window, at least one patch, and holds the window's own pixels, crop by crop."""
    assert crop_size((16, 32), 4, 0.75) == (12, 24)
    assert crop_size((16, 32), 4, 0.01) == (4, 4)
    x, corners = random(3, 2, 16, 16), torch.tensor([[[0, 4], [3, 1]], [[4, 4], [0, 0]], [[1, 2], [2, 2]]])
    cut = crops(x, corners, (12, 8))
    assert cut.shape == (6, 2, 12, 8)
    for n in range(2):
        for b in range(3):
            row, column = corners[b, n].tolist()
            assert torch.equal(cut[n * 3 + b], x[b, :, row : row + 12, column : column + 8])


def place_of(store: Store, size: tuple[int, int], n: int) -> Place:
    """Windows of the store somewhere."""
    windows = window_at(store, store.time[[5] * n], np.zeros(n), np.linspace(0, 300, n), size, SPEC.frames)
    return Place(store, windows, np.full(n, 5), SPEC, normalisation_for(SPEC.variables, store))


def test_places_are_drawn_all_over_the_window(smooth_store: Store) -> None:
    """Corners lie wherever the crop fits, up to the edges, and depend on the generator alone."""
    place = place_of(smooth_store, (16, 24), 200)
    places, again = (PRETEXT.draw(place, np.random.default_rng(3)) for _ in range(2))
    assert places.keys() == {"global", "local"}
    assert all(torch.equal(places[name], again[name]) for name in places)
    assert places["global"].shape == (200, 2, 2)
    assert places["local"].shape == (200, LOCAL, 2)
    for name, size in (("global", crop_size((16, 24), 4, 0.75)), ("local", crop_size((16, 24), 4, 0.4))):
        corners = places[name].flatten(0, 1)
        assert corners.amin(0).tolist() == [0, 0]
        assert corners.amax(0).tolist() == [16 - size[0], 24 - size[1]]
    with pytest.raises(UserError, match=r"global crops of the pretext 'dino' are as large as the window, 4 x 4"):
        PRETEXT.draw(place_of(smooth_store, (4, 4), 2), np.random.default_rng(0))


def test_the_teacher_sees_all_but_the_latitude_and_the_student_misses_patches() -> None:
    """Crops are cut from the window as it is for the teacher and in the small, as it is seen for the student."""
    given, module = views(), head()
    encode = Encodes(module)
    PRETEXT.loss(module, encode, given)
    places = given.drawn["dino"]
    taught = crops(given.clean, places["global"], (WIDE, WIDE))
    assert torch.equal(encode.taught[0][:, :-1], taught[:, :-1])
    assert not encode.taught[0][:, -1].any()
    expected = crops(given.seen, places["global"], (WIDE, WIDE)), crops(given.clean, places["local"], (NARROW, NARROW))
    for asked, cut in zip(encode.asked, expected, strict=True):
        torch.testing.assert_close(asked, cut, rtol=0, atol=0, equal_nan=True)


def test_the_loss_is_the_cross_entropy_over_pairs_of_different_crops() -> None:
    """A second implementation, pair by pair, gives the same number; a student without preference costs one."""
    given, module = views(), head()
    module.centre.copy_(0.1 * random(K))
    centre = module.centre.clone()
    teacher = 0.2 * random(2, 4, K, seed=5)
    encode = Encodes(module)
    places = given.drawn["dino"]
    wide, narrow = crops(given.seen, places["global"], (12, 12)), crops(given.clean, places["local"], (8, 8))
    student = torch.cat([module(encode(wide)), module(encode(narrow))]).reshape(2 + LOCAL, 4, K)
    costs = []
    for i in range(2):
        for j in (j for j in range(2 + LOCAL) if j != i):
            said = ((teacher[i] - centre) / 0.04).softmax(-1)
            costs.append(-(said * (student[j] / 0.1).log_softmax(-1)).sum(-1).mean() / math.log(K))
    expected = torch.stack(costs).mean().item()
    assert loss(module, given, lambda _: teacher.flatten(0, 1)).item() == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        module.prototypes.copy_(module.prototypes[:1].expand(K, -1))
    assert loss(module, given, lambda _: teacher.flatten(0, 1)).item() == pytest.approx(1, rel=1e-5)


def test_the_order_of_crops_does_not_matter() -> None:
    """Exchanging the global crops, or reordering the local ones, leaves the loss as it is."""
    given = views()
    places = given.drawn["dino"]
    turned = {"global": places["global"].flip(1), "local": places["local"][:, [2, 0, 1]]}
    expected = loss(head(), given).item()
    assert loss(head(), replace(given, drawn={"dino": turned})).item() == pytest.approx(expected, rel=1e-5)
    moved = places | {"local": places["local"].flip(2)}
    assert loss(head(), replace(given, drawn={"dino": moved})).item() != pytest.approx(expected, rel=1e-5)


def test_centre_and_moments_follow_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each moves a tenth of the way to the mean over the batch, and over all processes; measuring moves nothing."""
    given, module = views(), head()
    logits = 0.1 * random(8, K, seed=7) + 0.3
    before = {name: value.clone() for name, value in module.named_buffers()}
    module.eval()
    with torch.no_grad():
        loss(module, given, lambda _: logits)
        PRETEXT.measures(module, Encodes(module, lambda _: logits), given)
    assert all(torch.equal(value, before[name]) for name, value in module.named_buffers())
    module.train()
    loss(module, given, lambda _: logits)
    torch.testing.assert_close(module.centre, 0.1 * logits.mean(0))
    pooled = Encodes(module)(crops(given.seen, given.drawn["dino"]["global"], (12, 12))).mean(1)
    torch.testing.assert_close(module.moments[0], 0.1 * pooled.mean(0))
    torch.testing.assert_close(module.moments[1], 0.9 + 0.1 * pooled.square().mean(0))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda means: means.add_(1))
    module = head()
    loss(module, given, lambda _: logits)
    torch.testing.assert_close(module.centre, 0.1 * (logits.mean(0) + 1) / 2)


def test_variation_tells_one_answer_from_many() -> None:
    """Of one-hot answers evenly spread it is 1; of equal ones, one-hot or even, 0; with the entropy of the mean."""
    single, even = torch.eye(K), torch.full((K, K), 1 / K)
    for said, expected in ((single, (1, 1)), (single[:1].expand(K, -1), (0, 0)), (even, (1, 0))):
        entropy = torch.special.entr(said).sum(-1).mean()
        assert [v.item() for v in variation(said.mean(0), entropy)] == pytest.approx(expected, abs=1e-5)


def steps_until_collapse(says: Callable[[int], Tensor], limit: int, warm_up: int = 20, b: int = 4) -> tuple[int, str]:
    """How many steps, up to a limit, go well with a teacher that says this at each step, and what is then said."""
    module, given = head(warm_up), views(b)
    for step in range(limit):
        said = says(step)[: 2 * b]
        try:
            loss(module, given, lambda _, said=said: said)
        except UserError as error:
            return step, str(error)
    return limit, ""


def test_collapses_are_detected_after_a_warm_up() -> None:
    """A teacher that drifts to one prototype, and one that says the same of all, are named; one that tells is not."""
    first, other = torch.eye(K)[:1].expand(8, -1), random(8, K, seed=3)
    step, said = steps_until_collapse(lambda step: (0.5 * step + 5) * first, 30)
    assert 20 <= step < 30
    assert "'dino' has collapsed: its teacher takes all windows for the same prototype" in said
    assert "Lower the learning rate" in said
    step, said = steps_until_collapse(lambda step: other if step < 20 else other[:1].expand(8, -1), 250)
    assert 25 < step < 250, "what tells a collapse is smoothed"
    assert "finds all prototypes equally fit" in said
    assert steps_until_collapse(lambda _: first, 40, warm_up=40)[0] == 40
    assert steps_until_collapse(lambda _: first, 40, b=1)[0] == 40, "a single window tells nothing"
    assert steps_until_collapse(lambda _: other, 40)[0] == 40


def test_measures_of_what_the_teacher_says() -> None:
    """One-hot answers have no entropy; where they differ they vary, and the student agrees where it says the same."""
    module, given = head(), views()
    module.eval()
    same = torch.zeros(8, K).index_fill_(1, torch.tensor(3), 5.0)
    with torch.no_grad():  # the student takes the prototype numbered 3, whatever it sees
        module.layers[-1].weight.zero_()
        module.prototypes.copy_(-module.layers[-1].bias.expand(K, -1))
        module.prototypes[3].neg_()
        found = dino_measures(module, Encodes(module, lambda _: same), given)
        assert [found[name].item() for name in ("entropy", "variation", "agreement")] == pytest.approx(
            [0, 0, 1], abs=1e-4
        )
        found = dino_measures(module, Encodes(module, lambda _: 5 * torch.eye(K)[:8]), given)
    assert [found[name].item() for name in ("entropy", "variation")] == pytest.approx([0, math.log(8, K)], abs=1e-4)
    assert found["agreement"].item() == pytest.approx(1 / 8)


@pytest.fixture(scope="module")
def drawn(smooth_store: Store) -> tuple[Recipe, Callable[[int], Views]]:
    """The pretext on a tiny backbone, and the batch of each number."""
    normalisation = normalisation_for(SPEC.variables, smooth_store)
    pretext = dino(prototypes=64, local_crops=2, warm_up=10)
    recipe = Recipe(replace(SPEC, dim=16), {"depth": 1, "heads": 2}, ((pretext, 1.0),), (16, 16))
    source = unlabelled(smooth_store, recipe, lambda *_: np.empty(0))
    return recipe, lambda number: draw([source], recipe, normalisation, 8, number)


def trained(recipe: Recipe, batch: Callable[[int], Views], steps: range, state: Any = None) -> tuple[Pretraining, Any]:
    """A model, and all there is to go on from, after these steps of 60, from the state of the step before."""
    model = Pretraining(recipe, 0).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    if state:
        model.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
    for step in steps:
        optimizer.zero_grad()
        model(batch(step))["dino"].backward()
        optimizer.step()
        model.follow((step + 1) / 60)
    return model, (model.state_dict(), optimizer.state_dict())


def test_gradients_reach_the_student_alone_and_the_teacher_follows(
    drawn: tuple[Recipe, Callable[[int], Views]],
) -> None:
    """Every parameter gets a gradient and the teacher none; after a step it has gone 0.4 % of the way."""
    recipe, batch = drawn
    model = Pretraining(recipe, 0).train()
    before = {name: value.clone() for name, value in model.teachers.state_dict().items()}
    value = model(batch(0))["dino"]
    assert 0.2 < value < 3
    value.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.teachers.state_dict().items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    model.follow(0.0)
    for name, value in model.teachers.state_dict().items():
        torch.testing.assert_close(value, before[name] + 0.004)


@pytest.mark.slow
def test_healthy_training_is_not_flagged_and_resumes_exactly(drawn: tuple[Recipe, Callable[[int], Views]]) -> None:
    """Sixty steps tell windows apart; all that a step hands to the next is in the state that is saved."""
    recipe, batch = drawn
    whole, _ = trained(recipe, batch, range(60))
    found = whole.eval().measures(batch(1000))
    assert found["dino variation"] > 0.02
    assert found["dino agreement"] > 2 / 64
    _, state = trained(recipe, batch, range(30))
    resumed, _ = trained(recipe, batch, range(30, 60), state)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
