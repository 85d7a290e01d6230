"""A user's whole trip in a real browser: example, changed input, probe, decision, PDF; nothing in the console, no other host asked."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import pytest
from pypdf import PdfReader

from tests.dashboard.conftest import WAIT_MS
from tests.dashboard.served import served

pytestmark = pytest.mark.browser

PROBE_MS = 180_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard at a free loopback port, with a data folder of its own."""
    with served(tmp_path_factory.mktemp("served")) as dashboard:
        yield dashboard.url
    said = dashboard.log.read_text()
    assert "Traceback" not in said, said


@dataclass
class Watched:
    """A page and what it did that it should not.

    page: Playwright's page
    errors: of the console and of scripts
    elsewhere: addresses of other hosts that were asked
    """

    page: object
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


@pytest.fixture
def watched(browser, server: str) -> Iterator[Watched]:
    context = browser.new_context(
        viewport={"width": 1366, "height": 900}, color_scheme="light", reduced_motion="reduce", locale="en-US", timezone_id="UTC"
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    seen = Watched(page)
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.elsewhere.append(request.url) if foreign(request.url, server) else None)
    page.goto(server)
    settled(page)
    yield seen
    context.close()


def foreign(url: str, server: str) -> bool:
    return urlparse(url).scheme in ("http", "https", "ws", "wss") and urlparse(url).netloc != urlparse(server).netloc


SETTLED = """() => {
    const app = document.querySelector('[data-testid=stApp]')
    return app?.dataset.testConnectionState === 'CONNECTED' && app.dataset.testScriptState === 'notRunning'
        && !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')
}"""
CHARTS = {"": 1, "costs": 7}
"""Page -> charts at least."""
EVERY_CHART_IS_DRAWN = """least => {
    const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart]')]
    return charts.length >= least && charts.every(chart =>
        (chart.querySelector('svg.main-svg')?.getBoundingClientRect().height ?? 0) > 200 && chart.querySelector('path, rect.point'))
}"""


def settled(page) -> None:
    """The script has run, nothing is left of the run before and nothing is a skeleton any more: all at one moment.

    What is computed beside the page (the doubt) may still come, and draws the page once more.
    """
    page.wait_for_function(SETTLED)


def to(page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()


def first_total(page) -> str:
    return page.get_by_test_id("stTable").first.locator("tbody tr").first.locator("td").nth(1).inner_text()


def refused_folder(page):
    return page.get_by_test_id("stExpander").filter(has_text="Refused, and why")


def refused(page) -> None:
    """Unfold the options that are refused, whose reasons stand there."""
    from playwright.sync_api import expect

    settled(page)
    folder = refused_folder(page)
    if folder.locator("details").get_attribute("open") is None:
        folder.locator("summary").click()
    expect(folder.get_by_role("row").first).to_be_visible()


@pytest.mark.probe
def test_the_whole_trip_from_an_example_to_a_measured_decision_on_paper(watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    page.get_by_role("button", name="Customer support").click()
    expect(page.get_by_role("spinbutton", name="Million tokens a day")).to_have_value("15")
    before = first_total(page)
    page.get_by_role("spinbutton", name="Million tokens a day").fill("30")
    page.get_by_role("spinbutton", name="Million tokens a day").press("Enter")
    expect(page.get_by_test_id("stTable").first.locator("tbody tr").first.locator("td").nth(1)).not_to_have_text(before)
    expect(page).to_have_url(re.compile(r"mtok_per_day=30"))
    refused(page)
    expect(page.get_by_text("this machine has not been measured")).to_be_visible()

    to(page, "Measure")
    page.get_by_role("combobox", name="Time to measure").click()
    page.get_by_role("option", name="short, 15 s").click()
    page.get_by_role("button", name="Start the probe").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.get_by_text("Measured of predicted")).to_be_visible(timeout=PROBE_MS)
    settled(page)
    accept = page.get_by_role("button", name="Use it all the same")
    if accept.count():  # a busy machine makes a doubtful probe
        accept.click()
        expect(page.get_by_text("you said so")).to_be_visible()

    to(page, "Decide")
    refused(page)
    machine = page.get_by_role("row").filter(has_text="This machine")
    expect(machine).to_contain_text("$")
    expect(page.get_by_text("this machine has not been measured")).to_have_count(0)
    assert pdf_of(page).count("Customer support") > 0
    assert (watched.errors, watched.elsewhere) == ([], [])


def test_a_shared_link_opens_the_same_verdict_and_its_pdf(watched: Watched, server: str) -> None:
    from playwright.sync_api import expect

    page = watched.page
    before = first_total(page)
    page.get_by_role("spinbutton", name="Million tokens a day").fill("400")
    page.get_by_role("spinbutton", name="Million tokens a day").press("Enter")
    expect(page).to_have_url(re.compile(r"mtok_per_day=400"))
    expect(page.get_by_test_id("stTable").first.locator("tbody tr").first.locator("td").nth(1)).not_to_have_text(before)
    total = first_total(page)
    to(page, "Report")
    settled(page)
    link = page.get_by_test_id("stCode").inner_text().strip()
    assert link.startswith(server)
    text = pdf_of(page)
    assert total in text
    page.goto(link)
    settled(page)
    assert first_total(page) == total
    assert (watched.errors, watched.elsewhere) == ([], [])


def test_what_was_unfolded_stays_so_when_another_number_stands_in_its_title(watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    refused(page)
    title = refused_folder(page).locator("summary").inner_text()
    page.get_by_role("spinbutton", name="Labelled examples").fill("0")
    page.get_by_role("spinbutton", name="Labelled examples").press("Enter")
    expect(refused_folder(page).locator("summary")).not_to_have_text(title)
    settled(page)
    expect(refused_folder(page).get_by_role("row").first).to_be_visible()
    assert watched.errors == []


def test_the_tree_is_walked_by_keyboard_and_by_mouse(watched: Watched) -> None:
    from playwright.sync_api import expect

    page = watched.page
    question = page.get_by_role("button", name=re.compile("^How many labelled examples are there"))
    question.focus()
    page.keyboard.press("Enter")
    details = page.locator(".st-key-decide\\.details, .st-key-decide-details").first
    expect(details).to_contain_text("How many labelled examples are there?")
    page.get_by_role("button", name="Advice: A larger model", exact=True).click()
    expect(details).to_contain_text("GPT-4-class API")
    assert watched.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1366, 900), (390, 844)])
def test_no_page_is_wider_than_its_window_or_holds_an_empty_chart(browser, server: str, scheme: str, width: int, height: int) -> None:
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    for name in ("", "costs", "measure", "saved", "report", "sources"):
        page.goto(f"{server}/{name}")
        settled(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        expect(page.get_by_test_id("stException")).to_have_count(0)
        page.wait_for_function(EVERY_CHART_IS_DRAWN, arg=CHARTS.get(name, 0))
    context.close()


PAGES = ("", "costs", "measure", "evaluate", "playbook", "saved", "report", "sources")


@pytest.mark.parametrize(
    ("scheme", "width", "height", "pages"),
    [("dark", 1366, 900, PAGES), ("light", 390, 844, PAGES), ("light", 1366, 900, PAGES[:2]), ("dark", 390, 844, PAGES[:2])],
)
def test_axe_finds_nothing_serious_on_any_page(browser, server: str, scheme: str, width: int, height: int, pages: tuple[str, ...]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    found = []
    for name in pages:
        page.goto(f"{server}/{name}")
        settled(page)
        seen = serious(Axe(), page)
        if seen:  # parts of a page that is being drawn again are faded, which is no fault of their colours
            settled(page)
            seen = serious(Axe(), page)
        found += [(name, *violation) for violation in seen]
    context.close()
    assert found == []


def serious(axe, page) -> list[tuple[str, str]]:
    """What axe finds that is serious or critical: its rule and where."""
    violations = [found for found in axe.run(page).response["violations"] if found["impact"] in ("serious", "critical")]
    return [(violation["id"], node["html"][:200]) for violation in violations for node in violation["nodes"]]


def test_the_trip_by_keyboard_alone(watched: Watched) -> None:
    """Example, changed input, the other pages and the PDF: Tab, Enter and letters, no mouse."""
    from playwright.sync_api import expect

    page = watched.page
    reach(page, "button", "Customer support")
    page.keyboard.press("Enter")
    expect(page.get_by_role("spinbutton", name="Million tokens a day")).to_have_value("15")
    settled(page)
    reach(page, "spinbutton", "Million tokens a day")
    page.keyboard.press("Control+A")
    page.keyboard.type("400")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"mtok_per_day=400"))
    settled(page)
    reach(page, "link", "Report")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Take it along")).to_be_visible()
    settled(page)
    reach(page, "button", "PDF for signing off")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
    assert (watched.errors, watched.elsewhere) == ([], [])


def reach(page, role: str, name: str) -> None:
    """Press Tab until the element has the focus, at most a page's worth of times; what has it is seen to have it."""
    wanted = page.get_by_role(role, name=name, exact=True).first
    for _ in range(400):
        if wanted.evaluate("element => element === document.activeElement || element.contains(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached the {role} {name!r}")


def pdf_of(page) -> str:
    """The text of the PDF that the Report page hands out."""
    to(page, "Report")
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="PDF for signing off").click()
    content = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename.endswith(".pdf")
    return "\n".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(content)).pages)
