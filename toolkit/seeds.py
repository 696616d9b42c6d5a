"""Seeds for torch that come of several numbers."""

import numpy as np


def torch_seed(*numbers: int) -> int:
    """Return a seed of 32 bits, a hash of all the numbers: of a longer one torch's generator on a CPU uses no more."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
