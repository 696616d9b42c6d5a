import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from toolkit.data import fetch as fetch_module
from toolkit.data.fetch import Selection, fetch, fetch_fields, known_file
from toolkit.errors import UserError

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Remote:
    """A server of one file: what it holds, how it misbehaves, and the Range headers it was sent."""

    url: str = ""
    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True
    failures: list[int] = field(default_factory=list)
    drop_after: list[int] = field(default_factory=list)
    shift: int = 0
    asked: list[str | None] = field(default_factory=list)


def _handler(remote: Remote) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

        def do_GET(self) -> None:
            """Send the file, or what the Range asks of it, as `remote` says."""
            asked = self.headers.get("Range")
            remote.asked.append(asked)
            if self.path != "/data/file.txt" or remote.failures:
                self.send_error(remote.failures.pop(0) if remote.failures else 404)
                return
            start = 0
            if asked and remote.ranges and self.headers.get("If-Range") == remote.etag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(remote.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(remote.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = remote.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", remote.etag)
            if start:
                place = f"bytes {start + remote.shift}-{len(remote.content) - 1}/{len(remote.content)}"
                self.send_header("Content-Range", place)
            self.end_headers()
            self.wfile.write(body[: remote.drop_after.pop(0)] if remote.drop_after else body)

    return Handler


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A server on this machine, and no waiting between attempts."""
    monkeypatch.setattr(fetch_module, "PAUSE_S", 0.0)
    remote = Remote()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(remote)) as server:
        remote.url = f"http://127.0.0.1:{server.server_port}/data/file.txt"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield remote
        server.shutdown()
        thread.join()


def _content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_fetched_once(remote: Remote, tmp_path: Path) -> None:
    """The file arrives whole under its own name with its hash checked, and a second call asks for nothing."""
    steps: list[tuple[int, int | None]] = []
    folder = tmp_path / "new" / "folder"
    path = fetch(remote.url, folder, SHA256.upper(), progress=lambda done, total: steps.append((done, total)))
    assert path == folder / "file.txt"
    assert _content_of(folder) == {"file.txt": CONTENT}
    assert steps == sorted(steps)
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(remote.url, folder, SHA256, offline=True) == path
    assert remote.asked == [None]


def test_dropped_connections_are_continued(remote: Remote, tmp_path: Path) -> None:
    """Each attempt asks for the bytes that are still missing, as often as each brings some."""
    remote.drop_after = [1_000_000, 500_000, 1, 1, 1, 1, 1, 1]
    fetch(remote.url, tmp_path, SHA256)
    assert _content_of(tmp_path) == {"file.txt": CONTENT}
    assert remote.asked[:3] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert len(remote.asked) == 9


def test_another_run_continues_where_one_gave_up(remote: Remote, tmp_path: Path) -> None:
    """After five failures without progress the error says so, and the next run asks for the rest only."""
    remote.drop_after = [1_200_000, 0, 0, 0, 0, 0]
    with pytest.raises(UserError, match=r"failed 5 times .* continues after 1200000 bytes"):
        fetch(remote.url, tmp_path, SHA256)
    assert not (tmp_path / "file.txt").exists()
    fetch(remote.url, tmp_path, SHA256)
    assert remote.asked[-1] == "bytes=1200000-"
    assert _content_of(tmp_path) == {"file.txt": CONTENT}


def _changed(remote: Remote) -> None:
    remote.content, remote.etag = CONTENT[::-1], '"two"'


def _without_ranges(remote: Remote) -> None:
    remote.ranges = False


def _elsewhere(remote: Remote) -> None:
    remote.shift = 7


@pytest.mark.parametrize("change", [_changed, _without_ranges, _elsewhere])
def test_two_versions_are_never_joined(
    remote: Remote, tmp_path: Path, change: Callable[[Remote], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the remote file changed, or the server cannot continue where asked, the download starts again."""
    monkeypatch.setattr(fetch_module, "ATTEMPTS", 1)
    remote.drop_after = [1_000_000, 0]
    with pytest.raises(UserError, match="failed 1 times"):
        fetch(remote.url, tmp_path)
    monkeypatch.setattr(fetch_module, "ATTEMPTS", 3)
    change(remote)
    fetch(remote.url, tmp_path)
    assert (tmp_path / "file.txt").read_bytes() == remote.content


def test_a_download_that_was_complete_is_not_repeated(remote: Remote, tmp_path: Path) -> None:
    """Where only the last rename was missing, the server has nothing to add."""
    (tmp_path / "file.txt.part").write_bytes(CONTENT)
    (tmp_path / "file.txt.part.tag").write_text(remote.etag)
    fetch(remote.url, tmp_path, SHA256)
    assert remote.asked == [f"bytes={len(CONTENT)}-"]
    assert _content_of(tmp_path) == {"file.txt": CONTENT}


def test_a_part_longer_than_the_file_is_dropped(remote: Remote, tmp_path: Path) -> None:
    """A part that cannot be the beginning of the file is fetched again."""
    (tmp_path / "file.txt.part").write_bytes(CONTENT + b"more")
    (tmp_path / "file.txt.part.tag").write_text(remote.etag)
    fetch(remote.url, tmp_path, SHA256)
    assert _content_of(tmp_path) == {"file.txt": CONTENT}


def test_a_busy_server_is_asked_again(remote: Remote, tmp_path: Path) -> None:
    """Errors that pass (429, 5xx) cost another attempt only."""
    remote.failures = [503, 429, 500]
    fetch(remote.url, tmp_path, SHA256)
    assert len(remote.asked) == 4


def test_a_missing_file_is_not_asked_for_again(remote: Remote, tmp_path: Path) -> None:
    """404 is final: the error names the address and where to look."""
    with pytest.raises(UserError, match=r"other\.txt answers 404 Not Found.*Has it moved\? See http.*/data/$"):
        fetch(remote.url.replace("file", "other"), tmp_path)
    assert len(remote.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_another_hash_is_refused(remote: Remote, tmp_path: Path) -> None:
    """Content of another hash leaves no file, and a file that is there is refused but left alone."""
    with pytest.raises(UserError, match=f"has SHA-256 {SHA256} instead of {'0' * 64}"):
        fetch(remote.url, tmp_path, "0" * 64)
    assert not (tmp_path / "file.txt").exists()
    (tmp_path / "file.txt").write_bytes(b"mine")
    with pytest.raises(UserError, match="Remove it to fetch it again"):
        fetch(remote.url, tmp_path, SHA256)
    assert (tmp_path / "file.txt").read_bytes() == b"mine"


def test_offline_says_what_is_missing(remote: Remote, tmp_path: Path) -> None:
    """Offline nothing is asked for; the error names file and address."""
    with pytest.raises(UserError, match=rf"file\.txt is missing, and offline .* from {remote.url}"):
        fetch(remote.url, tmp_path, offline=True)
    assert remote.asked == []


@pytest.mark.parametrize(
    "url", ["ftp://host/file.txt", "file:///etc/hosts", "https://host/", "https://host/..", "file.txt"]
)
def test_only_web_addresses_of_files_are_fetched(url: str, tmp_path: Path) -> None:
    """Other schemes, local files among them, and addresses without a file name are refused."""
    with pytest.raises(UserError, match="Give the http or https address of a file"):
        fetch(url, tmp_path)


def test_known_files_have_names() -> None:
    """A known file is found by name, and a near miss is named."""
    assert known_file("hurdat2-atlantic").startswith("https://www.nhc.noaa.gov/data/hurdat/hurdat2-")
    with pytest.raises(UserError, match="Did you mean 'hurdat2-atlantic'"):
        known_file("hurdat2-atlantik")


def interrupt(done: int, total: int | None) -> None:
    """Stop as Ctrl-C does, after the first step."""
    raise KeyboardInterrupt(f"at {done} of {total}")


SELECTION = Selection(
    ("u_component_of_wind",), "2020-01-02", "2020-01-10", every_hours=6, level_hpa=850.0, region=(0, 60, -90, -30)
)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A Zarr in the layout of ARCO-ERA5: hourly, all levels, a time axis longer than its valid part."""
    time = np.datetime64("2020-01-01", "ns") + np.arange(24 * 14) * np.timedelta64(1, "h")
    latitude, longitude = np.linspace(90, -90, 13), np.arange(24) * 15.0
    level = np.array([500, 850])
    shape = (len(time), 2, 13, 24)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    dimensions = ("time", "level", "latitude", "longitude")
    names = ("u_component_of_wind", "v_component_of_wind")
    xr.Dataset(
        {name: (dimensions, values + i, {"units": "m s-1"}) for i, name in enumerate(names)},
        coords={"time": time, "level": level, "latitude": latitude, "longitude": longitude},
        attrs={"valid_time_start": "2020-01-02", "valid_time_stop": "2020-01-12"},
    ).chunk(time=48).to_zarr(tmp_path / "archive.zarr", zarr_format=2)
    return str(tmp_path / "archive.zarr")


def _expected(archive: str) -> xr.Dataset:
    whole = xr.open_zarr(archive).load()[["u_component_of_wind"]].sel(level=850, latitude=slice(60, 0))
    return whole.sel(time=slice("2020-01-02", "2020-01-10"), longitude=slice(270, 330)).isel(time=slice(None, None, 6))


def test_fields_are_saved_as_selected(archive: str, tmp_path: Path) -> None:
    """Variable, level, region (across Greenwich's other side), days and hours are those asked for."""
    done: list[tuple[int, int | None]] = []
    path = fetch_fields(archive, tmp_path / "out" / "u.zarr", SELECTION, progress=lambda *step: done.append(step))
    with xr.open_zarr(path) as saved:
        xr.testing.assert_equal(saved.load(), _expected(archive))
        assert saved["u_component_of_wind"].attrs["units"] == "m s-1"
    assert done == [(24, 36), (36, 36)]
    assert [p.name for p in path.parent.iterdir()] == ["u.zarr"]


def test_fields_are_continued(archive: str, tmp_path: Path) -> None:
    """What an interrupted call had saved is not read again, and the result is the same."""
    path = tmp_path / "u.zarr"
    with pytest.raises(KeyboardInterrupt):
        fetch_fields(archive, path, SELECTION, progress=interrupt)
    assert not path.exists()
    done: list[tuple[int, int | None]] = []
    fetch_fields(archive, path, SELECTION, progress=lambda *step: done.append(step))
    assert done == [(36, 36)]
    with xr.open_zarr(path) as saved:
        xr.testing.assert_equal(saved.load(), _expected(archive))


def test_another_selection_starts_anew(archive: str, tmp_path: Path) -> None:
    """A part of another selection is dropped; a finished one is kept, and refused to other requests."""
    path = tmp_path / "u.zarr"
    with pytest.raises(KeyboardInterrupt):
        fetch_fields(archive, path, replace(SELECTION, level_hpa=500.0), progress=interrupt)
    fetch_fields(archive, path, SELECTION)
    with xr.open_zarr(path) as saved:
        xr.testing.assert_equal(saved.load(), _expected(archive))
    assert fetch_fields(archive, path, SELECTION, offline=True) == path
    with pytest.raises(UserError, match="is there with something else in it"):
        fetch_fields(archive, path, replace(SELECTION, end="2020-01-09"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variables": ("u_component_of_win",)}, "Did you mean 'u_component_of_wind'"),
        ({"level_hpa": 925.0}, r"No level 925 hPa in .* Known: 500, 850"),
        ({"end": "2020-01-13"}, "goes from 2020-01-02 to 2020-01-12"),
        ({"start": "2020-01-01"}, "goes from 2020-01-02 to 2020-01-12"),
        ({"end": "2020-01-01"}, "Cannot take 2020-01-02 to 2020-01-01"),
        ({"end": "January"}, "'January' is not a date"),
        ({"region": (1, 2, 0, 360)}, "has a latitude as asked for"),
    ],
)
def test_a_selection_of_what_is_not_there_is_refused(
    archive: str, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    """Each fault of a selection is named, and nothing is written."""
    with pytest.raises(UserError, match=message):
        fetch_fields(archive, tmp_path / "u.zarr", replace(SELECTION, **change))  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zarr"]


def test_a_zarr_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A missing Zarr, and a remote one offline, are clear errors."""
    with pytest.raises(UserError, match=r"Cannot open .*nothing\.zarr as Zarr"):
        fetch_fields(str(tmp_path / "nothing.zarr"), tmp_path / "u.zarr", SELECTION)
    with pytest.raises(UserError, match="offline nothing is fetched"):
        fetch_fields(fetch_module.ARCO_ERA5, tmp_path / "u.zarr", SELECTION, offline=True)
