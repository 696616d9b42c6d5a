"""What data sets call the kinds of extreme events that label maps are read of."""

import re

from toolkit.errors import unknown

KINDS = ("tropical_cyclone", "filament", "blocking", "heat")
SYNONYMS = {
    "tropical_cyclone": ("tropical_cyclone", "tropical_cyclones", "tc", "tcs", "hurricane", "hurricanes", "typhoon"),
    "filament": ("filament", "filaments", "atmospheric_river", "atmospheric_rivers", "athmospheric_river", "ar", "ars"),
    "blocking": (
        "blocking", "blocks", "block", "blocking_event", "blocking_events", "atmospheric_blocking", "ab", "be"
    ),
    "heat": ("heat", "heat_wave", "heat_waves", "heatwave", "heatwaves", "hw"),
}  # fmt: skip
"""Kind: its names, in small letters with underscores. ClimateNet's own description spells "Athmospheric river"."""
OTHERS = (
    "background", "none", "severe_convection", "freeze", "cold_wave", "cold_snap", "drought", "flood", "wildfire",
    "tornado", "hail", "extratropical_cyclone", "tropical_depression", "front", "marine_heatwave", "winter_storm",
)  # fmt: skip
"""What data sets label beside these kinds: known, and left out."""
_KIND_OF = {name: kind for kind, names in SYNONYMS.items() for name in names}


def kind_called(name: str) -> str | None:
    """Return the kind that a data set's name stands for, None for one of `OTHERS`.

    Capitals, spaces and what stands in brackets do not matter: "Atmospheric River (AR)" is a filament. Raises
    `UserError` with the near miss for a name that nobody knows.
    """
    plain = re.sub(r"[\s_-]+", "_", re.sub(r"\(.*?\)", " ", name).strip().lower())
    if plain not in _KIND_OF and plain not in OTHERS:
        raise unknown("class of extreme events", name, [*_KIND_OF, *OTHERS])
    return _KIND_OF.get(plain)


def kind_in_folder(name: str) -> str | None:
    """Return the kind in a folder's name such as AR, TC_labels_cleaned or blocking, None where there is none."""
    return _KIND_OF.get(re.split(r"_labels?", name.strip().lower())[0])
