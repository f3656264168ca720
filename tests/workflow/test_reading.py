"""What a reader opens: index.md with its pictures, and report.html in a browser, clicked through without a network."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from selenium.common.exceptions import ElementClickInterceptedException as Covered
from selenium.common.exceptions import NoSuchElementException as NotYet
from selenium.common.exceptions import StaleElementReferenceException as Replaced
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import frame_to_be_available_and_switch_to_it
from selenium.webdriver.support.ui import WebDriverWait

from fxcore.params.experiment import load
from fxcore.planning import contents
from tests.conftest import TINY

TABLES, FIGURES = contents.tables(load(TINY)), contents.figures(load(TINY))
"""Of the tiny experiment."""
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1400,1000"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever a page asks for is seen in the log, and goes nowhere
)
STILL = "document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important }</style>')"
SECONDS = 20
"""To wait for what a click brings."""


class Reader:
    """A browser on one page of the disk, and what it asked for."""

    def __init__(self, profile: Path) -> None:
        options = ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.browser = Chrome(options=options, service=Service(DRIVER))
        self.wait = WebDriverWait(self.browser, SECONDS, ignored_exceptions=[NotYet, Covered, Replaced])

    def open(self, page: Path) -> None:
        self.browser.get("about:blank")
        self.asked_for()  # the browser's own first page
        self.browser.get(page.as_uri())
        # The menu slides from one width to another, and a click would miss what moves.
        self.browser.execute_script(STILL)

    def asked_for(self) -> list[str]:
        """Addresses requested since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        events = ("Network.requestWillBeSent", "Network.webSocketCreated")
        found = [one["params"] for one in entries if one["method"] in events]
        return [one["request"]["url"] if "request" in one else one["url"] for one in found]

    def click(self, text: str) -> None:
        self._click(By.LINK_TEXT, text)

    def _click(self, by: str, where: str) -> None:
        self.wait.until(lambda browser: browser.find_element(by, where).click() is None)

    def click_beside(self, name: str, icon: str) -> None:
        """The symbol in the row of a table or figure: an eye shows it, an i tells about it."""
        row = f"//tr[td[1][normalize-space()='{name}']]//a[@iconname='{icon}']"
        self._click(By.XPATH, row)

    def look_inside(self, source: str) -> None:
        """Into the page within the page that comes from `source`."""
        inner = f"//iframe[contains(@src, '{source}')]"
        self.wait.until(frame_to_be_available_and_switch_to_it((By.XPATH, inner)))
        self.wait.until(lambda browser: browser.find_elements(By.TAG_NAME, "table"))

    def text(self) -> str:
        return str(self.browser.find_element(By.TAG_NAME, "body").text)


@pytest.fixture
def reader(tmp_path):
    if CHROMIUM is None or DRIVER is None:
        pytest.skip(
            "needs the Debian packages chromium and chromium-driver: apt-get install -y chromium chromium-driver"
        )
    made = Reader(tmp_path / "profile")
    yield made
    made.browser.quit()


def _plain(markdown):
    """What a reader sees of it: signs of its own are escaped."""
    return markdown.replace("\\", "")


def _caption(experiment, figure):
    return (experiment.results / f"figures/{figure}.md").read_text().strip()


def test_every_picture_of_the_index_decodes_and_stands_below_its_caption(experiment):
    page = (experiment.results / "index.md").read_text()
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)
    assert pictures == [f"figures/{figure}.png" for figure in FIGURES]
    for picture in pictures:
        with Image.open(experiment.results / picture) as image:
            assert image.format == "PNG"
            image.load()
    for figure in FIGURES:
        caption = _caption(experiment, figure)
        assert caption.startswith("Phantom data: synthetic pictures, not radiographs.")
        assert "one seed" in caption or "nothing here is measured" in caption
        assert "Example A" in caption or figure == "leakage"  # which has a row for each dataset that shares anything
        assert page.index(caption) < page.index(f"figures/{figure}.png")


def test_every_table_of_the_report_is_reached_by_clicking_and_shows_its_caption_and_rows(experiment, reader):
    reader.open(experiment.results / "report.html")
    reader.click("Tables")
    for name in TABLES:
        lines = _plain((experiment.results / f"tables/{name}.md").read_text()).splitlines()
        reader.click_beside(name, "eye")
        reader.look_inside(f"filename={name}.html")
        assert lines[0][2:] in reader.text()
        assert " ".join(lines[2].split()) in reader.text()
        rows = reader.browser.find_elements(By.TAG_NAME, "tr")
        assert len(rows) == len(lines) - 5  # heading, caption, two blanks and the rule are none
        reader.browser.switch_to.default_content()
    assert all(address.startswith(("file:", "data:")) for address in reader.asked_for())


def test_every_figure_of_the_report_is_reached_by_clicking_with_its_caption(experiment, reader):
    reader.open(experiment.results / "report.html")
    reader.click("Figures")
    for name in FIGURES:
        reader.click_beside(name, "eye")
        shown = reader.wait.until(
            lambda browser, name=name: browser.find_element(By.XPATH, f"//img[contains(@src, 'filename={name}.png')]")
        )
        width = reader.wait.until(lambda _, shown=shown: shown.get_property("naturalWidth"))
        with Image.open(experiment.results / f"figures/{name}.png") as picture:
            assert width == picture.size[0]
    for name in FIGURES:
        reader.click_beside(name, "information-circle")
        caption = " ".join(_plain(_caption(experiment, name)).split())[:200]
        reader.wait.until(lambda _, caption=caption: caption in " ".join(reader.text().split()))
        reader.click("Figures")
    assert all(address.startswith(("file:", "data:")) for address in reader.asked_for())


def test_a_page_that_asks_for_the_network_would_be_noticed(reader, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<script src="https://cdn.example.org/react.js"></script>')
    reader.open(page)
    assert "https://cdn.example.org/react.js" in reader.asked_for()
