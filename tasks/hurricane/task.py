"""The hurricane task: from two frames 6 h apart, where are cyclones, how strong, and where will they be in 24 h."""

from tasks.hurricane.baselines import BASELINES
from tasks.hurricane.export import export
from tasks.hurricane.figures import FIGURES
from tasks.hurricane.head import DISPLACEMENT, FATE, NEXT_FRAMES, CycloneHead, decode, encode, loss
from tasks.hurricane.labels import labels
from tasks.hurricane.scores import METRICS, choose_threshold, keep_likely
from toolkit.task import Inputs, Placement, Task

TASK = Task(
    name="hurricane",
    summary="Locate tropical cyclones, grade their wind, and say where each will be in 24 h",
    inputs=Inputs(
        variables=("vorticity", "divergence"),
        frames=(-6, 0),
        window=(32, 32),
        also=("eastward_wind", "northward_wind"),
    ),
    placement=Placement(margin=6, background=0.35, most_recut=5000),
    labels=labels,
    head=CycloneHead,
    encode=encode,
    loss=loss,
    decode=decode,
    choose=choose_threshold,
    keep=keep_likely,
    metrics=METRICS,
    primary="position_error_24h",
    baselines=BASELINES,
    readouts=(FATE, DISPLACEMENT, NEXT_FRAMES),
    export=export,
    figures=FIGURES,
    groups="storms",
)
