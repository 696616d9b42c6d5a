"""Reading values that a source holds lazily: where its bytes are damaged, the user is told which source it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.errors import UserError


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn what decoders raise on damaged bytes into a `UserError` that names `source`.

    Zarr's codecs and the NetCDF and GRIB libraries raise RuntimeError, OSError or ValueError. The block should do
    nothing but load.
    """
    try:
        yield
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(f"{source} is damaged: its values cannot be read ({error}). Fetch or make it again.") from error
