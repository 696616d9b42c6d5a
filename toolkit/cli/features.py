"""`toolkit features`: what the channels of a backbone look for, as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import print_json, told

if TYPE_CHECKING:
    from toolkit.feature_view import FeatureView


def features(
    backbone: Annotated[str, typer.Argument(help="Name of a shipped backbone, or a backbone's folder.")],
    world: Annotated[Path, typer.Option(help="World folder: the fields to look at.")],
    layer: Annotated[str | None, typer.Option(help="Layer, such as blocks.3; the last by default.")] = None,
    channel: Annotated[
        list[int] | None, typer.Option(help="Channel; may be repeated. Without one, the most selective ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="PNG to write; BACKBONE-LAYER.png by default.")] = None,
    windows: Annotated[int, typer.Option(help="Random windows to choose from.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything drawn at random.")] = 0,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Show what channels of a backbone look for: the windows that excite them most, and the input made to."""
    from toolkit.backbones.card import backbone_folder
    from toolkit.backbones.weights import load_backbone
    from toolkit.data.prepare import prepared
    from toolkit.data.world_identity import world_identity
    from toolkit.errors import UserError
    from toolkit.feature_view import view_features
    from toolkit.report.feature_sheet import draw_channels, draw_sheet

    if out is not None and out.suffix != ".png":
        raise UserError(f"--out is {out}, but the picture is a PNG: give it a name that ends in .png.")
    loaded = load_backbone(backbone_folder(backbone))
    with told(quiet, verbose) as listener:
        listener.stage(f"preparing fields of {world}")
        store = prepared(world, loaded.card.spec.variables)
        view = view_features(loaded, store, layer, channel or (), windows, seed, listener)
        path = out or Path(f"{view.backbone}-{view.layer}.png")
        listener.stage(f"drawing {path}")
        draw = draw_channels if channel else draw_sheet
        draw(path, view, coastlines=not world_identity(world, store)["simulated"])
    if json:
        print_json(_content(view) | {"picture": str(path)})
    else:
        typer.echo(f"{_table(view)}\nPicture: {path}")


def _content(view: "FeatureView") -> dict[str, Any]:
    """Return what was found, in plain values."""
    channels = [
        {
            "channel": channel.number,
            "selectivity": channel.selectivity,
            "mean": channel.mean,
            "standard_deviation": channel.deviation,
            "windows": [
                {
                    "activation": window.activation,
                    "time": str(window.time),
                    "latitude": window.latitude,
                    "longitude": window.longitude,
                    "token": window.token,
                    "mirrored": window.mirrored,
                }
                for window in channel.strongest
            ],
            "made": {"before": channel.before, "activation": channel.after, "latitude": channel.latitude},
        }
        for channel in view.channels
    ]
    return {"backbone": view.backbone, "layer": view.layer, "drawn": view.windows, "channels": channels}


def _table(view: "FeatureView") -> str:
    rows = [["channel", "selectivity", "mean", "deviation", "strongest", "at", "made"]]
    for c in view.channels:
        first = c.strongest[0]
        at = f"{str(first.time)[:16].replace('T', ' ')} {first.latitude:.1f} {first.longitude:.1f}"
        numbers = [f"{value:.3g}" for value in (c.selectivity, c.mean, c.deviation, first.activation)]
        rows.append([str(c.number), *numbers, at, f"{c.after:.3g}"])
    return aligned(rows)
