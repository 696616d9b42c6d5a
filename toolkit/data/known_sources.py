"""The sources known by name, and where they are."""

from toolkit.errors import unknown

# HURDAT2, public domain. NHC renames the files at each revision: https://www.nhc.noaa.gov/data/#hurdat.
KNOWN_FILES = {
    "hurdat2-atlantic": "https://www.nhc.noaa.gov/data/hurdat/hurdat2-1851-2025-02272026.txt",
    "hurdat2-pacific": "https://www.nhc.noaa.gov/data/hurdat/hurdat2-nepac-1949-2025-02272026.txt",
}
# ERA5 on 37 levels, hourly, 0.25 degrees, Copernicus licence. It keeps all levels of one hour of the globe in one
# piece, so that one level of one region costs the transfer of all of it.
ARCO_ERA5 = "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3"


def known_file(name: str) -> str:
    """Return the address of a file known by name; UserError names the near miss."""
    if name not in KNOWN_FILES:
        raise unknown("known file", name, KNOWN_FILES)
    return KNOWN_FILES[name]
