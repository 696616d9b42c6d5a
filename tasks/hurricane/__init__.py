"""Hurricanes: where they are, how strong, and where they will be a day later."""
