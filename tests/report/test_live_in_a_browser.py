"""The live page in a real browser: it follows a run without being loaded anew, and keeps what its reader opened."""

from __future__ import annotations

import re
import runpy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.live import serve
from layerscope.runs.watch import Watch

pytest.importorskip("starlette", reason="starlette is not installed (the extra 'live')")
pytest.importorskip("uvicorn", reason="uvicorn is not installed (the extra 'live')")
MADE = runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks" / "live_series.py"))
WIDTHS = (1280, 400)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, Watch]]:
    """A folder with four frames that is watched, and its watch."""
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "recipe.toml").write_text(MADE["RECIPE"])
    for number in range(4):
        (folder / f"f_{number:03d}.uxd").write_text(MADE["frame"](number))
    watch = Watch(folder, tmp_path / "recipe.toml", tmp_path / "run", quiet_s=0.2, broken_after_s=0.5)
    stop = threading.Event()
    following = threading.Thread(target=watch.follow, args=(stop,), kwargs={"poll_s": 0.1})
    following.start()
    yield folder, watch
    stop.set()
    following.join(60)


def wait(browser: Any, question: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 90).until(lambda driver: driver.execute_script(question))


INSIDE = "const page = document.getElementById('report').contentDocument;"
READY = f"{INSIDE} return page.documentElement.dataset.ready === 'yes'"
TABLE, CURVE = (f"page.querySelector('details.block[data-{kind}]')" for kind in ("table", "curve"))


def settled(browser: Any, watch: Watch, files: str) -> None:
    """Wait until the page shows the update with so many files."""
    wait(browser, f"return document.getElementById('state').textContent.startsWith('{files}')")
    wait(browser, f"{READY} && page.URL.endsWith('version={watch.seen.version}')")


def rows(browser: Any) -> str:
    """Return what the page says of the rows of the first table."""
    return str(
        wait(browser, f"{INSIDE} const count = {TABLE}?.querySelector('.count'); return count && count.textContent")
    )


def pictures(browser: Any, take: Callable[[int], None]) -> None:
    """Show the page at two widths."""
    for width in WIDTHS:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        take(width)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_follows_the_run_and_keeps_what_was_opened(
    browser: Any, watched: tuple[Path, Watch], tmp_path: Path
) -> None:
    folder, watch = watched
    with serve(tmp_path / "run", lambda: watch.seen) as served:
        browser.get(served.address)
        browser.get_log("browser")
        browser.execute_script("window.mark = 'the same page'")
        settled(browser, watch, "4 files")
        browser.execute_script(f"{INSIDE} {TABLE}.open = true; {CURVE}.open = false")
        assert rows(browser) == "4 rows"
        browser.execute_script(
            f"{INSIDE} const box = {TABLE}.querySelector('input[type=search]'); box.value = 'time>60';"
            "box.dispatchEvent(new Event('input')); page.defaultView.scrollTo(0, 300)"
        )
        assert rows(browser) == "3 of 4 rows"
        (folder / "f_004.tmp").write_text(MADE["frame"](4))
        (folder / "f_004.tmp").rename(folder / "f_004.uxd")
        (folder / "f_005.uxd").write_text(MADE["frame"](5)[:900])
        wait(browser, f"{INSIDE} return {TABLE}?.querySelector('.count')?.textContent === '4 of 5 rows'")
        wait(browser, "return [...document.querySelectorAll('#files tr')].some(r => /broken/.test(r.textContent))")
        settled(browser, watch, "6 files")
        assert browser.execute_script("return window.mark") == "the same page"
        wait(browser, f"{INSIDE} return {TABLE}?.open && {CURVE}?.open === false")
        wait(browser, f"{INSIDE} return page.defaultView.scrollY === 300")

        browser.switch_to.frame("report")
        plot = browser.find_element("css selector", "details.block[data-table] .plot [tabindex='0']")
        plot.send_keys("\ue014")  # to the right
        assert re.search(r"\d\.\d+\(\d+\)", browser.find_element("id", "tip").text)
        browser.switch_to.default_content()

        def narrow(width: int) -> None:
            inner = f"{INSIDE} return Math.max(...[page, document].map(one => one.documentElement.scrollWidth))"
            assert browser.execute_script(inner) <= width
            lines = (
                "document.querySelector('details').open = true; const range = document.createRange();"
                "range.selectNodeContents(document.querySelector('#files td:nth-child(2)'));"
                "return range.getClientRects().length"
            )
            assert browser.execute_script(lines) == 1
            font = "return parseFloat(getComputedStyle(document.getElementById('state')).fontSize)"
            assert browser.execute_script(font) >= 12

        pictures(browser, narrow)
        assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
