"""The store page in a real browser, over the twin."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from smartshelf.service import wait_for
from smartshelf.settings import CHECKOUT
from tests.browser import DESKTOP, PATIENCE, PHONE, StorePage, browser, chromium  # noqa: F401  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.dashboard.serve_twin", str(port), "240"],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool | None:
        try:
            return httpx.get(f"{address}/_stcore/health").is_success or None
        except httpx.TransportError:
            return None

    try:
        wait_for("the page server", answers, timeout=60)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_all_shelves_are_drawn_and_nothing_scrolls_sideways(browser: Browser, url: str, size: dict[str, int]) -> None:
    StorePage(browser, url, size).expect_the_whole_floor()


@pytest.mark.parametrize(
    ("page", "shows"),
    [
        ("shelves", "[data-testid=stDataFrame]"),
        ("alerts", "text=Acknowledge"),
        ("orders", "[data-testid=stDataFrame]"),
        ("availability", "[data-testid=stVegaLiteChart] svg"),
        ("pipeline", ".shelf-cards"),
    ],
)
def test_the_other_pages_open_by_their_address_and_fit_a_phone(
    browser: Browser, url: str, page: str, shows: str
) -> None:
    opened = browser.new_page(viewport=PHONE)
    opened.goto(f"{url}/{page}")
    expect(opened.locator(shows).first).to_be_visible(timeout=60_000)
    assert opened.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")


def test_a_click_opens_the_shelf_and_refreshes_keep_it_open_and_zoomed(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    store.open_shelf("BEVCOL0001")
    store.press("Zoom in")
    whole, zoomed = "-0.5 -0.5 61 46", store.view
    assert zoomed != whole
    node = store.shelves.first.element_handle()
    store.wait_for_refreshes(3)
    assert store.view == zoomed
    assert node.evaluate("(element) => element.isConnected"), "the map was drawn anew"
    expect(store.page.locator(".shelf-card")).to_contain_text("BEVCOL0001")
    store.press("Show the whole store")
    assert store.view == whole


def test_the_list_of_the_emptiest_opens_a_shelf(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    first = store.page.locator(".list button").first
    name = first.locator(".name").inner_text()
    first.click()
    expect(store.page.locator(".shelf-card .product")).to_have_text(name)
    store.press("Close")
    expect(store.page.locator(".list button").first).to_be_visible()


def test_hovering_tells_product_stock_and_price(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    store.page.locator('[data-shelf="BEVCOL0002"]').hover()
    tip = store.page.locator(".tip.on")
    expect(tip).to_contain_text("BEVCOL0002")
    expect(tip).to_contain_text("of 53 units")
    expect(tip).to_contain_text("€")


def test_the_keyboard_walks_from_shelf_to_shelf(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    store.page.locator(".stage > svg").focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        store.page.keyboard.press(key)
    expect(store.page.locator(".shelf-card")).to_be_visible()


def test_time_passes_until_pause_and_goes_on_after_resume(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    units = store.figure("on_shelves")
    store.wait_for_time_after(store.time)
    store.page.wait_for_function(
        "(before) => document.querySelector('[data-figure=on_shelves] .value').innerText !== before", arg=units
    )
    store.press("Pause")
    store.wait_for_state("Paused")
    stopped = store.time
    store.wait_for_refreshes(2)
    assert store.time == stopped
    store.press("Resume")
    store.wait_for_state("Running")
    store.wait_for_time_after(stopped)


def test_key_figures_show_their_recent_past(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    trend = store.page.locator("[data-figure=on_shelves] img.trend")
    expect(trend).to_be_visible(timeout=30_000)
    assert trend.evaluate("(image) => image.complete && image.naturalWidth > 0")


def test_a_speed_is_set_by_a_click(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    store.page.get_by_role("radio", name="300×").click()
    expect(store.page.locator(".shelf-time .pace")).to_have_text("300×", timeout=30_000)


def test_fast_forward_goes_to_the_moment_that_was_typed(browser: Browser, url: str) -> None:
    store = StorePage(browser, url, DESKTOP)
    store.press("Fast-forward")
    expect(store.page.get_by_text("Next closing · Thu 22:00")).to_be_visible()
    store.wait_for_refreshes(2)
    year = store.page.get_by_test_id("stDateTimeInput").get_by_role("spinbutton").first
    expect(year).to_have_text("2026")
    store.press("Go")
    store.wait_for_state("Paused")
    assert store.time.endswith(":00")


def test_a_plan_that_was_chosen_stays_chosen_through_refreshes(browser: Browser, url: str) -> None:
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"{url}/orders")
    choice = page.get_by_role("combobox", name="Restock plan to cancel")
    choice.click(timeout=60_000)
    page.get_by_role("option").nth(2).click()
    cancel = page.get_by_role("button", name="Cancel plan").first
    expect(cancel).to_be_enabled()
    time = page.locator("[data-figure=time]")
    before = time.inner_text()
    page.get_by_role("radio", name="600×").click()
    expect(time).not_to_have_text(before, timeout=PATIENCE)
    expect(cancel).to_be_enabled()
