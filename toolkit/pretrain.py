"""Pretraining: windows drawn from unlabelled stores, seen by one backbone, whose tokens every pretext reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from toolkit.backbones.known import build_backbone
from toolkit.backbones.recompute import recompute_blocks
from toolkit.data.normalise import Normalisation
from toolkit.pretexts.contract import Learned, Views
from toolkit.pretexts.draw import Recipe, Unlabelled, draw
from toolkit.pretexts.teacher import Teacher
from toolkit.seeds import torch_seed
from toolkit.train import Run, Schedule, train

SCORED_BATCHES = 40


@dataclass(frozen=True)
class Phase:
    """A first phase of a run: up to the batch numbered `until` it goes over the same few `batches` again and again."""

    until: int
    batches: int


class Joint(nn.Module):
    """A backbone and the module of one pretext on its tokens."""

    def __init__(self, backbone: nn.Module, module: nn.Module) -> None:
        """Hold both."""
        super().__init__()
        self.backbone, self.module = backbone, module

    def forward(self, x: Tensor) -> Tensor:
        """Return what the module says of the tokens of windows (b, planes, h, w)."""
        return self.module(self.backbone(x))


class Pretraining(nn.Module):
    """A backbone and, on its tokens, one module per pretext, with a teacher where the pretext has one."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        """Build all parts with weights drawn from `seed`."""
        super().__init__()
        self.recipe = recipe
        self.backbone = build_backbone(recipe.spec, recipe.architecture, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(seed, 1))  # by the seed itself they would begin as copies of the backbone
            self.pretexts = nn.ModuleDict({p.name: p.module(recipe.spec) for p, _ in recipe.pretexts})
        self.teachers = nn.ModuleDict(
            {p.name: Teacher(self.joint(p.name), p.teacher) for p, _ in recipe.pretexts if p.teacher is not None}
        )

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Return every pretext's weighted loss on one batch."""
        encode = Encoding(self)
        return {p.name: weight * p.loss(self.pretexts[p.name], encode, views) for p, weight in self.recipe.pretexts}

    def measures(self, views: Views) -> dict[str, Tensor]:
        """Return every pretext's loss without its weight, and what else it measures of one batch."""
        encode, numbers = Encoding(self), {}
        for pretext, _ in self.recipe.pretexts:
            module = self.pretexts[pretext.name]
            numbers[pretext.name] = pretext.loss(module, encode, views)
            own = pretext.measures(module, encode, views) if pretext.measures else {}
            numbers |= {f"{pretext.name} {name}": value for name, value in own.items()}
        return numbers

    def follow(self, share: float) -> None:
        """Let the teachers follow what was learned, `share` of the run being done."""
        for name, teacher in self.teachers.items():
            assert isinstance(teacher, Teacher)
            teacher.follow(self.joint(name), share)

    def joint(self, name: str) -> Joint:
        """Return the backbone with the module of a pretext."""
        return Joint(self.backbone, self.pretexts[name])

    def learned(self, name: str, normalisation: Normalisation) -> Learned:
        """Return a pretext as it was learned, to be examined."""
        return Learned(
            Encoding(self, keeps=False), self.pretexts[name], self.recipe.spec, normalisation, self.recipe.size
        )


class Encoding:
    """The backbone during one step (see `toolkit.pretexts.contract.Encoder`)."""

    def __init__(self, model: Pretraining, keeps: bool = True) -> None:
        """Encode with the backbone of `model`; what is kept needs memory until the step is over."""
        self._model, self._keeps = model, keeps
        self._kept: list[tuple[Tensor, bool, Tensor]] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Return the tokens (b, n, d) of windows (b, planes, h, w)."""
        with_gradient = torch.is_grad_enabled()
        for known, had_gradient, tokens in self._kept:
            if known is x and had_gradient == with_gradient:
                return tokens
        tokens = self._model.backbone(x)
        if self._keeps:
            self._kept.append((x, with_gradient, tokens))
        return tokens

    def teacher(self, name: str, x: Tensor) -> Tensor:
        """Return what the pretext's teacher says of windows."""
        teacher = self._model.teachers[name]
        assert isinstance(teacher, Teacher)
        return teacher.says(self._model.joint(name), x)


def pretrain(
    recipe: Recipe,
    sources: Sequence[Unlabelled],
    normalisation: Normalisation,
    schedule: Schedule,
    run: Run,
    phase: Phase | None = None,
    checkpointing: bool = False,
) -> Pretraining:
    """Train a backbone on windows of the sources and return it with its pretexts' modules.

    `checkpointing`: whether the backbone's activations are computed twice rather than kept.
    """
    model = Pretraining(recipe, schedule.seed)
    if checkpointing:
        recompute_blocks(model.backbone)

    def batch(number: int) -> Views:
        number = number % phase.batches if phase and number < phase.until else number
        return draw(sources, recipe, normalisation, schedule.batch_size, (schedule.seed << 32) + number)

    def losses(trained: Callable[[Views], dict[str, Tensor]], views: Views) -> dict[str, Tensor]:
        return trained(views)

    train(model, batch, losses, schedule, run, stepped=model.follow)
    return model


@torch.no_grad()
def held_out_scores(
    recipe: Recipe, model: Pretraining, sources: Sequence[Unlabelled], normalisation: Normalisation, batch_size: int
) -> dict[str, float]:
    """Return every pretext's loss, without its weight, and its measures, as means over random windows of the sources.

    The windows are the same for every model.
    """
    device = next(model.parameters()).device
    model.eval()
    found = [
        model.measures(draw(sources, recipe, normalisation, batch_size, number).to(device))
        for number in range(SCORED_BATCHES)
    ]
    return {name: float(torch.stack([batch[name].float() for batch in found]).mean()) for name in found[0]}
