"""Files from the web: downloads that resume, are checked, and appear whole or not at all."""

import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from toolkit import files
from toolkit.errors import UserError

ATTEMPTS = 5
PAUSE_S = 1.0
TIMEOUT_S = 60.0
_PIECE_BYTES = 2**20
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
