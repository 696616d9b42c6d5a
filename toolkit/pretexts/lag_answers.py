"""How well a classifier of lags tells them apart: which it confuses, how often it is right, where and when it is.

Everything is counted from its logits; class k is the lag of k + 1 steps.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax

from toolkit.pretexts.lags import Lags

Array = NDArray[np.float64]
CELL_DEGREES = (15.0, 30.0)
"""Height and width of the cells by which places are told apart."""
FEW = 3
"""The truth counts as found among so many of the likeliest classes, beside the likeliest alone."""


def confusion(logits: Array, lags: Lags) -> pd.DataFrame:
    """Return true_hours, predicted_hours, count and share, a row per pair of lags, of logits (n, lags, classes).

    share: the part of those predicted as this lag that are truly of the other: it adds up to 1 for each predicted lag.
    """
    said, every = logits.argmax(2), np.arange(lags.count)
    counts = (said[:, :, None] == every).sum(0)
    shares = counts / counts.sum(0).clip(min=1)
    true, predicted = (np.array(lags.hours)[index.ravel()] for index in np.meshgrid(every, every, indexing="ij"))
    columns = {"true_hours": true, "predicted_hours": predicted, "count": counts.ravel(), "share": shares.ravel()}
    return pd.DataFrame(columns)


def accuracy(logits: Array, lags: Lags) -> pd.DataFrame:
    """Return hours, windows, top_1 and top_3, a row per lag, of logits (n, lags, classes)."""
    top_1, top_3 = hits(logits, np.broadcast_to(np.arange(lags.count), logits.shape[:2]))
    shares = {"top_1": top_1.mean(0), "top_3": top_3.mean(0)}
    return pd.DataFrame({"hours": lags.hours, "windows": len(logits)} | shares)


def hits(logits: Array, truth: NDArray[np.integer]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether the true classes (...,) are the likeliest, and among the three likeliest, of (..., classes)."""
    ranked = np.argsort(-logits, axis=-1, kind="stable")[..., :FEW] == truth[..., None]
    return ranked[..., 0], ranked.any(-1)


def entropy(logits: Array) -> Array:
    """Return -sum p log p / log(classes) of (..., classes): 0 where one class is certain, 1 where all are as likely."""
    log_p = log_softmax(logits, axis=-1)
    return -(np.exp(log_p) * log_p).sum(-1) / np.log(logits.shape[-1])


def predictability(logits: Array, truth: int, where: pd.DataFrame) -> pd.DataFrame:
    """Return how well one lag is told from the others by place, by month and by hour of the day.

    logits (n, classes) of pairs that are all of the class `truth`; where: latitude and longitude of the n windows'
    centres, degrees, and month and hour (UTC) of the first of each pair. `by` says which of place, month and hour a row
    is of; south and west are the corner of a place's cell; windows counts; top_1, top_3 and entropy are means.
    """
    top_1, top_3 = hits(logits, np.full(len(logits), truth))
    table = where.assign(windows=1, top_1=top_1, top_3=top_3, entropy=entropy(logits))
    height, width = CELL_DEGREES
    table["south"] = table["latitude"] // height * height
    table["west"] = table["longitude"] % 360 // width * width
    found = []
    for by, keys in (("place", ["south", "west"]), ("month", ["month"]), ("hour", ["hour"])):
        numbers = table.groupby(keys).agg({"windows": "sum", "top_1": "mean", "top_3": "mean", "entropy": "mean"})
        found.append(numbers.reset_index().assign(by=by))
    columns = ["by", "south", "west", "month", "hour", "windows", "top_1", "top_3", "entropy"]
    return pd.concat(found, ignore_index=True)[columns].astype({"month": "Int64", "hour": "Int64"})
