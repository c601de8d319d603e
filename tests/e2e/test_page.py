"""The page of a store on real servers, in a real browser. Leaves no store behind: the others start from the opening."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import DESKTOP, PATIENCE, PHONE, StorePage, browser, chromium  # noqa: F401  # fixtures
from tests.e2e.conftest import Store

pytestmark = [pytest.mark.servers, pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def url(store: Store) -> Iterator[str]:
    store.env["TIME_MULTIPLIER"] = "60"
    store.run("up", timeout=600)
    yield str(store.report("status")["urls"]["dashboard"])
    store.run("reset", "--yes", timeout=180)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_all_shelves_are_drawn_with_their_stock(browser: Browser, url: str, size: dict[str, int]) -> None:
    StorePage(browser, url, size).expect_the_whole_floor()


def test_stock_falls_as_shoppers_take_products(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    moment, units = store.time, store.figure("on_shelves")
    store.wait_for_time_after(moment)
    store.page.wait_for_function(
        "(before) => document.querySelector('[data-figure=on_shelves] .value').innerText !== before", arg=units
    )


def test_pause_on_the_page_stops_the_store_and_resume_lets_it_go_on(browser: Browser, url: str, store: Store) -> None:
    page = StorePage(browser, url, DESKTOP)
    page.press("Pause")
    page.wait_for_state("Paused")
    assert store.report("clock", "status")["state"] == "paused"
    stopped = page.time
    page.press("Resume")
    page.wait_for_state("Running")
    page.wait_for_time_after(stopped)


def test_a_supplier_plan_is_canceled_on_the_page_and_the_store_says_what_came_of_it(browser: Browser, url: str) -> None:
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"{url}/orders")
    page.get_by_role("tab", name="Next supplier order").click(timeout=60_000)
    page.get_by_role("combobox", name="Supplier plan to cancel").click()
    page.get_by_role("option").first.click()
    page.get_by_role("button", name="Cancel plan").click()
    expect(page.get_by_test_id("stToast")).to_contain_text("Nothing is ordered by this plan.", timeout=PATIENCE)


def test_with_postgres_down_the_page_keeps_the_last_values_and_says_so(
    browser: Browser, url: str, store: Store
) -> None:
    page = StorePage(browser, url, DESKTOP)
    units = page.figure("on_shelves")
    store.run("stop", "postgres", timeout=120)
    try:
        expect(page.page.locator(".shelf-sources .down")).to_contain_text("Last known values", timeout=30_000)
        assert page.figure("on_shelves") != "–"
        assert units != "–"
        assert page.page.locator("[data-testid=stException]").count() == 0
    finally:
        store.run("start", "postgres", timeout=120)
    expect(page.page.locator(".shelf-sources .down")).to_have_count(0, timeout=60_000)
