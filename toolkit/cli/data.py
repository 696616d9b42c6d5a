"""`toolkit data`: make a world or a fluid flow, fetch files, prepare a store, check what is there, clear the cache."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options
from toolkit.cli.tables import aligned
from toolkit.cli.terminal import print_json, told

app = typer.Typer(help="Worlds, field files and best tracks.", no_args_is_help=True, rich_markup_mode=None)
Variables = Annotated[list[str] | None, typer.Option("--variable", help="Variable; may be repeated.")]


@app.command()
def world(
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not hold anything.")],
    size: Annotated[str, typer.Option(help="tiny, small or large.")] = "small",
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same bytes, on the same kind of processor.")
    ] = 0,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Simulate an atmosphere with cyclones and write it in the formats of real data."""
    from toolkit.data.world.write import size_named, write_world

    wanted = size_named(size)
    with told(quiet, verbose) as listener:
        listener.stage(f"simulating the {size} world")
        written = write_world(folder, wanted, seed, listener.share)
    if json:
        print_json({"world": str(written), "size": size, "seed": seed})
    else:
        typer.echo(f"World: {written}")


@app.command()
def fluid(
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not hold anything.")],
    runs: Annotated[int, typer.Option(help="Independent flows, each in a year of its own.")] = 48,
    days: Annotated[int, typer.Option(help="Days of each; there is a frame every six hours.")] = 10,
    rotation: Annotated[float, typer.Option(help="Rotation of the sphere, times that of the Earth.")] = 0.0,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same bytes, on the same kind of processor.")
    ] = 0,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Simulate vortices of random position and shape in a fluid on the sphere: vorticity and winds, without labels."""
    from toolkit.data.world.fluid import FluidPlan
    from toolkit.data.world.fluid_write import write_fluid

    with told(quiet, verbose) as listener:
        listener.stage(f"simulating {runs} flows of {days} days")
        written = write_fluid(folder, FluidPlan(runs, days, rotation), seed, listener.share)
    if json:
        print_json({"world": str(written), "runs": runs, "days": days, "rotation": rotation, "seed": seed})
    else:
        typer.echo(f"World: {written}")


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="Name of a known source, or the address of a file or a Zarr.")],
    out: Annotated[Path, typer.Option(help="Folder for a file, path of the Zarr for fields.")] = Path(),
    sha256: Annotated[str | None, typer.Option(help="Refuse a file with another hash.")] = None,
    variable: Variables = None,
    start: Annotated[str | None, typer.Option(help="First date of the fields, such as 2020-08-01.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date of the fields.")] = None,
    level: Annotated[float | None, typer.Option(help="Pressure level of the fields, hPa.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Hours from one time of the fields to the next.")] = 6,
    region: Annotated[
        tuple[float, float, float, float], typer.Option(metavar="SOUTH NORTH WEST EAST", help="Part to take, degrees.")
    ] = (-90.0, 90.0, 0.0, 360.0),
    offline: options.Offline = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Download a file (hurdat2-atlantic, hurdat2-pacific), or with --variable a part of a Zarr of fields (era5)."""
    from toolkit.data.fetch import fetch as fetch_file
    from toolkit.data.fetch_fields import Selection, fetch_fields
    from toolkit.data.known_sources import ARCO_ERA5, known_file

    with told(quiet, verbose) as listener:
        listener.stage(f"fetching {source}")

        def progress(done: int, total: int | None) -> None:
            listener.share(done / total if total else 0.0)

        if variable:
            address = ARCO_ERA5 if source == "era5" else source
            chosen = Selection(tuple(variable), start or "", end or start or "", every, level, region)
            path = fetch_fields(address, out, chosen, offline, progress)
        else:
            url = source if "://" in source else known_file(source)
            path = fetch_file(url, out, sha256, offline, progress)
    if json:
        print_json({"path": str(path)})
    else:
        typer.echo(f"Fetched: {path}")


@app.command()
def prepare(
    world: Annotated[Path, typer.Argument(help="World folder.")],
    variable: Variables = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Make the training store of a world in the cache; other commands do so by themselves where it is missing."""
    from toolkit.data.prepare import prepared

    with told(quiet, verbose) as listener:
        listener.stage(f"preparing fields of {world}")
        store = prepared(world, tuple(variable or ("vorticity", "divergence")))
    channels = [[c.name, f"{c.mean:.3g}", f"{c.standard_deviation:.3g}", c.units] for c in store.channels]
    if json:
        print_json(
            {"store": str(store.path), "shape": store.values.shape, "sha256": store.sha256, "channels": channels}
        )
        return
    typer.echo(f"Store: {store.path}\n{len(store.time)} times, {len(store.latitude)} x {len(store.longitude)} pixels")
    typer.echo(aligned([["variable", "mean", "deviation", "units"], *channels]))


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="HURDAT2 file, field file, world folder or training store.")],
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Look for what is wrong in a file or folder. Exits with 1 where training must not go on with it."""
    from toolkit.data.check_path import check_path

    with told(quiet, verbose) as listener:
        listener.stage(f"checking {path}")
        checked = check_path(path)
    if json:
        print_json(checked.content)
    else:
        for line in checked.lines:
            typer.echo(line)
    if checked.stops:
        raise typer.Exit(1)


@app.command()
def cache(
    remove: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Remove all that is kept of a kind; may be repeated.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Say what the cache keeps, and remove what takes too much room: it is made again where it is needed."""
    from toolkit.data.kept import KINDS, kept, remove_kept
    from toolkit.data.prepare import cache_folder

    removed = [remove_kept(kind) for kind in dict.fromkeys(remove or ())]
    now = kept()
    if json:
        about = {part.kind: {"entries": part.entries, "bytes": part.bytes} for part in now}
        freed = {part.kind: part.bytes for part in removed}
        print_json({"folder": str(cache_folder()), "kept": about, "removed_bytes": freed})
        return
    for part in removed:
        typer.echo(f"Removed: {part.kind}, {part.bytes / 1e9:.2f} GB")
    rows = [[part.kind, str(part.entries), f"{part.bytes / 1e9:.2f}", KINDS[part.kind]] for part in now]
    typer.echo(f"Cache: {cache_folder()}")
    typer.echo(aligned([["kind", "kept", "GB", "what it is"], *rows]))
