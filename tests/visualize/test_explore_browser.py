"""The page to explore in a real browser, without a network: every control, by pointer and keys."""
import re
import shutil
import time

import pytest

from scratchnet import models
from scratchnet.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)
from scratchnet.visualize.explore import explore

webdriver = pytest.importorskip("selenium.webdriver")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium, chromedriver")
WICKED = "<script>alert(1)</script>"


def own():
    """One of each kind; conv1, depth and avg take one map, so that their sums are complete."""
    kind = type(WICKED, (ReLU,), {})
    return Sequential(
        conv1=Conv2d(1, 1, 3, stride=2, padding=2, dilation=2, rng=0), bn=BatchNorm2d(1),
        relu=ReLU(), **{WICKED: kind()}, conv2=Conv2d(1, 4, (3, 2), rng=1),
        depth=Conv2d(4, 4, 3, padding=1, groups=4, rng=2),
        block=Residual(conv=Conv2d(4, 4, 1, rng=3), relu=ReLU()),
        max=MaxPool2d(3, stride=2, padding=1), drop=Dropout(0.5, rng=4),
        avg=AvgPool2d(3, stride=1, padding=1, count_include_pad=False), flatten=Flatten(),
        fc=Linear(4 * 8 * 7, 10, rng=5))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    written = {
        "own": explore(own(), (1, 32, 32), title="own"),
        "zfnet": explore(models.zfnet_small(rng=0), (1, 32, 32), title="zfnet_small",
                         note="untrained: weights as drawn"),
        "maps": explore(Sequential(conv=Conv2d(1, 2, 3, rng=0)), (1, 32, 32))}
    for name, page in written.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in written}


@pytest.fixture(scope="module")
def started():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking",
                 "--disable-component-update", "--no-first-run"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def browser(started):
    """The browser; after each test its log must be empty."""
    started.get_log("browser")
    yield started
    assert started.get_log("browser") == []


def opened(browser, address, width=1200, height=900, scheme="light"):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(address)
    return browser


def one(browser, selector):
    return browser.find_element("css selector", selector)


def text(browser, selector):
    return one(browser, selector).get_attribute("textContent")


def keys(browser, *pressed):
    browser.switch_to.active_element.send_keys(*pressed)


def click(browser, element):
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


# Keys, as selenium spells them
TAB, ENTER, SPACE, LEFT, UP, RIGHT, DOWN = "\ue004", "\ue007", " ", "\ue012", "\ue013", "\ue014", \
    "\ue015"


def test_every_layer_can_be_chosen_in_each_way(browser, pages):
    opened(browser, pages["own"])
    names = browser.execute_script("return data.layers.map((layer) => layer.name)")
    assert WICKED in names
    for n, name in [*enumerate(names)][::4]:
        one(browser, f"#layer option[value='{n}']").click()
        assert text(browser, "#name") == (name or "the network")
        assert text(browser, "#facts") and text(browser, "#formula")
    chosen = browser.execute_script("""
        return [...boxes].map(([n, [box]]) => [data.layers[n].name, ...[
          new KeyboardEvent("keydown", {key: "Enter", bubbles: true}),
          new KeyboardEvent("keydown", {key: " ", bubbles: true}),
          new MouseEvent("click", {bubbles: true})].map((event) => {
            choose(0, false);
            box.dispatchEvent(event);
            return $("name").textContent + box.getAttribute("aria-pressed") +
              box.getAttribute("tabindex");
          })]);""")
    assert {name for name, *_ in chosen} == set(names) - {"", "block.downsample"}   # (a line)
    assert all(came == [f"{name}true0"] * 3 for name, *came in chosen)
    browser.execute_script("boxes.get(1)[0].focus()")
    keys(browser, ENTER)
    assert text(browser, "#name") == "conv1"
    browser.execute_script("choose(0, false)")
    assert not one(browser, "#previous").is_enabled()
    clicked = browser.execute_script("""
        return Array.from({length: data.layers.length - 1}, () => {
          $("next").click();
          return $("name").textContent;
        });""")
    assert clicked == names[1:]
    assert not one(browser, "#next").is_enabled()
    one(browser, "#previous").click()
    assert text(browser, "#name") == names[-2]


def test_another_picture_gives_other_maps_and_numbers(browser, pages):
    opened(browser, pages["zfnet"])
    seen = set()
    for radio in browser.find_elements("css selector", "#images input"):
        click(browser, radio)
        seen.add((one(browser, "#maps img").get_attribute("src"), text(browser, "#sum")))
    assert len(seen) == 3 and len({src for src, _ in seen}) == 3


def test_the_window_plays_pauses_and_obeys_the_arrow_keys(browser, pages):
    opened(browser, pages["zfnet"])
    slider = one(browser, "#position")
    at = lambda: int(slider.get_attribute("value"))                     # noqa: E731
    before = at()
    click(browser, one(browser, "#play"))
    time.sleep(0.5)
    assert at() > before and "pause" in text(browser, "#play")
    click(browser, one(browser, "#play"))
    stopped = at()
    time.sleep(0.3)
    assert at() == stopped and "play" in text(browser, "#play")
    browser.execute_script("stop(); moveTo(330); arguments[0].focus()", slider)
    for key, place in ((RIGHT, 331), (DOWN, 331 + 32), (LEFT, 330 + 32), (UP, 330)):
        keys(browser, key)
        assert at() == place
    assert text(browser, "#place") == "output 10, 10"
    browser.execute_script("moveTo(0); arguments[0].focus()", slider)
    keys(browser, LEFT, UP)
    assert at() == 0
    output = one(browser, "#output")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", output)
    webdriver.ActionChains(browser).move_to_element_with_offset(output, 3, 3).click().perform()
    moved = text(browser, "#place")
    webdriver.ActionChains(browser).move_to_element(output).click().perform()
    assert text(browser, "#place") != moved


def sums(browser, name, way):
    """What is said at each place of the window."""
    return browser.execute_script("""
        choose(data.layers.findIndex((layer) => layer.name === arguments[0]), false);
        document.querySelector(`input[value=${arguments[1]}]`).click();
        const count = Number($("position").max) + 1, step = count > 200 ? 3 : 1;
        return Array.from({length: Math.floor(count / step)}, (_, n) => {
          moveTo(n * step);
          const [i, j] = $("place").textContent.match(/\\d+/g).map(Number);
          const map = state.way === "forward" ? sight.y : sight.dx;
          return [$("sum").textContent, map.at(i, j), number(map.at(i, j))];
        });""", name, way)


def shown(said, pattern):
    return float(re.search(pattern, said)[1].replace("−", "-"))


NUMBER = r"(−?\d+(?:\.\d+)?(?:e[−+]\d+)?)"


@pytest.mark.parametrize("name", ["conv1", "depth", "max", "avg"])
def test_the_sum_under_the_window_is_the_output(browser, pages, name):
    opened(browser, pages["own"])
    pattern = "Σ w·x = " if name in ("conv1", "depth") else "y = "
    said = sums(browser, name, "forward")
    assert len(said) >= 56
    for words, y, _ in said:
        assert shown(words, pattern + NUMBER) == pytest.approx(y, rel=0.06, abs=6e-4)


@pytest.mark.parametrize("name", ["conv1", "depth", "max", "avg"])
def test_what_the_outputs_send_is_the_gradient(browser, pages, name):
    opened(browser, pages["own"])
    said = sums(browser, name, "backward")
    assert sum(abs(dx) > 0 for _, dx, _ in said) > 5
    for words, dx, _ in said:
        sent = 0 if "No window" in words else shown(words, "they send " + NUMBER)
        assert sent == pytest.approx(dx, rel=0.06, abs=6e-4)


def test_without_gradients_one_cannot_go_backwards(browser, pages):
    opened(browser, pages["maps"])
    assert not one(browser, "input[value=backward]").is_enabled()
    assert "(N, classes)" in text(browser, "#gradients")


def test_sources_open(browser, pages):
    opened(browser, pages["zfnet"])
    for way in ("forward", "backward"):
        summary = one(browser, f"#{way}-source summary")
        click(browser, summary)
        assert f"def {way}(" in one(browser, f"#{way}-source pre").text
        click(browser, summary)
        assert not one(browser, f"#{way}-source pre").is_displayed()


def test_every_control_is_reached_by_tab(browser, pages):
    opened(browser, pages["zfnet"])
    browser.execute_script("""
        window.reached = new Set();
        addEventListener("focusin", ({target}) => reached.add(
          target.id || target.name || target.dataset.name || target.parentNode.id));""")
    one(browser, "body").send_keys(TAB * 60)
    reached = set(browser.execute_script("return [...reached]"))
    assert {"layer", "previous", "next", "image", "way", "play", "position", "conv1", "fc8",
            "formula", "forward-source", "backward-source"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["own", "zfnet"])
def test_a_phone_is_wide_enough(browser, pages, name, scheme):
    opened(browser, pages[name], width=360, height=740, scheme=scheme)
    assert browser.execute_script("return innerWidth") == 360
    too_wide = browser.execute_script("""
        const page = document.documentElement;
        return data.layers.filter((layer, n) => {
          choose(n, true);
          return page.scrollWidth > page.clientWidth;
        }).map((layer) => layer.name);""")
    assert too_wide == []


def contrast(browser, selector):
    """Of the text on the page's own colour, as WCAG has it."""
    def light(colour):
        parts = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
        r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055)**2.4 for v in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    ink, paper = (light(one(browser, where).value_of_css_property(what)) for where, what in
                  ((selector, "color"), ("body", "background-color")))
    return (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_the_light_and_in_the_dark(browser, pages, scheme):
    opened(browser, pages["zfnet"], scheme=scheme)
    papers = one(browser, "body").value_of_css_property("background-color")
    assert ("255, 255, 255" in papers) == (scheme == "light")
    for selector in ("h1", "#totals", "dt", "dd", "figcaption", ".axis span"):
        assert contrast(browser, selector) >= 4.5, selector


def test_nothing_is_asked_of_the_network(browser, pages):
    opened(browser, pages["zfnet"])
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith("data:") for name in loaded)
