import torch

from toolkit.seeds import torch_seed


def test_every_number_counts_in_what_torch_draws() -> None:
    """A number may need more than 32 bits: another one, or another order, is another stream; the same is the same."""
    numbers = [(0, 3), (3, 0), (256, 3), (0, 3 + 2**32), (3 + 2**32,), (3 + 7 * 2**32,)]

    def drawn(*numbers: int) -> float:
        return torch.rand(1, generator=torch.Generator().manual_seed(torch_seed(*numbers))).item()

    streams = [drawn(*some) for some in numbers]
    assert len(set(streams)) == len(numbers)
    assert [drawn(*some) for some in numbers] == streams
