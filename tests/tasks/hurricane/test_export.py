import pandas as pd

from tasks.hurricane.export import export


def test_a_table_has_the_columns_of_the_output() -> None:
    """The written table has its seven columns in order, and the values of the predictions."""
    predictions = pd.DataFrame(
        {
            "latitude": [12.5],
            "longitude": [81.0],
            "probability": [0.7],
            "wind_kt": [45.0],
            "latitude_24h": [13.0],
            "longitude_24h": [80.0],
            "time": [pd.Timestamp("2025-12-01")],
        }
    )
    table = export(predictions)
    assert list(table) == ["time", "lat", "lon", "probability", "wind_kt", "lat_24h", "lon_24h"]
    assert table.to_numpy().tolist() == [[pd.Timestamp("2025-12-01"), 12.5, 81.0, 0.7, 45.0, 13.0, 80.0]]
