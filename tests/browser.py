"""What a person sees and does on the store page, in a headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from smartshelf.settings import load
from smartshelf.stack import programs
from smartshelf.stack.layout import Layout

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
#: Real milliseconds for anything that happens with one of the next refreshes, on a busy machine.
PATIENCE = 30_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium from the system or, failing that, fetched like the store's other programs."""
    program = programs.browser(Layout.of(load()))
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(program), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """A browser without pages; what a test has opened is closed: an open page goes on refreshing itself."""
    yield chromium
    for context in chromium.contexts:
        context.close()


class StorePage:
    """The store page at one size of the window."""

    def __init__(self, browser: Browser, url: str, size: dict[str, int], colours: str = "light") -> None:
        self.page: Page = browser.new_page(viewport=size, color_scheme=colours, has_touch=size["width"] < 640)  # type: ignore[arg-type]
        self.page.set_default_timeout(PATIENCE)
        self.foreign: list[str] = []
        self.page.on("request", lambda request: self._note(request.url))
        self.page.goto(url)
        expect(self.shelves.first).to_be_attached(timeout=60_000)
        expect(self.page.locator("rect.shelf.unknown[data-shelf]")).to_have_count(0, timeout=60_000)

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1", "http://localhost", "data:", "blob:")):
            self.foreign.append(url)

    @property
    def shelves(self):  # type: ignore[no-untyped-def]  # a Locator; playwright is not followed by mypy
        return self.page.locator("rect.shelf[data-shelf]")

    @property
    def time(self) -> str:
        return str(self.page.locator("[data-figure=time]").inner_text())

    def figure(self, key: str) -> str:
        return str(self.page.locator(f"[data-figure={key}] .value").inner_text())

    def expect_the_whole_floor(self) -> None:
        """Every shelf of the default store is drawn within the window, by files of the page's own server alone."""
        assert self.shelves.count() == self.drawn_inside() == 1142
        assert not self.scrolls_sideways()
        assert self.foreign == []

    def drawn_inside(self) -> int:
        """Number of shelves with an area within the width of the window."""
        return int(
            self.page.evaluate(
                """() => {
                  const roots = [...document.querySelectorAll('*')].map((element) => element.shadowRoot)
                  const map = roots.map((root) => root?.querySelector('.map')).find(Boolean)
                  return [...map.querySelectorAll('rect.shelf[data-shelf]')].map((rect) => rect.getBoundingClientRect())
                    .filter((box) => box.width > 2 && box.height > 2 && box.left >= 0 && box.right <= innerWidth).length
                }"""
            )
        )

    def scrolls_sideways(self) -> bool:
        return bool(
            self.page.evaluate(
                """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
                  .some((element) => element.scrollWidth > element.clientWidth)"""
            )
        )

    def wait_for_refreshes(self, count: int = 2) -> None:
        """Wait until the page has received that many new readings of the shelves."""
        for _ in range(count):
            before = self.page.locator(".shelf-sources").get_attribute("data-read")
            self.page.wait_for_function(
                "(before) => document.querySelector('.shelf-sources').dataset.read !== before", arg=before
            )

    def wait_for_time_after(self, moment: str) -> None:
        self.page.wait_for_function(
            "(before) => document.querySelector('[data-figure=time]').innerText !== before", arg=moment
        )

    def press(self, label: str) -> None:
        self.page.get_by_role("button", name=label, exact=True).click()

    def wait_for_state(self, state: str) -> None:
        expect(self.page.locator("[data-figure=state]")).to_have_text(state, timeout=PATIENCE)

    def open_shelf(self, shelf_id: str) -> None:
        self.page.locator(f'[data-shelf="{shelf_id}"]').click()
        expect(self.page.locator(".shelf-card")).to_contain_text(shelf_id)

    @property
    def view(self) -> str:
        """The part of the floor that is shown."""
        return str(self.page.locator(".stage > svg").get_attribute("viewBox"))
