"""Rules on what a model learns from: the targets, the head, and the loss that joins them."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from toolkit.conformance.problems import Problem, at
from toolkit.conformance.subject import Subject
from toolkit.conformance.tables import difference_of_arrays
from toolkit.evaluate import outputs
from toolkit.frozen import feed
from toolkit.parts import Batch, Parts

BATCH = 8


def encode(subject: Subject) -> Iterator[Problem]:
    """Targets are arrays of numbers, one entry for each example, and the same for an example in any company."""
    for part, examples in subject.parts.items():
        with at("encode"):
            whole = subject.task.encode(examples)
        if wrong := _not_targets(whole, len(examples)):
            yield Problem(
                "encode", f"for the {len(examples)} examples of {part} {wrong}.", "Give {name: array (n, ...)}."
            )
            return
        index = np.arange(0, len(examples), 2)[::-1].copy()
        with at("encode"):
            some = subject.task.encode(examples.subset(index))
        if wrong := difference_of_arrays({name: array[index] for name, array in whole.items()}, some):
            yield Problem(
                "encode",
                f"for every other example of {part}, asked for alone, {wrong}.",
                "Encode each example by itself, with scales that are constants or come from the task's options.",
            )
            return


def head(subject: Subject) -> Iterator[Problem]:
    """The head is built for what it is given, and says the same of a window each time and in any company."""
    with at("head"):
        parts = subject.model(subject.methods[0])
        batch = _batch(parts, subject)
        output = parts.model.eval()(*batch)
    if not isinstance(output, Tensor) or not output.ndim or len(output) != len(batch[0]):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        yield Problem("head", f"of {len(batch[0])} windows it returns {shape}.", "Return one tensor (b, ...).")
        return
    with at("head"):
        first, again = outputs(parts, subject.test), outputs(parts, subject.test)
        rebuilt = outputs(subject.model(subject.methods[0]), subject.test)
    if not np.allclose(first, again, equal_nan=True):
        yield Problem("head", "its output for the same windows differs in eval mode.", "Draw nothing but in training.")
    elif not np.allclose(first, rebuilt, equal_nan=True):
        yield Problem("head", "built twice from one seed, it is another one.", "Draw its weights from torch alone.")
    if not np.isfinite(first).all():
        yield Problem("head", "its output is not finite.", "Planes are NaN where data are missing: fill them.")


def loss(subject: Subject) -> Iterator[Problem]:
    """The parts of the loss are finite numbers, and their gradient reaches the head."""
    with at("head"):
        parts = subject.model(subject.methods[0])
        output = parts.model.train()(*_batch(parts, subject))
    with at("encode"):
        targets = subject.task.encode(subject.train.subset(np.arange(len(output))))
    with at("loss"):
        found = subject.task.loss(output, {name: torch.from_numpy(target) for name, target in targets.items()})
    if not isinstance(found, Mapping) or not found:
        yield Problem("loss", f"it returns {type(found).__name__}.", "Return {part: scalar}, one part at least.")
        return
    wrong = {name: _not_scalar(part) for name, part in found.items()}
    for name, text in wrong.items():
        if text:
            yield Problem(f"loss, part {name}", text, "Return a finite scalar, such as a mean; leave out what is NaN.")
    if any(wrong.values()):
        return
    total = torch.stack(list(found.values())).sum()
    weights = [weight for weight in parts.model.head.parameters() if weight.requires_grad]
    if not weights:
        yield Problem("head", "it has nothing to train.", "Give it layers with parameters.")
        return
    if total.requires_grad:
        total.backward()
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if not all(gradient.isfinite().all() for gradient in gradients):
        yield Problem("loss", "its gradient is not finite.", "Mask what is NaN before it is squared or divided by.")
    elif not any(gradient.any() for gradient in gradients):
        yield Problem("loss", "its gradient does not reach the head.", "Compute it by torch, of the output as it is.")


@torch.no_grad()
def _batch(parts: Parts, subject: Subject) -> Batch:
    return feed(parts, subject.train, "cpu")(np.arange(min(BATCH, len(subject.train))))


def _not_targets(targets: object, n: int) -> str:
    if not isinstance(targets, Mapping) or not targets:
        return f"it returns {type(targets).__name__}"
    for name, array in targets.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            return f"'{name}' is {kind}, not an array of numbers"
        if array.shape[:1] != (n,):
            return f"'{name}' has the shape {array.shape}"
        if np.isinf(array).any():
            return f"'{name}' is infinite"
    return ""


def _not_scalar(part: object) -> str:
    if not isinstance(part, Tensor) or part.ndim:
        return f"it is {tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__}."
    return "" if part.isfinite() else f"it is {part.item()}."
