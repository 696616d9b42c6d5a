"""Reading values that a source holds lazily: where its bytes are damaged, the user is told which source it is."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError

from toolkit.errors import UserError


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn what decoders raise on damaged bytes into a `UserError` that names `source`.

    Zarr's codecs and the NetCDF and GRIB libraries raise RuntimeError, OSError or ValueError, or the errors of zlib,
    gzip (EOFError) and LZMA. The block should do nothing but load.
    """
    try:
        yield
    except (RuntimeError, OSError, ValueError, EOFError, zlib.error, LZMAError) as error:
        raise UserError(f"{source} is damaged: its values cannot be read ({error}). Fetch or make it again.") from error
