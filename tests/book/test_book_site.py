"""Two small lessons built into a site, and the site read in a browser, without a network."""
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag, urljoin, urlparse

import pytest

for needed in ("sphinx", "myst_nb", "furo", "latex2mathml", "ipykernel", "nbclient"):
    pytest.importorskip(needed)
webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from scratchnet.book import notebooks, site  # noqa: E402

pytestmark = pytest.mark.slow
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

FIRST = '''# %% [markdown]
# # AlexNet: a lesson
#
# A formula, $\\frac{{\\partial L}}{{\\partial x}}$, and one by itself:
#
# $$ y_j = \\sum_{{i=1}}^{{n}} w_{{ij}} \\cdot x_i + b_j + {long} $$
#
# | a | table |
# |---|---|
# | 1 | 2 |

# %%
from matplotlib.figure import Figure

from scratchnet.lesson import Lesson

lesson = Lesson("alexnet")

# %% [markdown]
# ## Words of many letters
#
# `{code}`

# %%
print("wide " * 60)     # {wide}
figure = Figure(figsize=(8, 2))
figure.subplots().plot([0, 1])
lesson.save(figure, "line", alt="a line that rises")

# %%
lesson.claim("alexnet-groups", "right", "counted: 48 of 96 | 192 of 384")
lesson.end()
'''.format(long=" + ".join(f"x_{{{n}}}" for n in range(60)), code="scratchnet_" * 12,
           wide="w" * 60)
SECOND = '''# %% [markdown]
# # Second: nothing to draw, and dropoutandmore

# %%
1 + 1
'''
QUIET = {"tell": lambda said: None}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lessons")
    found = {"alexnet": folder / "06_alexnet.py", "second": folder / "07_second.py"}
    for path, text in zip(found.values(), (FIRST, SECOND), strict=True):
        path.write_text(text, encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def executed(lessons, tmp_path_factory):
    """The same with the lessons run; what came out is kept in a folder of its own."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks.ran, "__defaults__", (folder / "kept",))
        site.build(lessons, folder / "site", **QUIET)
    return folder / "site"


def test_pages_with_what_came_out(executed):
    text = (executed / "06_alexnet.html").read_text(encoding="utf-8")
    assert 'alt="a line that rises"' in text and "wide wide" in text
    assert "Figures are in runs/lesson-alexnet:" in text
    assert "counted: 48 of 96 | 192 of 384" in (executed / "claims.html").read_text("utf-8")


@pytest.mark.skipif(os.name != "posix", reason="asks for a process in the way of POSIX")
def test_a_kernel_ends_with_its_lesson(tmp_path, capfd):
    path = tmp_path / "01_number.py"
    path.write_text("# %%\nimport os\nprint(os.getpid())\n", encoding="utf-8")
    said = notebooks.execute(path).notebook["cells"][0]["outputs"][0]["text"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(said), 0)
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def browser():
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium, chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking",
                 "--disable-component-update", "--no-first-run"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def opened(browser, address, width=1200, scheme="light"):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(address)        # which comes back, now and then, before the page is there
    WebDriverWait(browser, 20).until(lambda b: b.execute_script(
        "return document.readyState === 'complete' && location.href === arguments[0]",
        address))
    return browser


def network(browser):
    """The addresses that were asked for since the last time, and those that did not come."""
    told = [json.loads(row["message"])["message"] for row in browser.get_log("performance")]
    asked = {event["params"]["requestId"]: event["params"]["request"]["url"] for event in told
             if event["method"] == "Network.requestWillBeSent"}
    return [*asked.values()], [asked.get(event["params"]["requestId"]) for event in told
                               if event["method"] == "Network.loadingFailed"]


PAGES = ["index.html", "06_alexnet.html", "07_second.html", "glossary.html", "claims.html",
         "search.html"]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_on_a_phone_asks_for_nothing_and_is_wide_enough(browser, executed, page):
    browser.get_log("browser"), network(browser)
    opened(browser, (executed / page).as_uri(), width=390)
    assert browser.execute_script("return innerWidth") == 390
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    asked, failed = network(browser)
    assert any(address.split("?")[0].endswith("book.css") for address in asked)
    assert {urlparse(address).scheme for address in asked} <= {"file", "data"} and failed == []
    assert browser.execute_script(
        "return [...document.images].filter((i) => !i.alt || !i.naturalWidth).length") == 0
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_book_leads_somewhere(browser, executed, page):
    opened(browser, (executed / page).as_uri())
    links = browser.execute_script("return [...document.querySelectorAll('a')].map("
                                   "(a) => a.getAttribute('href')).filter((href) => href)")
    assert links
    for link in links:
        address, place = urldefrag(urljoin((executed / page).as_uri(), link))
        if urlparse(address).scheme != "file":
            continue
        target = Path(unquote(urlparse(address).path))
        assert target.exists(), link
        if place and target.suffix == ".html":
            assert f'id="{unquote(place)}"' in target.read_text(encoding="utf-8"), link


def test_there_is_a_next_page_and_a_previous_one(browser, executed):
    opened(browser, (executed / "07_second.html").as_uri())
    ends = browser.execute_script("return ['.prev-page', '.next-page'].map("
                                  "(c) => document.querySelector(c).getAttribute('href'))")
    assert ends == ["06_alexnet.html", "glossary.html"]


@pytest.mark.parametrize("word, page", [("dropoutandmore", "07_second.html"),
                                        ("합성곱", "glossary.html")])
def test_words_are_found_in_a_folder_too(browser, executed, word, page):
    opened(browser, f"{(executed / 'search.html').as_uri()}?q={quote(word)}")
    links = "return [...document.querySelectorAll('#search-results li a')].map((a) => a.href)"
    found = WebDriverWait(browser, 20).until(lambda b: b.execute_script(links))
    assert any(page in link for link in found)
    assert browser.get_log("browser") == []


def test_it_is_dark_where_that_is_asked_for(browser, executed):
    paper = [opened(browser, (executed / "index.html").as_uri(), scheme=scheme).execute_script(
        "return getComputedStyle(document.body).backgroundColor") for scheme in ("light", "dark")]
    light, dark = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in paper)
    assert light > 700 and dark < 150
