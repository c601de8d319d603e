from __future__ import annotations

import pytest

from producers.pos import PAYING, SCANNING, combined, queue


@pytest.mark.parametrize(
    ("discounts", "together"), [((), 0.0), ((0.2,), 0.2), ((0.25, 0.4), 0.55), ((0.9, 0.9), 0.95), ((1.0,), 0.95)]
)
def test_discounts_combine_multiplicatively_up_to_95_percent(discounts: tuple[float, ...], together: float) -> None:
    assert combined(*discounts) == pytest.approx(together)


def test_a_customer_waits_until_the_first_till_is_free() -> None:
    tills = [0, 0]
    service = PAYING + 2 * SCANNING
    assert [queue(tills, 1_000, 2) for _ in range(3)] == [
        (0, 1_000 + service),
        (1, 1_000 + service),
        (0, 1_000 + 2 * service),
    ]
