"""Pages in a real Chromium: at every width, in light, dark and print, nothing is cut, and everybody can use them."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from promotion.rendering import report_html
from promotion.rendering.history import history_html

from tests.rendering import golden
from tests.support import github_page, sample_history, samples
from tests.support.browser import Browser
from tests.support.hostile import EVERYTHING, hostile_model

pytestmark = pytest.mark.browser
WIDTHS = (390, 820, 1280)
LOOKS = [(width, scheme, "") for width in WIDTHS for scheme in ("light", "dark")] + [(794, "light", "print")]
SCREEN = 900  # pixels
PAGES = {
    **{name: (models, ()) for name, models in samples.every().items()},
    "warned": ((samples.warned(),), ()),
    "hostile": ((hostile_model(EVERYTHING),), (EVERYTHING,)),
}

CUT = Path(__file__).with_name("cut.js").read_text(encoding="utf-8")
POWER = """
  const cards = [...document.querySelectorAll("section")];
  const card = cards.find(section => section.textContent.includes("What this test set can show"));
  return [...card.querySelectorAll("td:not(.whole)")].map(cell => {
    const box = cell.getBoundingClientRect(), text = cell.textContent.trim().replace("\\u00a0", " ");
    return [text, box.left >= 0 && box.right <= innerWidth && box.width > 20];
  });"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all."""
    found = Browser()
    yield found
    found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """report.html of every sample, and history.html of every history."""
    folder = tmp_path_factory.mktemp("pages")
    for name, (models, refusals) in PAGES.items():
        page = report_html(models, plan=samples.PLAN, refusals=refusals, links=golden.LINKS)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    for name, histories in sample_history.every().items():
        page = history_html(histories, commit=sample_history.COMMIT, when=sample_history.WHEN, web=sample_history.WEB)
        (folder / f"history {name}.html").write_text(page, encoding="utf-8")
    return {path.stem: path for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(("width", "scheme", "media"), LOOKS)
def test_nothing_is_cut_and_nothing_is_said(
    browser: Browser, pages: dict[str, Path], width: int, scheme: str, media: str
) -> None:
    """No text leaves its cell, its card or the page, no fold or table hides any, and the console is silent."""
    for name, page in pages.items():
        browser.open(page, width=width, scheme=scheme, media=media)
        browser.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")

        assert (name, browser.run(CUT)) == (name, [])
        assert (name, browser.complaints()) == (name, [])


@pytest.mark.parametrize(("width", "scheme", "media"), LOOKS)
def test_the_figures_of_the_power_are_on_the_page(
    browser: Browser, pages: dict[str, Path], width: int, scheme: str, media: str
) -> None:
    """A long warning does not push the figures of `What this test set can show` out of sight."""
    browser.open(pages["warned"], width=width, scheme=scheme, media=media)
    shown = browser.run(POWER)

    assert [text for text, _ in shown][:4] == ["$2,830", "0.5%", "9.0%", "19 days"]
    assert all(seen for _, seen in shown)


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_axe_finds_nothing_serious(browser: Browser, pages: dict[str, Path], width: int, scheme: str) -> None:
    """Contrast, names, roles, order: whatever axe-core calls serious or critical."""
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed; `make test-browser` installs it")
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    for name, page in pages.items():
        browser.open(page, width=width, scheme=scheme)
        browser.run("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        browser.run(axe)
        found = browser.run("return axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (violation["id"], node["html"][:120], node["any"][:1])
            for violation in found["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]

        assert (name, serious) == (name, [])


@pytest.mark.parametrize("name", ["promote", "history many"])
def test_the_keyboard_reaches_every_fold_link_and_head(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """Tab visits all of them, and Enter opens a fold."""
    browser.open(pages[name])
    reached = "[...document.querySelectorAll('summary, a[href], th button, pre, input')]"
    wanted = browser.run(f"return {reached}.filter(one => one.checkVisibility()).length")
    visited = set()
    for _ in range(wanted + 2):
        browser.press("\ue004")
        visited.add(browser.run("return [...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    browser.run("document.querySelector('summary').focus()")
    browser.press("\ue007")

    assert wanted > 10 and len(visited - {-1, 0, 1}) >= wanted
    assert browser.run("return document.querySelector('details').open")


def test_slices_sort_by_any_figure_both_ways(browser: Browser, pages: dict[str, Path]) -> None:
    """A click on a head sorts by its figures, the largest first; a second one turns it round, and says so."""
    browser.open(pages["promote"])
    read = """
      const table = document.querySelector("table.sortable");
      const head = [...table.querySelectorAll("th")].findIndex(th => th.textContent.trim() === "difference");
      if (arguments[0]) table.querySelectorAll("th")[head].querySelector("button").click();
      const values = [...table.tBodies[0].rows].map(row => parseFloat(row.cells[head].dataset.value));
      return [table.querySelectorAll("th")[head].getAttribute("aria-sort"), values];"""
    values = browser.run(read, False)[1]

    assert browser.run(read, True) == ["descending", sorted(values, reverse=True)]
    assert browser.run(read, True) == ["ascending", sorted(values)]


def test_models_of_the_history_sort_by_what_they_realized(browser: Browser, pages: dict[str, Path]) -> None:
    """The table of all models sorts like any other; a model without a figure stands last."""
    browser.open(pages["history many"])
    read = """
      const table = document.querySelector("table.sortable");
      [...table.querySelectorAll("th button")].find(button => button.textContent.trim() === arguments[0]).click();
      return [...table.tBodies[0].rows].map(row => row.cells[0].textContent.trim());"""

    assert browser.run(read, "promised")[0] == "fraud-detector"
    assert browser.run(read, "model") == ["fraud-detector", "diabetes-progression", "churn"]


def test_the_curves_are_read_at_any_number_of_flagged_rows(browser: Browser, pages: dict[str, Path]) -> None:
    """The slider starts at the candidate's own decisions, and an arrow key moves it and both figures."""
    browser.open(pages["promote"])
    said = "return [...document.querySelectorAll('figure.curve output')].map(output => output.textContent)"
    first = browser.run(said)
    browser.run("document.querySelector('figure.curve input').focus()")
    browser.press("\ue014")
    second = browser.run(said)

    assert first == ["at 470: $50,919", "at 470: $47,207"]
    assert second[0].startswith("at 589: $") and second[1].startswith("at 589: $")
    assert browser.run("return document.activeElement.getAttribute('aria-valuetext')") == "589 rows"


@pytest.mark.parametrize("name", ["promote", "history one"])
def test_a_page_asks_nobody_for_anything(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """Nothing is loaded but the file itself, so it works without a network, and from an artifact's folder."""
    network = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", network)
    try:
        browser.open(pages[name])

        assert browser.run("return performance.getEntriesByType('resource').length") == 0
        assert "PROMOTE" in browser.run("return document.body.innerText")
        assert browser.complaints() == []
    finally:
        browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": False})


def test_a_page_needs_no_script(browser: Browser, pages: dict[str, Path]) -> None:
    """Where scripts are off, every figure is there."""
    text = "return [...document.querySelectorAll('main td')].map(cell => cell.textContent.trim()).join('|')"
    browser.open(pages["promote"])
    whole = browser.run(text)
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(pages["promote"])
        tree = browser.driver.execute_cdp_cmd("DOM.getDocument", {"depth": 0})
        html = browser.driver.execute_cdp_cmd("DOM.getOuterHTML", {"nodeId": tree["root"]["nodeId"]})["outerHTML"]
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

    assert "<button" not in html
    assert whole.split("|")[0].split()[0] == "✓" and "$50,184" in html


def test_a_page_prints(browser: Browser, pages: dict[str, Path]) -> None:
    """Chromium makes a PDF of it, a few pages long."""
    browser.open(pages["promote"])
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]

    assert printed.startswith("JVBERi") and len(printed) > 20_000


@pytest.mark.parametrize("name", [name for name, models in samples.every().items() if len(models) == 1])
def test_a_comment_is_one_screen_before_its_folds(browser: Browser, tmp_path: Path, name: str) -> None:
    """What a reviewer reads without a click fits a screen; a log that explains an error is a fold that is open."""
    (tmp_path / "comment.html").write_text(github_page.page(golden.comments()[name]), encoding="utf-8")
    browser.open(tmp_path / "comment.html", width=1000)
    top = browser.run("return document.querySelector('details')?.getBoundingClientRect().top ?? 0")

    assert top <= SCREEN
