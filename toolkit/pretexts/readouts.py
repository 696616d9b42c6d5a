"""What the readouts of the toolkit's own pretexts are called: a task asks for them by these names."""

DISPLACEMENT = "displacement_24h"
"""Where the air will be in 24 h, of `lagrangian`."""
NEXT_FRAMES = "next_frames"
"""The fields expected later, of `nextframe`."""
VORTEX_FATE = "vortex_fate"
"""Coherent vortices, what they are like over the days around, and where they will be in 24 h, of `vortexfate`."""
