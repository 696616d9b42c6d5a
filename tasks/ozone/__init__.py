"""Ozone at stations: its daily maximum in the days ahead, and its long-term statistics from where a station stands."""
