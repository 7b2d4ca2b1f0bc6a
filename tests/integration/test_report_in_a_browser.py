"""The pages in a real browser without a window: nothing sticks out, no texts lie on each other, dark is dark."""

import json
import re
import shutil
import subprocess
import zlib

import pytest

from engine import cli
from replay.report import markup, svg
from replay.report.svg import Series
from tests.reporting import replayed

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no browser: install Debian's package chromium"
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
]
DARK, LIGHT = 0, 1
MEASURE = """<script>
function boxes(plot) {
  return [...plot.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
}
const found = {wide: document.documentElement.scrollWidth, inner: window.innerWidth, outside: [], over: [], plots: 0};
document.querySelectorAll("details").forEach(d => d.open = true);
document.querySelectorAll("svg.plot").forEach(plot => {
  const own = plot.getBoundingClientRect(), texts = boxes(plot);
  found.plots += own.width > 100 && own.height > 50;
  texts.forEach(([text, box], k) => {
    if (box.left < own.left - 1 || box.right > own.right + 1 || box.top < own.top - 1 || box.bottom > own.bottom + 1)
      found.outside.push([plot.getAttribute("aria-label"), text]);
    texts.slice(k + 1).forEach(([other, b]) => {
      if (box.left < b.right - 1 && b.left < box.right - 1 && box.top < b.bottom - 2 && b.top < box.bottom - 2)
        found.over.push([plot.getAttribute("aria-label"), text, other]);
    });
  });
});
const told = document.createElement("pre");
told.id = "found";
told.textContent = "FOUND" + JSON.stringify(found) + "END";
document.body.appendChild(told);
</script>"""


def browse(folder, page, *flags):
    """Run the browser on a page; return what it printed. A browser that cannot run here says nothing about pages."""
    said = ""
    for attempt in range(3):
        profile = f"--user-data-dir={folder / f'profile-{page.stem}-{attempt}'}"
        try:
            done = subprocess.run(
                [BROWSER, *FLAGS, profile, *flags, page.as_uri()],
                capture_output=True,
                check=False,
                text=True,
                timeout=300,
            )
        except subprocess.TimeoutExpired:
            said = "it did not end"
            continue
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.strip()[-300:]
    pytest.skip(f"the browser does not run here: {said}")
    return ""


def brightness(path):
    """The mean of the first rows of a screenshot, 0 to 255: the background at the edge of the page."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, channels = int.from_bytes(data[16:20], "big"), {2: 3, 6: 4}[data[25]]
    at, packed = 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        packed += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    row = zlib.decompress(packed)[
        1 : 1 + 3 * channels
    ]  # the first pixels: no filter reaches left of them
    assert width > 100
    return sum(row[:3]) / 3


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    out = replayed(root, "--report", str(root / "run.html"))
    day = root / "day.html"
    assert (
        cli.main(["report", str(out), "--day", "2026-03-04", "--no-ratings", "--html", str(day)])
        == 0
    )
    labels = [f"03-{k:02d} {k % 24:02d}" for k in range(96)]
    values = [float(k * k) for k in range(96)]
    plots = [
        plot(
            "t",
            labels[:n],
            [Series("above approve", values[:n], "c1"), Series("x", values[:n], "c2")],
            "a long unit",
        )
        for n in (1, 7, 31, 96)
        for plot in (svg.bars, svg.lines)
    ]
    body = markup.section("plots", "Plots", *(markup.figure("t", plot) for plot in plots))
    (root / "plots.html").write_text(markup.page("Plots", "<h1>Plots</h1>", [body], ""))
    return root


@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("name", ["run", "day", "plots"])
def test_nothing_sticks_out_and_no_texts_lie_on_each_other(pages, name, width):
    text = (pages / f"{name}.html").read_text().replace("</body>", f"{MEASURE}</body>")
    page = pages / f"{name}-{width}.html"
    page.write_text(text)
    told = browse(pages, page, f"--window-size={width},900", "--dump-dom")
    found = json.loads(re.search(r"FOUND(\{.*?\})END", told)[1])
    assert found["plots"] >= 2
    assert found["wide"] <= found["inner"]
    assert found["outside"] == []
    assert found["over"] == []


def test_dark_is_dark_and_light_is_light(pages):
    shots = {}
    for scheme in (DARK, LIGHT):
        to = pages / f"shot-{scheme}.png"
        flags = (
            f"--screenshot={to}",
            "--window-size=1000,600",
            f"--blink-settings=preferredColorScheme={scheme}",
        )
        browse(pages, pages / "day.html", *flags)
        shots[scheme] = brightness(to)
    assert shots[DARK] < 60
    assert shots[LIGHT] > 200


def test_the_page_can_be_printed(pages):
    to = pages / "day.pdf"
    browse(pages, pages / "day.html", f"--print-to-pdf={to}", "--no-pdf-header-footer")
    data = to.read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") >= 2
