"""The hurricane task: from two frames 6 h apart, where are cyclones, how strong, and where will they be in 24 h."""

from tasks.hurricane.baselines import BASELINES, COMPLETIONS
from tasks.hurricane.figures import FIGURES
from tasks.hurricane.head import CycloneHead, decode, encode, loss
from tasks.hurricane.labels import labels
from tasks.hurricane.scores import METRICS, POSITION_ERROR_24H, STORMS, choose
from toolkit.pretexts.readouts import DISPLACEMENT, NEXT_FRAMES, VORTEX_FATE
from toolkit.scores.threshold import keep_likely
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
    placement=Placement(margin=6, objects=True, background=0.35, most_recut=5000),
    labels=labels,
    head=CycloneHead,
    encode=encode,
    loss=loss,
    decode=decode,
    choose=choose,
    keep=keep_likely,
    threshold_limits=(0.0, 1.0),
    metrics=METRICS,
    primary=POSITION_ERROR_24H.name,
    baselines=BASELINES,
    completions=COMPLETIONS,
    readouts=(VORTEX_FATE, DISPLACEMENT, NEXT_FRAMES),
    apart_km=STORMS.hit_km,
    defaults={"lora_blocks": 1},  # as good as all six here, in a third of the time
    figures=FIGURES,
    groups="storms",
    needs="best tracks in hurdat2.txt",
)
