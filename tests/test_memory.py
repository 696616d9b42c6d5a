from pathlib import Path

import pytest

from toolkit.memory import forget_peak, peak_bytes


@pytest.mark.parametrize("has_proc", [True, False])
def test_the_peak_counts_what_is_in_use(monkeypatch: pytest.MonkeyPatch, has_proc: bool) -> None:
    """It is at least what the process holds, in bytes, also where the system has no /proc."""

    def refuse(*_: object) -> None:
        raise OSError

    if not has_proc:
        monkeypatch.setattr(Path, "read_text", refuse)
        monkeypatch.setattr(Path, "write_text", refuse)
    forget_peak()
    held = b"1" * 2**26
    assert len(held) < peak_bytes() < 2**40
