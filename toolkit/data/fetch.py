"""Downloads that resume, are checked, and appear whole or not at all; and the sources known by name."""

import http.client
import json
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit import files
from toolkit.errors import UserError, unknown

if TYPE_CHECKING:
    from xarray import Dataset

# HURDAT2, public domain. NHC renames the files at each revision: https://www.nhc.noaa.gov/data/#hurdat.
KNOWN_FILES = {
    "hurdat2-atlantic": "https://www.nhc.noaa.gov/data/hurdat/hurdat2-1851-2025-02272026.txt",
    "hurdat2-pacific": "https://www.nhc.noaa.gov/data/hurdat/hurdat2-nepac-1949-2025-02272026.txt",
}
# ERA5 on 37 levels, hourly, 0.25 degrees, Copernicus licence. It keeps all levels of one hour of the globe in one
# piece, so that one level of one region costs the transfer of all of it.
ARCO_ERA5 = "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3"

ATTEMPTS = 5
PAUSE_S = 1.0
TIMEOUT_S = 60.0
_PIECE_BYTES = 2**20
_TIMES_PER_CHUNK = 24
_WORTH_ANOTHER_TRY = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)

Progress = Callable[[int, int | None], None]
"""Called with how much is done and how much there is in all (None: the server does not say)."""


def no_progress(done: int, total: int | None) -> None:
    """Report nothing."""


def known_file(name: str) -> str:
    """Return the address of a file known by name; UserError names the near miss."""
    if name not in KNOWN_FILES:
        raise unknown("known file", name, KNOWN_FILES)
    return KNOWN_FILES[name]


def fetch(
    url: str, folder: Path, sha256: str | None = None, offline: bool = False, progress: Progress = no_progress
) -> Path:
    """Return the file of `url` in `folder`, downloading it unless it is there; progress counts bytes.

    What an interrupted call left (`.part`) is continued where the server says that its file is still the same one.
    Raises UserError for another scheme than http(s), a refusal by the server, five failures in a row without a byte
    of progress, content of another SHA-256, or a missing file where `offline` forbids fetching.
    """
    address = urllib.parse.urlsplit(url)
    name = PurePosixPath(urllib.parse.unquote(address.path)).name
    if address.scheme not in ("http", "https") or name in ("", ".."):
        raise UserError(f"Cannot fetch '{url}'. Give the http or https address of a file.")
    target = folder / name
    if target.exists():
        _check(target, sha256, "Remove it to fetch it again.")
        return target
    if offline:
        raise UserError(f"{target} is missing, and offline nothing is fetched. Put the file there, from {url}.")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.part"
    _download(url, part, progress)
    try:
        _check(part, sha256, "Fetch again, and if it stays so ask the source for the new hash.")
    except UserError:
        part.unlink()
        raise
    part.replace(target)
    _tag_of(part).unlink(missing_ok=True)
    return target


def _check(path: Path, sha256: str | None, remedy: str) -> None:
    if sha256 is not None and (has := files.sha256(path)) != sha256.lower():
        raise UserError(f"{path} has SHA-256 {has} instead of {sha256}. {remedy}")


def _download(url: str, part: Path, progress: Progress) -> None:
    """Bring all of `url` into `part`, waiting longer after each failure in a row."""
    failures, reached = 0, _size(part)
    while True:
        try:
            return _continue(url, part, progress)
        except _WORTH_ANOTHER_TRY as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in (408, 416, 429):
                parent = url.rsplit("/", 1)[0]
                raise UserError(f"{url} answers {error.code} {error.reason}. Has it moved? See {parent}/") from error
            failures = 0 if _size(part) > reached else failures + 1
            reached = max(reached, _size(part))
            if failures == ATTEMPTS:
                raise UserError(
                    f"Fetching {url} failed {ATTEMPTS} times ({error}). Check the connection and fetch again: "
                    f"it continues after {_size(part)} bytes."
                ) from error
            time.sleep(PAUSE_S * 2 ** max(failures - 1, 0))


def _continue(url: str, part: Path, progress: Progress) -> None:
    """Ask for what `part` still lacks; the whole file where it may have changed since."""
    tag = _tag_of(part).read_text() if _tag_of(part).exists() else ""
    headers = {"User-Agent": "earth-toolkit", "Accept-Encoding": "identity"}
    if tag and _size(part):
        headers |= {"Range": f"bytes={_size(part)}-", "If-Range": tag}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{_size(part)}":
                return
            if error.code == 416:
                part.unlink()
            raise
    if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {_size(part)}-"):
        response.close()
        part.unlink()
        raise ConnectionError("the server continued at another place than it was asked to")
    with response, part.open("ab" if response.status == 206 else "wb") as stream:
        etag = response.headers.get("ETag", "")
        _tag_of(part).write_text(response.headers.get("Last-Modified", "") if etag[:1] != '"' else etag)
        done = stream.tell()
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        while piece := response.read(_PIECE_BYTES):
            stream.write(piece)
            done += len(piece)
            progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection closed after {done} of {total} bytes")


def _tag_of(part: Path) -> Path:
    """Return the file that says which version of the remote file `part` is the beginning of."""
    return part.with_name(f"{part.name}.tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@dataclass(frozen=True)
class Selection:
    """What to take out of a Zarr of fields in ERA5's layout (time, level, latitude, longitude).

    variables: names in the Zarr; start, end: ISO times, a date means all of that day; region: (south, north, west,
    east) in degrees; level_hpa None takes all levels, if there are any.
    """

    variables: tuple[str, ...]
    start: str
    end: str
    every_hours: int = 6
    level_hpa: float | None = None
    region: tuple[float, float, float, float] = (-90.0, 90.0, 0.0, 360.0)


def fetch_fields(
    address: str, path: Path, selection: Selection, offline: bool = False, progress: Progress = no_progress
) -> Path:
    """Save a selection of the Zarr at `address` as a Zarr at `path`, a day's worth of frames at a time.

    The folder appears when it is complete; what an interrupted call left (`.part`) is continued. progress counts
    times. Raises UserError for a Zarr that cannot be opened, or a selection of what is not in it.
    """
    asked = json.dumps({"address": address, **asdict(selection)})
    if path.exists():
        if _open(str(path)).attrs.get("selection") != asked:
            raise UserError(f"{path} is there with something else in it. Remove it, or save elsewhere.")
        return path
    if offline and "://" in address:
        raise UserError(f"{path} is missing, and offline nothing is fetched. Run once without it, from {address}.")
    chosen = _select(_open(address), address, selection).assign_attrs(selection=asked)
    part, note = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.done")
    if not (note.exists() and _open(str(part)).attrs["selection"] == asked):
        _lay_out(chosen, part)
        files.write_text(note, "0")
    times = chosen.sizes["time"]
    for start in range(int(note.read_text()), times, _TIMES_PER_CHUNK):
        stop = min(start + _TIMES_PER_CHUNK, times)
        block = chosen.isel(time=slice(start, stop)).load()
        fixed = [name for name, variable in block.variables.items() if "time" not in variable.dims]
        block.drop_vars(fixed).to_zarr(part, region={"time": slice(start, stop)})
        files.write_text(note, str(stop))
        progress(stop, times)
    part.replace(path)
    note.unlink()
    return path


def _lay_out(chosen: "Dataset", part: Path) -> None:
    """Write the Zarr's coordinates and metadata, without values, in place of what was there."""
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    chunks = {name: _TIMES_PER_CHUNK if name == "time" else -1 for name in chosen.dims}
    chosen.chunk(chunks).to_zarr(part, mode="w", zarr_format=2, compute=False)


def _open(address: str) -> "Dataset":
    import xarray

    options: dict[str, Any] = {"storage_options": {"token": "anon"}} if address.startswith("gs://") else {}
    try:
        # Without dask: its graph of a million hours takes longer to build than a day of data to load.
        return xarray.open_dataset(address, engine="zarr", chunks=None, **options)
    except ImportError as error:
        package = {"gs": "gcsfs", "s3": "s3fs"}.get(address.split(":")[0], "aiohttp")
        raise UserError(f"Reading {address} needs another package: pip install {package}") from error
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"Cannot open {address} as Zarr ({error}). Check the address and the connection.") from error


def _select(fields: "Dataset", address: str, selection: Selection) -> "Dataset":
    for name in selection.variables:
        if name not in fields.data_vars:
            raise unknown(f"variable in {address}", name, map(str, fields.data_vars))
    fields = fields[list(selection.variables)].drop_encoding()
    if selection.level_hpa is not None and "level" in fields.dims:
        if selection.level_hpa not in fields["level"]:
            levels = ", ".join(f"{level:g}" for level in fields["level"].to_numpy())
            raise UserError(f"No level {selection.level_hpa:g} hPa in {address}. Known: {levels}.")
        fields = fields.sel(level=selection.level_hpa)
    first, last = (_day(str(fields["time"].to_numpy()[i])) for i in (0, -1))
    first = max(first, _day(fields.attrs.get("valid_time_start", str(first))))
    last = min(last, _day(fields.attrs.get("valid_time_stop", str(last))))
    if not first <= _day(selection.start) <= _day(selection.end) <= last:
        raise UserError(f"Cannot take {selection.start} to {selection.end}: {address} goes from {first} to {last}.")
    fields = fields.sel(time=slice(selection.start, selection.end))
    south, north, west, east = selection.region
    hours = (fields["time"].to_numpy() - np.datetime64(selection.start)) / np.timedelta64(1, "h")
    latitude, eastward = fields["latitude"].to_numpy(), (fields["longitude"].to_numpy() - west) % 360
    width = east - west if east > west else east - west + 360
    places = {
        "time": np.flatnonzero(hours % selection.every_hours == 0),
        "latitude": np.flatnonzero((latitude >= south) & (latitude <= north)),
        "longitude": np.flatnonzero(eastward <= width),
    }
    for name, indices in places.items():
        if not indices.size:
            raise UserError(f"Nothing in {address} has a {name} as asked for: {selection}.")
    return fields.isel(places)


def _day(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "D")
    except ValueError as error:
        raise UserError(f"'{text}' is not a date. Write it as in 2020-08-31 or 2020-08-31T06.") from error
