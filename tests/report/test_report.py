"""The report of a campaign: what it says, that it asks nobody for anything, and that a stranger's text stays text."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from stores import NAMES, TEXT, make_store
from typer.testing import CliRunner

from lensax.campaign import Campaign, Store
from lensax.cli import app
from lensax.report import facts as facts_module
from lensax.report import figures, gather, page, write_page
from lensax.report.page import troubles

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
EVIL = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">$\\frac{"


class Reader(HTMLParser):
    """Collects the tags, their attributes and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = make_store(tmp_path_factory.mktemp("report") / "demo", 60, 16)
    run = {"started": "2026-11-20T12:00:00+00:00", "made": 60, "seconds": 12.5, "rate": 5.1, "ended": "finished"}
    (folder / ".lensax" / "runs" / "1.json").write_text(json.dumps(run))
    return folder


@pytest.fixture(scope="module")
def good_page(good):
    return page(gather(Campaign(good)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A store whose every text wants to be more than text, and whose rows are not all good."""
    status = np.zeros(40, np.uint8)
    status[[3, 20]] = 1, 4
    text = TEXT + f"# {EVIL}\n"
    names = (EVIL, "subhalos." + EVIL + 500 * "x")
    folder = make_store(tmp_path_factory.mktemp("report") / "evil<b>", 40, 8, status=status, text=text, names=names)
    store = Store(folder)
    metadata = json.loads((folder / "zarr.json").read_text())
    prior = metadata["attributes"]["prior"]
    prior[EVIL] = {"distribution": f"{EVIL}(loc=1)", "units": EVIL}
    metadata["attributes"] |= {"device": EVIL, "versions": {EVIL: EVIL}, "git_revision": EVIL, "tracer": EVIL}
    (folder / "zarr.json").write_text(json.dumps(metadata))
    record = json.loads(store.record_path(2).read_text())
    record |= {"errors": {"20": EVIL}, "device": EVIL, "versions": {"lensax": EVIL}, "finished": EVIL}
    record["remade"] = {"21": {"attempts": 2, EVIL: 3}}
    store.record_path(2).write_text(json.dumps(record))
    (folder / ".lensax" / "runs" / "1.json").write_text(json.dumps({"started": EVIL, "host": EVIL, "made": [EVIL]}))
    return folder


def assert_harmless(text):
    """No script, no handler, and no address but places on the page and data inside of it."""
    for tag, attributes in Reader(text).tags:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "svg")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,", "#"))
            if name == "style":
                raise AssertionError("no style of its own")
    assert "url(" not in text
    assert "@import" not in text


def test_a_page_says_what_is_there(good_page):
    reader = Reader(good_page)
    for words in (
        "lensax campaign demo Every row is there and good.",
        "60 good rows of 60",
        "7 × 6 pixels of 0.1″, noiseless and noisy",
        "lens.mass.PowerLaw.einstein_radius Normal(loc=1, scale=0.1) arcsec",
        "SHA-256 0",
        "finished",
        "Of 60 noiseless images",
        "exposure_time: 100.0",
        "train.jax_batches(key, 256)",
    ):
        assert words in reader.text, words
    headings = ["Images", "Coverage of the prior", "Halos", "Brightness and noise", "Quality", "History"]
    assert [reader.text.count(heading) >= 2 for heading in headings] == [True] * 6  # in the contents and above the part
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert len(images) == 6
    assert all(attributes["alt"] for attributes in images)
    assert_harmless(good_page)


def test_the_sections_that_are_linked_exist(good_page):
    tags = Reader(good_page).tags
    targets = [attributes["href"][1:] for tag, attributes in tags if tag == "a"]
    assert targets
    assert targets == [attributes["id"] for tag, attributes in tags if tag == "section"]


def test_a_hostile_store_stays_text(hostile):
    facts = gather(Campaign(hostile))
    text = page(facts)
    assert_harmless(text)
    reader = Reader(text)
    assert reader.text.count("<script>document.title='pwned'</script>") >= 8
    assert "Content-Security-Policy" in text
    assert "evil<b>" in reader.text
    assert "1 row: overflow" in reader.text
    assert "1 row: failed" in reader.text


def test_numbers_are_those_of_the_store(good):
    facts = gather(Campaign(good))
    assert np.array_equal(facts.theta[:, 0], np.arange(60))
    assert facts.tolerance == 2e-5
    assert facts.halos.shape == (60, 3)
    ramp = np.linspace(0, 1, 42).sum()
    np.testing.assert_allclose(facts.statistics.flux, 42 * np.arange(60) + ramp, rtol=1e-6)
    deviation = np.sqrt((59 + 1 + 0.5) * 100 + 25) / 100
    assert facts.statistics.peak_ratio[-1] == pytest.approx(60 / deviation, rel=1e-5)
    law = facts.laws[NAMES[0]]
    assert law.values[np.argmax(law.density)] == pytest.approx(1.0, abs=0.01)
    assert np.trapezoid(law.density, law.values) == pytest.approx(0.998, abs=0.002)
    assert [rows for _, rows in facts.finished] == [16, 16, 16, 12]


def test_sampling_is_bounded_and_even(monkeypatch):
    rows = facts_module._spread(np.arange(10**6))
    assert len(rows) == facts_module.SAMPLE
    assert rows[0] == 0
    assert rows[-1] == 10**6 - 1
    assert np.abs(np.quantile(rows, (0.25, 0.5, 0.75)) / 1e6 - (0.25, 0.5, 0.75)).max() < 0.01


@pytest.mark.parametrize(
    "words", ["Normal(loc=1", "Normal(loc=nan)", "exit(code=1)", "Distribution()", "", "Normal(a=1)"]
)
def test_a_prior_that_is_not_understood_is_only_quoted(words):
    law = facts_module._law({"distribution": words})
    assert law.words == words
    assert law.values is None


def test_a_wide_prior_is_drawn_over_its_logarithm():
    law = facts_module._law({"distribution": "LogUniform(low=0.01, high=1)"})
    assert law.logarithmic
    np.testing.assert_allclose(law.density, 1 / np.log(100), rtol=1e-4)


def test_an_empty_campaign_and_one_kind_of_image(tmp_path):
    folder = make_store(tmp_path / "store", 8, 4, keep=("noisy",), only=[])
    facts = gather(Campaign(folder))
    text = page(facts)
    assert "No row can be shown" in text
    assert troubles(facts) == ["2 shards of 2 missing"]
    folder = make_store(tmp_path / "other", 8, 4, keep=("noisy",), text="lens: {}")
    assert gather(Campaign(folder)).statistics.peak_ratio is None
    assert_harmless(page(gather(Campaign(folder))))


def test_a_damaged_shard_is_said_and_not_read(tmp_path):
    folder = make_store(tmp_path / "store", 12, 4)
    (path,) = folder.glob("noisy/c.1*")
    path.write_bytes(path.read_bytes()[:-5])
    facts = gather(Campaign(folder))
    assert len(facts.theta) == 8
    assert not set(facts.shown) & {4, 5, 6, 7}
    assert "1 shard of 3 damaged" in page(facts)


def test_the_command(good, tmp_path):
    result = CliRunner().invoke(app, ["report", str(good), "--out", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    assert "report: " in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert not (good / "report.html").exists()
    result = CliRunner().invoke(app, ["report", str(good), "--out", str(tmp_path / "absent" / "page.html")])
    assert result.exit_code == 2
    result = CliRunner().invoke(app, ["report", str(tmp_path / "absent")])
    assert result.exit_code == 2


def test_the_command_says_what_is_wrong(hostile):
    result = CliRunner().invoke(app, ["report", str(hostile)])
    assert result.exit_code == 1
    assert "1 row: overflow" in result.stderr
    assert (hostile / "report.html").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or chrome to open the page")
def test_a_browser_shows_the_page_and_runs_nothing(hostile, tmp_path):
    path = write_page(gather(Campaign(hostile)), tmp_path / "page.html")
    # Once as it is, and once without the rule that forbids scripts: then only the escaping stands in their way.
    bare = tmp_path / "bare.html"
    bare.write_text(path.read_text().replace('http-equiv="Content-Security-Policy"', ""))
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1800",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    for file in (path, bare):
        done = subprocess.run(
            [*command, "--dump-dom", f"file://{file}"], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "pwned" not in done.stdout.split("</title>")[0]
        assert "<title>evil&lt;b&gt;: a lensax campaign</title>" in done.stdout
    picture = tmp_path / "page.png"
    subprocess.run(
        [*command, f"--screenshot={picture}", f"file://{path}"], capture_output=True, timeout=120, check=True
    )
    pixels = imread(picture)[..., :3]
    assert pixels.shape[:2] == (1800, 1200)
    warm = (pixels[..., 0] > 0.5) & (pixels[..., 2] < 0.5 * pixels[..., 0])
    assert warm.mean() > 0.02  # the montage and the histograms: the pictures have been decoded


def test_names_are_never_formulas():
    assert figures.short("a.b.c") == "b.c"
    assert len(figures.short("x" * 1000)) == 34
