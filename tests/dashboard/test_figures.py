"""Key figures, bands and the details of a shelf."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.queries import Profile, ShelfRow, StoreState, Trend
from dashboard.views import figures, fill, text
from tests.dashboard.twin import START, TwinStore

PROFILE = Profile(
    "S01", "BEVCOL0001", "Cola <b>1 l</b>", "BEVERAGES", "Cola", 1, "ambient", 500, 1.69, "SUP-BEV", 40, 36, 300
)


def row(
    stock: int, most: int = 40, *, weight: float | None = None, baskets: int = 0, shelf: str = "BEVCOL0001"
) -> ShelfRow:
    return ShelfRow(shelf, stock, most, baskets, 0, 500.0 * stock if weight is None else weight, 1, 0, START)


@pytest.mark.parametrize(
    ("shelf", "expected"),
    [
        (None, "unknown"),
        (row(-2), "empty"),
        (row(0), "empty"),
        (row(1), "low"),
        (row(11), "low"),
        (row(12), "medium"),
        (row(28), "medium"),
        (row(29), "full"),
        (row(55), "full"),
        (row(1, most=0), "full"),
    ],
)
def test_the_band_of_a_shelf_follows_stock_and_maximum(shelf: ShelfRow | None, expected: str) -> None:
    assert fill.band(shelf) == expected


@given(stock=st.integers(-10_000, 10_000), most=st.integers(0, 10_000))
def test_the_share_is_never_outside_0_to_1(stock: int, most: int) -> None:
    assert 0 <= fill.share(row(stock, most)) <= 1


@pytest.mark.parametrize("ramp", [fill.RAMP_LIGHT, fill.RAMP_DARK])
def test_lightness_of_the_ramp_changes_in_one_direction_so_that_it_reads_without_hue(ramp: tuple[str, ...]) -> None:
    def lightness(colour: str) -> float:
        channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        luminance = sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
        return 116 * luminance ** (1 / 3) - 16

    steps = [lightness(colour) for colour in ramp]
    assert steps in (sorted(steps), sorted(steps, reverse=True))
    assert abs(steps[0] - steps[-1]) > 40


def test_availability_counts_shelves_with_stock_and_units_are_summed() -> None:
    rows = {str(number): row(stock, baskets=2) for number, stock in enumerate((0, 5, 20, 40))}
    values = {figure.key: figure.value for figure in figures.key_figures(StoreState("S01", rows), 4)}
    assert values["available"] == "75.0\u202f%"
    assert (values["empty"], values["low"], values["on_shelves"], values["in_baskets"]) == ("1", "1", "65", "8")


def test_availability_is_not_rounded_up_to_100_while_a_shelf_is_empty() -> None:
    assert text.percent(99_999 / 100_000, 1) == "99.9\u202f%"
    assert text.percent(1.0, 1) == "100.0\u202f%"


def test_without_rows_there_are_no_numbers_to_believe() -> None:
    assert {figure.value for figure in figures.key_figures(StoreState("S01", {}), 1142)} == {"–"}
    assert {figure.value for figure in figures.key_figures(None, 1142)} == {"–"}


def test_changes_are_counted_over_the_last_real_minute_only() -> None:
    start = datetime(2026, 11, 21, 9, tzinfo=UTC)
    trend = [Trend(start + timedelta(seconds=10 * turn), 0, 0, 0, 7 * turn) for turn in range(13)]
    figure = figures.changes_figure(trend)
    assert (figure.value, figure.note) == ("42", "in the last minute")
    young = figures.changes_figure(trend[:3])
    assert (young.value, young.note) == ("14", "in the last 20 s")


@pytest.mark.parametrize(("weight", "agrees"), [(10_000, True), (10_249, True), (10_300, False), (9_000, False)])
def test_the_sensor_agrees_within_half_an_item(weight: float, agrees: bool) -> None:
    check = figures.sensor_check(row(20, weight=weight), PROFILE)
    assert check.agrees is agrees
    assert check.sentence.startswith("Scale agrees" if agrees else "Scale differs")


def test_the_emptiest_shelves_come_first() -> None:
    store = TwinStore()
    store.control.pass_time(600)
    found = figures.most_urgent(store.shelves("S01"), list(store.products["S01"].values()), 12)
    shares = [fill.share(shelf) for _, shelf in found]
    assert shares == sorted(shares)
    assert len(found) == 12
    assert figures.most_urgent(None, [PROFILE], 5) == []


def test_product_names_cannot_inject_markup() -> None:
    html = figures.shelf_html(PROFILE, row(20))
    assert "Cola &lt;b&gt;1 l&lt;/b&gt;" in html
    assert "<b>1 l</b>" not in html


def test_a_negative_stock_is_shown_and_explained() -> None:
    html = figures.shelf_html(PROFILE, row(-3))
    assert "<b>-3</b>" in html
    assert "more was taken than was known to be there" in html


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h"), (9_000, "2 h 30 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_told_in_their_largest_units(seconds: int, words: str) -> None:
    assert text.duration(timedelta(seconds=seconds)) == words
