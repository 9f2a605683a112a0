"""The report in a real browser: it opens from disk, answers, and asks the network for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.report import write_report
from layerscope.runs.execute import execute
from layerscope.runs.load import Run

HOSTILE = "<img src=x onerror=document.title='caught'>{:03d}"


@pytest.fixture(scope="module")
def run(invented_run: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Frames of two samples, whose names hold markup."""
    folder = tmp_path_factory.mktemp("run")
    made = invented_run(folder, 200, HOSTILE)
    (folder / "records").mkdir()
    for record in made.records:
        (folder / "records" / f"{record.record_id}.json").write_text(record.to_json())
    return made


@pytest.fixture
def page(browser: Any, run: Run, requests_of: Callable[[], list[str]]) -> Any:
    """The report, opened from disk."""
    path = write_report(run)
    size = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")
    browser.get_log("browser")
    requests_of()
    browser.get(path.as_uri())
    wait(browser, "return document.documentElement.dataset.ready === 'yes'")
    return browser


def wait(browser: Any, question: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 20).until(lambda driver: driver.execute_script(question))


def first_table(page: Any) -> Any:
    """Open the table of weight fractions and return its block."""
    block = page.find_element("xpath", "//details[contains(@class, 'block')][contains(., 'weight fractions')]")
    page.execute_script("arguments[0].open = true; arguments[0].scrollIntoView()", block)
    wait(page, "return document.querySelector('details[open] tbody tr') !== null")
    return block


def column(block: Any, place: int) -> list[str]:
    return [
        row.find_elements("css selector", "td")[place].text for row in block.find_elements("css selector", "tbody tr")
    ]


def test_it_opens_from_disk_without_an_error_and_without_a_request(
    page: Any, run: Run, requests_of: Callable[[], list[str]]
) -> None:
    first_table(page)
    assert run.title in page.title
    assert [entry for entry in page.get_log("browser") if entry["level"] != "INFO"] == []
    assert requests_of() == [(run.folder / "report.html").as_uri()]


def test_names_with_markup_are_shown_as_text(page: Any) -> None:
    block = first_table(page)
    assert "caught" not in page.title
    assert page.find_elements("css selector", "main img") == []
    assert "<img src=x" in block.find_element("css selector", "h3").text


def test_a_column_is_sorted_by_its_numbers_and_back(page: Any) -> None:
    block = first_table(page)
    heads = block.find_elements("css selector", "thead th")
    place = next(n for n, head in enumerate(heads) if head.text.startswith("voltage"))
    button = heads[place].find_element("css selector", "button")
    button.send_keys("\n")
    assert heads[place].get_attribute("aria-sort") == "ascending"
    up = [float(text) for text in column(block, place)]
    assert up == sorted(up)
    button.send_keys("\n")
    assert heads[place].get_attribute("aria-sort") == "descending"
    down = [float(text) for text in column(block, place)]
    assert down == sorted(down, reverse=True)
    assert down[0] > up[-1] - 1e-9


def test_rows_are_filtered_by_words_and_by_numbers(page: Any) -> None:
    block = first_table(page)
    box = block.find_element("css selector", ".here input[type=search]")
    box.send_keys("voltage>4.5")
    assert re.fullmatch(r"\d+ of 100 rows", block.find_element("css selector", ".count").text)
    heads = [head.text for head in block.find_elements("css selector", "thead th")]
    place = next(n for n, head in enumerate(heads) if head.startswith("voltage"))
    assert all(float(text) > 4.5 for text in column(block, place))
    box.clear()
    box.send_keys("overdispersed")
    assert block.find_element("css selector", ".count").text == "3 of 100 rows"


def test_a_plot_says_the_value_with_its_error_and_follows_the_keys(page: Any) -> None:
    block = first_table(page)
    plot = block.find_element("css selector", ".plot [tabindex='0']")
    plot.send_keys("\ue014")  # to the right
    told = page.find_element("id", "tip").text
    assert re.search(r"\d\.\d+\(\d+\)|< \d", told)
    assert "record " in told
    plot.send_keys("\ue014")
    assert page.find_element("id", "tip").text != told
    marks = len(page.find_elements("css selector", ".plot .marks"))
    block.find_element("css selector", ".legend button").click()
    assert len(page.find_elements("css selector", ".plot .marks")) == marks - 1


def test_the_pointer_over_a_point_shows_its_number(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    block = first_table(page)
    svg = block.find_element("css selector", ".plot [tabindex='0'] svg")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    box = page.execute_script(
        "const marks = arguments[0].querySelector('.marks').getAttribute('d').match(/M([\\d.]+) ([\\d.]+)/);"
        "return [Number(marks[1]), Number(marks[2]), arguments[0].clientWidth, arguments[0].clientHeight]",
        svg,
    )
    ActionChains(page).move_to_element_with_offset(
        svg, round(box[0] + 3 - box[2] / 2), round(box[1] - box[3] / 2)
    ).perform()
    assert re.search(r"\d", page.find_element("id", "tip").text)


def test_a_number_leads_to_its_record_and_the_record_to_its_file(page: Any, run: Run) -> None:
    block = first_table(page)
    link = block.find_element("xpath", ".//tbody//td/a[contains(., '(')]")
    number = link.text
    record = run.get(link.get_attribute("href").partition("#r-")[2])
    link.send_keys("\n")
    wait(page, "return document.getElementById('record').open")
    dialog = page.find_element("id", "record")
    assert record.inputs[0].sha256 in dialog.text
    assert number in dialog.text
    assert any(quantity.text() == number for quantity in record.quantities)
    file = dialog.find_element("css selector", "dl a").get_attribute("href")
    assert file == (run.folder / "records" / f"{record.record_id}.json").as_uri()
    page.get(file)
    assert record.record_id in page.page_source


@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_is_wider_than_the_window(page: Any, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    first_table(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    font = "return parseFloat(getComputedStyle(document.querySelector('tbody td')).fontSize)"
    assert page.execute_script(font) >= 12
    wide = (
        "return [...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    )
    assert page.execute_script(wide) == 0
    cards = page.execute_script("return document.querySelector('details[open] table').classList.contains('cards')")
    assert cards is (width == 400)


def test_a_table_without_room_has_its_rows_as_paragraphs_with_heads_and_is_sorted_by_a_list(page: Any) -> None:
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    block = first_table(page)
    cell = block.find_element("css selector", "tbody td[data-head='voltage / V']")
    before = "return getComputedStyle(arguments[0], '::before').content"
    assert "voltage / V" in page.execute_script(before, cell)
    from selenium.webdriver.support.ui import Select

    choice = Select(block.find_element("xpath", ".//span[contains(., 'sort by')]/select"))
    choice.select_by_visible_text("voltage / V")
    found = block.find_elements("css selector", "tbody td[data-head='voltage / V']")
    values = [float(one.text) for one in found[:20]]
    assert values == sorted(values)


def test_a_checker_of_accessibility_finds_no_serious_fault(page: Any) -> None:
    axe = pytest.importorskip("axe_selenium_python", reason="axe is not installed (the extra 'browser')")
    first_table(page)
    for state in ("page", "record"):
        if state == "record":
            page.execute_script("location.hash = document.querySelector('td a').getAttribute('href')")
            wait(page, "return document.getElementById('record').open")
        checker = axe.Axe(page)
        checker.inject()
        faults = [fault for fault in checker.run()["violations"] if fault["impact"] in ("serious", "critical")]
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """The report of a study that claims something of a profile of composition."""
    records = []
    for n, amount in enumerate((16.0, 8.0, 1.0)):
        boron = Quantity(
            name="composition.atomic_fraction", component="B", value=amount, sigma=1.0, sigma_kind="counting", unit="%"
        )
        state = SampleState(sample="B-LCO, pristine", etch_time_s=60.0 * n, depth_nm=9.0 * n)
        records.append(
            ResultRecord(
                record_id=f"{n:064x}", technique="xps", method="xps.composition", method_version="1", state=state,
                quantities=(boron,),
            )
        )  # fmt: skip
    evidence = {"technique": "xps", "quantity": "composition.atomic_fraction", "component": "B", "expects": "greater"}
    claim = {"says": "Boron is at the surface", "of": "B-LCO: pristine", "evidence": [{**evidence, "pick": "first"}]}
    story = {"samples": [{"name": "B-LCO", "states": {"pristine": ["B-LCO, pristine"]}}], "claims": [claim]}
    return write_report(Run(tmp_path, tuple(records), {"title": "Story", "story": story}))


def test_claims_and_depths_are_shown_and_pass_the_checker(browser: Any, told: Path) -> None:
    axe = pytest.importorskip("axe_selenium_python", reason="axe is not installed (the extra 'browser')")
    browser.get(told.as_uri())
    wait(browser, "return document.querySelectorAll('#along-the-depth rect').length === 3")
    wait(browser, "return document.querySelector('#claims tbody tr') !== null")
    assert browser.find_element("css selector", "#claims tbody tr td:nth-child(2)").text == "stands"
    widths = [float(r.get_attribute("x")) for r in browser.find_elements("css selector", "#along-the-depth rect")]
    assert widths == sorted(widths)
    checker = axe.Axe(browser)
    checker.inject()
    faults = [fault for fault in checker.run()["violations"] if fault["impact"] in ("serious", "critical")]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []


def test_a_fit_is_drawn_and_its_levels_are_chosen(browser: Any, recipe_folder: Path, tmp_path: Path) -> None:
    execute(recipe_folder / "recipe.toml", tmp_path / "run")
    browser.get((tmp_path / "run" / "report.html").as_uri())
    wait(browser, "return document.querySelector('#fits .marks') !== null")
    points = "return document.querySelector('#fits .marks').getAttribute('d')"
    last = browser.execute_script(points)
    browser.find_element("css selector", "#fits select").send_keys("\ue013")  # up, to the first level
    wait(browser, f"{points} !== {last!r}")
    browser.find_element("css selector", "#fits [tabindex='0']").send_keys("\ue014")
    assert "measured 100, fit 100" in browser.find_element("id", "tip").text
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def test_all_levels_of_a_long_series_are_drawn_as_shades(browser: Any, reference_run: Callable[[str], Path]) -> None:
    browser.get((reference_run("eels_line_lco/recipe.toml") / "report.html").as_uri())
    wait(browser, "return document.querySelector('#fits canvas') !== null")
    darkest = browser.execute_script(
        "const made = document.querySelector('#fits canvas'), { width, height } = made;"
        "const pixels = made.getContext('2d').getImageData(0, 0, width, height).data;"
        "const red = (row) => Array.from({ length: width }, (_, n) => pixels[4 * (row * width + n)]);"
        "return Array.from({ length: height }, (_, row) => red(row))"
        ".map(reds => reds.indexOf(Math.min(...reds)) / (width - 1))"
    )
    assert len(darkest) == 10
    assert all(0.51 < place < 0.56 for place in darkest), "the Co L3 line at 777 to 781 eV, between 726 and 826"
    assert darkest[0] > darkest[-1], "the surface is reduced, and the first level lies below"
    canvas = browser.find_element("css selector", "#fits canvas")
    assert "10 levels" in canvas.get_attribute("aria-label")
    browser.execute_script(
        "const box = arguments[0].getBoundingClientRect();"
        "const at = { bubbles: true, clientX: box.left + 2, clientY: box.bottom - 2 };"
        "arguments[0].dispatchEvent(new PointerEvent('pointermove', at))",
        canvas,
    )
    assert "depth 0 nm" in browser.find_element("id", "tip").get_attribute("textContent")
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
