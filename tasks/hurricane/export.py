"""The table of cyclones that `toolkit predict` writes."""

import pandas as pd

COLUMNS = {
    "time": "time",
    "latitude": "lat",
    "longitude": "lon",
    "probability": "probability",
    "wind_kt": "wind_kt",
    "latitude_24h": "lat_24h",
    "longitude_24h": "lon_24h",
}


def export(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions under the names of `COLUMNS`; degrees north, and degrees east in [0, 360)."""
    return predictions[list(COLUMNS)].rename(columns=COLUMNS)
