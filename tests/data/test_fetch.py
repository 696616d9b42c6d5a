import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from toolkit.data import fetch as fetch_module
from toolkit.data.fetch import fetch
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
