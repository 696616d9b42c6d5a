"""How much a pretext computes, so that several can be given the same amount of it."""

from collections.abc import Callable, Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from toolkit.data.normalise import Normalisation
from toolkit.errors import UserError
from toolkit.pretexts.draw import Recipe, Unlabelled, draw
from toolkit.pretrain import Pretraining
from toolkit.seeds import torch_seed


def operations(work: Callable[[], object]) -> int:
    """Return the floating-point operations of `work`: those of its matrix products and convolutions.

    A multiplication and an addition are two. Attention is taken as the matrix products that it is, without those that
    some kernels do again to save memory. What is done element by element is not counted.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def operations_of_step(
    recipe: Recipe, sources: Sequence[Unlabelled], normalisation: Normalisation, batch_size: int, seed: int
) -> int:
    """Return the operations of one training step of a recipe, counted on the first batch of its run.

    They are those of the losses and of their gradients, whatever is encoded for them, by the backbone or by a teacher.
    The same seed gives the same count.
    """
    model = Pretraining(recipe, seed)
    views = draw(sources, recipe, normalisation, batch_size, seed << 32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, 0, 0))
        return operations(lambda: torch.stack(list(model(views).values())).sum().backward())


def steps_for(budget: int, of_step: int) -> int:
    """Return how many steps of so many operations come nearest to the budget, one at least."""
    if of_step < 1:
        raise UserError("A step of this pretext does no matrix product, so it cannot be given as much as the others.")
    return max(1, round(budget / of_step))
