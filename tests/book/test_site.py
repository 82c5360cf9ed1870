"""The site: built without a warning, and read in a browser without a network."""
import os
import shutil
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from scratchnet import cli
from scratchnet.book import command

SAMPLES = {"convolution": "03_convolution.py", "pooling": "04_pooling.py"}
LESSON = '''# %% [markdown]
# # {title}: a sample
#
# A formula, $\\frac{{\\partial L}}{{\\partial x}}$, and one by itself:
#
# $$y = \\sum_i w_i \\cdot x_i$$
#
# A word: {{term}}`batch`.

# %%
import numpy as np
from matplotlib.figure import Figure
from scratchnet.lesson import Lesson
lesson = Lesson("{name}")
print("a very long line " * 30)

# %%
figure = Figure(figsize=(8, 3))
figure.subplots().plot([1, 2])
lesson.save(figure, "line", alt="A line that rises")
lesson.end()
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two sample lessons; or the book in SCRATCHNET_SITE, for the tests that read pages."""
    for module in command.NEEDS:
        pytest.importorskip(module)
    from scratchnet.book.site import build
    if given := os.environ.get("SCRATCHNET_SITE"):
        return Path(given)
    folder = tmp_path_factory.mktemp("book")
    lessons = {}
    for name, file in SAMPLES.items():
        lessons[name] = folder / file
        lessons[name].write_text(LESSON.format(name=name, title=name.title()), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)                             # what was run is kept in runs/book there
        build(lessons, folder / "site", tell=lambda said: None)
    return folder / "site"


def test_pages_have_formulas_pictures_and_a_notebook_and_ask_no_other_host(site):
    page = (site / "03_convolution.html").read_text(encoding="utf-8")
    assert page.count("<math") == 2 and 'alt="A line that rises"' in page
    assert "03_convolution.ipynb" in page and list(site.rglob("03_convolution.ipynb"))
    for html in site.glob("*.html"):
        text = html.read_text(encoding="utf-8")
        assert 'src="http' not in text and 'rel="stylesheet" type="text/css" href="http' not in text
    assert "합성곱" in (site / "glossary.html").read_text(encoding="utf-8")


def test_a_mistake_in_a_page_ends_the_build(tmp_path, site, monkeypatch):
    from scratchnet.book.site import Warned, build
    monkeypatch.chdir(tmp_path)
    (tmp_path / "01_wrong.py").write_text("# %% [markdown]\n# # Wrong\n#\n# $\\nosuch$\n")
    with pytest.raises(Warned, match="nosuch"):
        build({"wrong": tmp_path / "01_wrong.py"}, tmp_path / "out", run=False,
              tell=lambda said: None)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_built_is_told_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "furo" else name)
    assert cli.main(["book", "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == \
        'scratchnet: the book needs furo: pip install "scratchnet[book]"\n'
    assert not (tmp_path / "x").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path, site):
    from scratchnet.book.site import build
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="has something else in it"):
        build({}, tmp_path, run=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("there is no browser here")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
                     "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.emulateNetworkConditions", {
        "offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0})
    yield chrome
    chrome.quit()


@pytest.mark.parametrize("width", [1200, 390])
def test_every_page_works_without_a_network(site, browser, width):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})
    pages = sorted(site.glob("*.html"))
    assert {"index.html", "glossary.html", "claims.html"} <= {page.name for page in pages}
    for page in pages:
        browser.get(page.as_uri())
        while browser.execute_script("return document.readyState") != "complete":
            time.sleep(0.05)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{page.name} is {wide} wide on a screen of {width}"
        links = browser.execute_script(
            "return [...document.links].map(a => a.getAttribute('href'))")
        for link in links:
            file, _, anchor = link.partition("#")
            if "://" not in link and file:
                assert (page.parent / file).exists(), f"{page.name}: {link}"
                assert not anchor or f'id="{unquote(anchor)}"' in (page.parent / file).read_text(
                    encoding="utf-8"), f"{page.name}: {link}"
            if not file and anchor:
                assert browser.execute_script("return document.getElementById(arguments[0])",
                                              anchor), f"{page.name}: {link}"
        height = "return [...document.querySelectorAll('math')].map(" \
                 "m => m.getBoundingClientRect().height)"
        assert all(tall > 5 for tall in browser.execute_script(height))
        assert browser.execute_script("return [...document.images].every("
                                      "(i) => i.alt && i.naturalWidth)"), page.name
        text = browser.execute_script("return document.body.innerText")
        assert " at 0x" not in text and "Summary(rows" not in text, page.name
        wrong = [line["message"] for line in browser.get_log("browser")
                 if line["level"] == "SEVERE"]
        assert not wrong, f"{page.name}: {wrong}"
        asked = [line["message"] for line in browser.get_log("performance")
                 if '"Network.requestWillBeSent"' in line["message"]
                 and '"url":"http' in line["message"]]
        assert not asked, f"{page.name}: {asked[:1]}"


def test_search_finds_a_word(site, browser):
    browser.get((site / "search.html").as_uri() + "?q=formula")
    for _ in range(50):
        found = browser.execute_script(
            "return document.querySelectorAll('#search-results li').length")
        if found:
            break
        time.sleep(0.1)
    assert found >= 2
