"""Tasks that are broken in what a network learns from and says: targets, head, loss, predictions."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from toolkit.task import Task

breaks = pytest.mark.breaks


def raises(*_given: object) -> None:
    """Fail, as a plug-in does."""
    raise KeyError("rain_mm")


@breaks("encode", "encode", "it returns ndarray")
def _one_array(task: Task) -> Task:
    return replace(task, encode=lambda examples: task.encode(examples)["value"])


@breaks("encode", "encode", "'value' is object, not an array of numbers")
def _targets_of_objects(task: Task) -> Task:
    return replace(task, encode=lambda examples: {"value": task.encode(examples)["value"].astype(object)})


@breaks("encode", "encode", "'value' has the shape (1,")
def _examples_on_another_axis(task: Task) -> Task:
    return replace(task, encode=lambda examples: {"value": task.encode(examples)["value"].T})


@breaks("encode", "encode", "'value' is infinite")
def _infinite_target(task: Task) -> Task:
    return replace(task, encode=lambda examples: {"value": task.encode(examples)["value"] * np.float32(np.inf)})


@breaks("encode", "encode", "asked for alone, 'value' differs")
def _scaled_by_the_batch(task: Task) -> Task:
    def encode(examples: object) -> dict[str, np.ndarray]:
        value = task.encode(examples)["value"]
        return {"value": value - value.mean()}

    return replace(task, encode=encode)


class Wrapped(nn.Module):
    """A head whose output another function changes."""

    def __init__(self, head: nn.Module, change: Callable[[nn.Module, torch.Tensor], object]) -> None:
        super().__init__()
        self.inside, self.change, self.steps = head, change, 0

    def forward(self, features: object) -> object:
        """Return the changed output."""
        self.steps += self.training
        return self.change(self, self.inside(features))


def _changed(task: Task, change: Callable[[nn.Module, torch.Tensor], object]) -> Task:
    return replace(task, head=lambda given: Wrapped(task.head(given), change))


@breaks("head", "head", "it raises KeyError: 'rain_mm'")
def _head_that_raises(task: Task) -> Task:
    return replace(task, head=raises)


@breaks("head", "head", "of 8 windows it returns tuple")
def _two_outputs(task: Task) -> Task:
    return _changed(task, lambda _head, output: (output, output))


@breaks("head", "head", "of 8 windows it returns (1, 8)")
def _windows_on_another_axis(task: Task) -> Task:
    return _changed(task, lambda _head, output: output.T)


@breaks("head", "head", "differs in eval mode")
def _noise_in_eval_mode(task: Task) -> Task:
    return _changed(task, lambda _head, output: output + torch.randn_like(output))


@breaks("head", "head", "built twice from one seed")
def _weights_from_elsewhere(task: Task) -> Task:
    rng = np.random.default_rng()

    def head(given: object) -> nn.Module:
        built = task.head(given)
        nn.init.constant_(built.layer.bias, rng.normal())
        return built

    return replace(task, head=head)


@breaks("head", "head", "not finite")
def _output_without_a_number(task: Task) -> Task:
    return _changed(task, lambda _head, output: output / 0 * 0)


@breaks("loss", "loss", "it returns Tensor")
def _one_scalar(task: Task) -> Task:
    return replace(task, loss=lambda output, targets: task.loss(output, targets)["error"])


@breaks("loss", "loss, part error", "it is nan")
def _loss_without_a_number(task: Task) -> Task:
    return replace(task, loss=lambda output, _targets: {"error": (output - np.nan).mean()})


@breaks("loss", "loss, part error", "it is (8, 1)")
def _loss_of_each_window(task: Task) -> Task:
    return replace(task, loss=lambda output, targets: {"error": (output - targets["value"]).abs()})


@breaks("loss", "loss", "does not reach the head")
def _loss_of_a_detached_output(task: Task) -> Task:
    return replace(task, loss=lambda output, targets: task.loss(output.detach(), targets))


@breaks("loss", "loss", "its gradient is not finite")
def _root_of_zero(task: Task) -> Task:
    return replace(task, loss=lambda output, _targets: {"error": (output - output).sum().abs().sqrt() + output.sum()})


@breaks("loss", "head", "nothing to train")
def _frozen_head(task: Task) -> Task:
    return replace(task, head=lambda given: task.head(given).requires_grad_(False))


@breaks("decode", "decode", "it returns ndarray, not a pandas table")
def _array_of_predictions(task: Task) -> Task:
    return replace(task, decode=lambda output, _examples: output)


@breaks("decode", "decode", "no column 'example'")
def _no_example_stated(task: Task) -> Task:
    return replace(task, decode=lambda output, examples: task.decode(output, examples).drop(columns="example"))


@breaks("decode", "decode", "other things than the numbers 0 to 39")
def _examples_that_there_are_not(task: Task) -> Task:
    return replace(task, decode=lambda output, examples: task.decode(output, examples).assign(example=99))


@breaks("decode", "decode", "called twice, 'value' differs in 40 rows")
def _noise_in_predictions(task: Task) -> Task:
    rng = np.random.default_rng()
    return replace(task, decode=lambda output, examples: task.decode(output + rng.normal(), examples))


@breaks("decode", "decode", "asked for alone, 'value' differs")
def _predictions_drawn_to_their_mean(task: Task) -> Task:
    return replace(task, decode=lambda output, examples: task.decode(output - output.mean(), examples))


@breaks("decode", "decode", "it changes the output")
def _output_changed_in_place(task: Task) -> Task:
    def decode(output: np.ndarray, examples: object) -> pd.DataFrame:
        output += 1
        return task.decode(output, examples)

    return replace(task, decode=decode)


@breaks("blind decode", "decode", "without the truth it raises KeyError: 'value'")
def _predictions_copied(task: Task) -> Task:
    return replace(
        task,
        decode=lambda output, examples: task.decode(output, examples).assign(value=examples.truth["value"].to_numpy()),
    )


@breaks("blind decode", "decode", "without the truth there are 40 and 0 rows")
def _stated_where_truth_is(task: Task) -> Task:
    def decode(output: np.ndarray, examples: object) -> pd.DataFrame:
        stated = task.decode(output, examples)
        return stated[stated["example"].isin(examples.truth["example"])]

    return replace(task, decode=decode)


@breaks("methods", "method scratch", "saved and loaded, it says something else")
def _state_beside_the_weights(task: Task) -> Task:
    return _changed(task, lambda head, output: output + head.steps)


@breaks("methods", "method probe", "At step 0 validation is inf")
def _loss_that_overflows_in_validation(task: Task) -> Task:
    def loss(output: torch.Tensor, targets: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"error": task.loss(output, targets)["error"] * (np.inf if len(output) > 16 else 1.0)}

    return replace(task, loss=loss)
