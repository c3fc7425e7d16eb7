"""The command line: what it makes, what it refuses, its exit codes, and one line for every error."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from toy import ToyModel
from typer.testing import CliRunner

from lensax.campaign import Campaign, Store
from lensax.cli import app
from lensax.cli.console import bytes_text, log_progress, rows_text
from lensax.cli.simulate import draw_montage

TINY = """
lens:
  redshift: 0.5
  mass:
    - PowerLaw: {einstein_radius: {Normal: [1.0, 0.05]}, slope: 2.0, e1: 0.1, e2: 0.0, center_x: 0.0, center_y: 0.0}
source:
  redshift: 1.5
  light:
    - Sersic: {intensity: 20, effective_radius: 0.2, sersic_index: 1, e1: 0, e2: 0, center_x: 0.05, center_y: 0}
line_of_sight:
  planes: {front: 1, back: 1}
  cone: {geometry: narrowing, radius: 1.5}
  mass_function: {log10_mass: [8.5, 9.5], delta_los: {Uniform: [0.5, 1.5]}}
instrument: {shape: [16, 20], pixel_scale: 0.15, psf: {Gaussian: {fwhm: 0.2}}, exposure_time: 2000.0, sky_level: 0.1}
"""


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Commands see the toy model, whatever the configuration says; they run in an empty folder."""
    model = ToyModel()
    monkeypatch.setattr("lensax.simulate.ForwardModel.from_yaml", lambda path: model)
    monkeypatch.setattr("lensax.cli.simulate.draw_montage", lambda model, work, config: Path("montage.png"))
    monkeypatch.chdir(tmp_path)
    return model


def lensax(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def listing(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def assert_one_line(result, code, *words):
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in result.output


def test_simulate_then_inspect(toy, monkeypatch):
    monkeypatch.setattr("lensax.cli.simulate.draw_montage", draw_montage)
    result = lensax("simulate", "toy.yaml", "--count", 10, "--out", "made", "--seed", 1, "--shard-size", 4)
    assert result.exit_code == 0, result.output
    assert "10 rows" in result.stdout
    assert f"montage: {Path('made/montage.png')}" in result.stdout
    assert imread("made/montage.png").ndim == 3
    campaign = Campaign("made")
    assert (len(campaign), campaign.plan.seed, campaign.plan.shard_size, campaign.made.all()) == (10, 1, 4, True)
    result = lensax("inspect", "made")
    assert result.exit_code == 0
    assert "10 of 10 whole" in result.stdout
    assert "every row is there and good" in result.stdout


def test_the_same_command_again_changes_no_row(toy):
    command = ("simulate", "toy.yaml", "--count", 10, "--out", "made", "--shard-size", 4)
    first = lensax(*command)
    assert f"seed {Campaign('made').plan.seed} (drawn; the option --seed makes" in first.stdout
    before = {path: content for path, content in listing("made").items() if path.name != "lock"}
    again = lensax(*command)
    assert again.exit_code == 0
    assert {path: content for path, content in listing("made").items() if path.name != "lock"} == before


def test_a_damaged_shard_is_named_and_repaired(toy):
    command = ("simulate", "toy.yaml", "--count", 10, "--out", "made", "--seed", 1, "--shard-size", 4)
    lensax(*command)
    path = Path("made/noisy/c.1.0.0")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = lensax("inspect", "made")
    assert result.exit_code == 1
    assert "shard 1 (rows 4 to 7) is damaged: noisy has other bytes than were written" in result.stderr
    assert lensax(*command, "--verify").exit_code == 0
    assert path.read_bytes() == whole
    for shard in (0, 2):
        Path(f"made/.lensax/shards/{shard:08d}.json").unlink()
    for damaged in Path("made").glob("*/c.2*"):
        damaged.unlink()
    result = lensax("inspect", "made")
    assert result.exit_code == 1
    assert "1 shards are partial, cut short while being written: 0" in result.stderr
    assert "1 shards are missing: 2" in result.stderr


def test_flagged_rows_are_said(toy, monkeypatch):
    model = ToyModel(overflow_above=1.0, broken_above=1.1)
    monkeypatch.setattr("lensax.simulate.ForwardModel.from_yaml", lambda path: model)
    result = lensax("simulate", "toy.yaml", "--count", 20, "--out", "made", "--seed", 1)
    campaign = Campaign("made")
    overflow, broken = (np.flatnonzero(campaign.status & flag) for flag in (1, 2))
    assert result.exit_code == 1
    assert f"{len(overflow)} rows lack something (status: overflow), among them {overflow[0]}, " in result.stderr
    assert f"{len(broken)} rows hold values that are not finite, among them {broken[0]}" in result.stderr
    assert lensax("inspect", "made").exit_code == 1


def test_inspect_repairs_what_is_bad_and_nothing_else(toy, monkeypatch):
    monkeypatch.setattr("lensax.campaign.stored_model", lambda store, config: toy)
    lensax("simulate", "toy.yaml", "--count", 10, "--out", "made", "--seed", 1, "--shard-size", 4)
    whole = {path: content for path, content in listing("made").items() if path.name.startswith(("c.", "zarr"))}
    Path("made/noisy/c.1.0.0").write_bytes(b"")
    Path("made/theta/zarr.json").unlink()
    result = lensax("inspect", "made")
    assert result.exit_code == 1
    for words in ("shard 1 (rows 4 to 7) is damaged: noisy has 0 bytes", "theta/zarr.json is missing or changed"):
        assert words in result.stderr
    assert "lensax inspect made --repair makes what is bad again" in result.stderr
    result = lensax("inspect", "made", "--repair")
    assert result.exit_code == 0, result.output
    assert "made 1 shards again: 1" in result.stdout
    assert "every row is there and good" in result.stdout
    assert {path: path.read_bytes() for path in whole} == whole
    Path("made/zarr.json").write_text("{")
    assert_one_line(lensax("inspect", "made"), 1, "zarr.json is missing or damaged", "--repair restores it")
    assert_one_line(lensax("simulate", "toy.yaml", "--count", 10, "--out", "made"), 2, "missing or damaged")
    result = lensax("inspect", "made", "--repair")
    assert result.exit_code == 0, result.output
    assert "restored zarr.json" in result.stdout
    assert {path: path.read_bytes() for path in whole} == whole


def test_inspect_says_what_was_made_again_and_what_failed(toy, monkeypatch):
    model = ToyModel(crowded_above=1.05, raising_above=1.15)
    monkeypatch.setattr("lensax.simulate.ForwardModel.from_yaml", lambda path: model)
    result = lensax("simulate", "toy.yaml", "--count", 40, "--out", "made", "--seed", 3)
    assert result.exit_code == 1
    assert "rows could not be made (status: failed), among them" in result.stderr
    result = lensax("inspect", "made")
    assert result.exit_code == 1
    assert "ArithmeticError: the ring is too large" in result.stderr
    words = " ".join(result.stdout.split())
    assert "rows with more room" in words
    assert "x 4 x 1" in words
    assert "35 of 40" in words


def test_row_makes_one_row_again(toy, monkeypatch):
    monkeypatch.setattr("lensax.campaign.stored_model", lambda store, config: toy)
    lensax("simulate", "toy.yaml", "--count", 10, "--out", "made", "--seed", 1, "--shard-size", 4)
    result = lensax("row", "made", 7)
    assert result.exit_code == 0, result.output
    assert "row 7 of made, in shard 1" in result.stdout
    assert "identical, bit by bit" in result.stdout
    assert_one_line(lensax("row", "made", 10), 2, "row 10 is not among the 10 rows of made")
    monkeypatch.setattr("lensax.campaign.stored_model", lambda store, config: ToyModel(broken_above=0.0))
    result = lensax("row", "made", 7)
    assert result.exit_code == 1
    assert "row 7 is not what is stored: noiseless, noisy, status" in result.stderr
    for path in Path("made").glob("*/c.1*"):
        path.unlink()
    assert_one_line(lensax("row", "made", 7), 2, "shard 1 of made is damaged", "repair it first")
    Path("made/.lensax/shards/00000001.json").unlink()
    assert_one_line(lensax("row", "made", 7), 2, "row 7 is not made yet")


def test_parts(toy):
    command = ("simulate", "toy.yaml", "--count", 10, "--out", "made", "--shard-size", 4)
    assert_one_line(lensax(*command, "--part", "1/2"), 2, "share a seed")
    for part in ("1/2", "2/2"):
        result = lensax(*command, "--seed", 1, "--part", part)
        assert result.exit_code == 0, result.output
        assert f"part {part} of 10 rows, seed 1: made" in result.stdout
    assert lensax("inspect", "made").exit_code == 0
    assert_one_line(lensax(*command, "--part", "3/2"), 2, "part must be k/n", "3/2")
    assert_one_line(lensax(*command, "--part", "1/2", "--workers", 2), 2, "--part and --workers exclude each other")


def test_keep_one_kind(toy):
    assert lensax("simulate", "toy.yaml", "--count", 3, "--out", "made", "--keep", "noiseless").exit_code == 0
    assert Campaign("made").plan.keep == ("noiseless",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--count", "0"], ["--count"]),
        (["--count", "-5"], ["--count"]),
        (["--count", "many"], ["--count", "many"]),
        (["--seed", "-1"], ["--seed"]),
        (["--seed", str(2**32)], ["--seed"]),
        (["--shard-size", "0"], ["--shard-size"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--keep", "noiseless,nosy"], ["keep", "'nosy'", "noiseless or noisy"]),
        (["--keep", ""], ["keep"]),
        (["--dtype", "float64"], ["dtype", "float16 or float32", "float64"]),
        (["--workers", "0"], ["--workers"]),
        (["--part", "0/3"], ["part must be k/n", "0/3"]),
        (["--colour", "red"], ["--colour"]),
        (["more"], ["more"]),
    ],
)
def test_unknown_and_impossible_options(toy, changes, words):
    result = lensax("simulate", "toy.yaml", "--count", "3", "--out", "made", *changes)
    assert_one_line(result, 2, *words)
    assert not Path("made").exists()


def test_missing_arguments_and_unknown_commands(toy):
    assert_one_line(lensax("simulate", "toy.yaml", "--out", "made"), 2, "--count")
    assert_one_line(lensax("simulate"), 2, "config")
    assert_one_line(lensax("simulatte"), 2, "simulatte")
    assert_one_line(lensax("cite", "toy.yaml", "--style", "word"), 2, "--style", "bibtex", "plain")
    assert_one_line(lensax("preview", "toy.yaml", "--out", "a.jpg"), 2, "PNG", "a.jpg")
    assert_one_line(lensax("preview", "toy.yaml", "--out", "nowhere/a.png"), 2, "nowhere")
    assert_one_line(lensax("inspect", "nowhere"), 2, "nowhere", "does not exist")


def test_another_campaign_is_refused_with_the_difference(toy):
    lensax("simulate", "toy.yaml", "--count", 10, "--out", "made", "--seed", 1)
    before = listing("made")
    command = ("simulate", "toy.yaml", "--out", "made")
    assert_one_line(lensax(*command, "--count", 11), 2, "count is 10, not 11")
    assert_one_line(lensax(*command, "--count", 10, "--seed", 2), 2, "seed is 1, not 2")
    toy.configuration.__class__.digest, kept = "other", toy.configuration.__class__.digest
    try:
        assert_one_line(lensax(*command, "--count", 10), 2, "other contents")
    finally:
        toy.configuration.__class__.digest = kept
    assert listing("made") == before


def test_foreign_and_unwritable_folders(toy, monkeypatch):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    Path("file").write_text("mine")
    before = listing(".")
    command = ("simulate", "toy.yaml", "--count", 3, "--out")
    assert_one_line(lensax(*command, "mine"), 2, "mine is not empty")
    assert_one_line(lensax(*command, "file"), 2, "file is a file, not a folder")
    assert_one_line(lensax(*command, "file/made"), 2, "/file is a file, not a folder")

    def refuse(*arguments, **keywords):
        raise PermissionError(errno.EACCES, "Permission denied", "sealed/made")

    with monkeypatch.context() as patch:
        patch.setattr("lensax.campaign.store.Path.mkdir", refuse)
        assert_one_line(lensax(*command, "sealed/made"), 2, "sealed/made: Permission denied")
        patch.setattr("lensax.campaign.space.os.access", lambda place, mode: False)
        assert_one_line(lensax(*command, "sealed/made"), 2, "cannot be written to")
    assert listing(".") == before


def test_a_second_writer_is_refused(toy):
    lensax("simulate", "toy.yaml", "--count", 10, "--out", "made", "--seed", 1)
    with Store("made").writing():
        result = lensax("simulate", "toy.yaml", "--count", 10, "--out", "made")
        assert_one_line(result, 2, f"being written by process {os.getpid()}")


def test_a_full_disk_stops_with_1(toy, monkeypatch):
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 45:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    command = ("simulate", "toy.yaml", "--count", 20, "--out", "made", "--seed", 1, "--shard-size", 4)
    monkeypatch.setattr("lensax.campaign.files.os.fsync", full)
    result = lensax(*command)
    monkeypatch.setattr("lensax.campaign.files.os.fsync", real)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: shard ")
    assert "No space left on device; what is recorded is safe, and the same command continues" in result.stderr
    assert lensax(*command).exit_code == 0


def test_what_goes_wrong_inside_is_one_line_unless_debug(toy, monkeypatch):
    def broken(path):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("lensax.simulate.ForwardModel.from_yaml", broken)
    command = ("simulate", "toy.yaml", "--count", 3, "--out", "made")
    assert_one_line(lensax(*command), 2, "unexpected ZeroDivisionError: division by zero", "--debug")
    for place in (("--debug", *command), (*command, "--debug")):
        result = lensax(*place)
        assert result.exit_code == 2
        assert "Traceback" in result.stderr


def test_help_shows_examples():
    whole = lensax("--help")
    assert whole.exit_code == 0
    for command in ("simulate", "preview", "inspect", "row", "info", "cite"):
        assert command in whole.stdout
        result = lensax(command, "--help")
        assert result.exit_code == 0
        assert f"lensax {command} " in result.stdout.split("Example:")[1]
    assert "Example:" in whole.stdout
    assert lensax().stdout == whole.stdout
    assert lensax("--version").stdout.startswith("lensax 0.")


def test_help_is_quick_and_light():
    """Help reads no store and draws nothing: the commands import what they need when they run."""
    program = (
        "import sys; sys.argv = ['lensax', '--help']; from lensax.cli import main\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    heavy = {"matplotlib", "zarr", "astropy", "colossus", "pydantic", "yaml", "numpyro", "lensax.campaign"}
    assert not heavy & set(done.stdout.split())


def program(*arguments, **options):
    command = [sys.executable, "-m", "lensax", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def test_the_real_program_refuses_in_one_line(tmp_path):
    (tmp_path / "bad.yaml").write_text("lens: [1, 2\n")
    for config, words in (("absent.yaml", ["absent.yaml"]), ("bad.yaml", ["bad.yaml"])):
        done = program("simulate", config, "--count", 2, "--out", "made", cwd=tmp_path)
        lines = done.stderr.strip().splitlines()
        assert (done.returncode, done.stdout, len(lines)) == (2, "", 1)
        assert all(word in lines[0] for word in words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml"]
    traced = program("simulate", "absent.yaml", "--count", 2, "--out", "made", "--debug", cwd=tmp_path)
    assert "Traceback" in traced.stderr


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a real configuration that is as small as can be."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(TINY)
    return folder


@pytest.mark.parametrize(
    ("found", "instead", "words"),
    [
        ("lens:", "lens: [", ["tiny.yaml:"]),  # malformed YAML
        ("slope: 2.0", "slop: 2.0", ["tiny.yaml:5", "slop", "slope"]),
        ("slope: 2.0", "slope: steep", ["tiny.yaml:5", "slope", "steep"]),
        ("slope: 2.0", "slope: .nan", ["tiny.yaml:5", "slope", "NaN"]),
        ("PowerLaw", "PowerLow", ["tiny.yaml:5", "PowerLow", "PowerLaw"]),
        ("Normal: [1.0, 0.05]", "Normal: [1.0, -0.05]", ["tiny.yaml:5", "einstein_radius", "-0.05"]),
        ("Uniform: [0.5, 1.5]", "Uniform: [1.5, 0.5]", ["tiny.yaml:13", "delta_los"]),
        ("Uniform: [0.5, 1.5]", "Unifrom: [0.5, 1.5]", ["tiny.yaml:13", "Unifrom", "Uniform"]),
        ("redshift: 1.5", "redshift: 0.4", ["source.redshift", "0.4"]),
        ("redshift: 0.5", "redshift: -0.5", ["tiny.yaml:3", "lens.redshift", "-0.5"]),
        ("log10_mass: [8.5, 9.5]", "log10_mass: [9.5, 8.5]", ["mass_function"]),
        ("Gaussian: {fwhm: 0.2}", "Gaussian: {fwhm: -0.2}", ["tiny.yaml:14", "fwhm", "-0.2"]),
        ("Gaussian: {fwhm: 0.2}", "FITS: {path: none.fits}", ["tiny.yaml:14", "none.fits"]),
        ("Gaussian: {fwhm: 0.2}", "FITS: {path: nan.fits}", ["tiny.yaml:14", "nan.fits"]),
        ("Gaussian: {fwhm: 0.2}", "FITS: {path: even.fits}", ["tiny.yaml:14", "even.fits"]),
        ("shape: [16, 20]", "shape: [16, 0]", ["tiny.yaml:14", "shape"]),
        ("exposure_time: 2000.0", "exposure_time: 0", ["tiny.yaml:14", "exposure_time", "0"]),
    ],
)
def test_bad_configurations_are_refused_in_one_line(tmp_path, monkeypatch, found, instead, words):
    from astropy.io import fits

    monkeypatch.chdir(tmp_path)
    assert found in TINY
    Path("tiny.yaml").write_text(TINY.replace(found, instead, 1))
    fits.writeto("nan.fits", np.full((3, 3), np.nan))
    fits.writeto("even.fits", np.ones((4, 4)))
    before = listing(".")
    for command in (("simulate", "tiny.yaml", "--count", 2, "--out", "made"), ("info", "tiny.yaml")):
        result = lensax(*command)
        assert_one_line(result, 2, *words)
    assert listing(".") == before


@pytest.mark.slow
@pytest.mark.extended
def test_the_real_program_simulates(tiny):
    done = program("simulate", "tiny.yaml", "--count", 6, "--out", "made", "--seed", 3, "--shard-size", 4, cwd=tiny)
    assert done.returncode == 0, done.stderr
    assert "6 rows, seed 3" in done.stdout
    campaign = Campaign(tiny / "made")
    assert campaign.noisy.shape == (6, 16, 20)
    assert campaign.good.all()
    assert set(campaign.theta) == {"lens.mass.PowerLaw.einstein_radius", "line_of_sight.mass_function.delta_los"}
    assert campaign.configuration == TINY
    assert campaign.array("halos_per_plane")[:].sum() > 0
    assert imread(tiny / "made" / "montage.png").ndim == 3


@pytest.mark.extended
def test_preview_draws_a_real_model(tiny, monkeypatch):
    monkeypatch.chdir(tiny)
    result = lensax("preview", "tiny.yaml", "--seed", 3, "--row", 1, "--out", "row.png")
    assert result.exit_code == 0, result.output
    assert "lens.mass.PowerLaw.einstein_radius = " in result.stdout
    for name in ("row.png", "row_planes.png", "row_population.png"):
        assert f"preview: {name}" in result.stdout
        assert imread(name).std() > 0.1


@pytest.mark.extended
def test_info_describes_a_real_model(tiny, monkeypatch):
    monkeypatch.chdir(tiny)
    result = lensax("info", "tiny.yaml")
    assert result.exit_code == 0, result.output
    for words in ("2 free", "Normal(loc=1, scale=0.05)", "expected halos", "20 × 16 pixels of 0.15 arcsec", "memory"):
        assert words in result.stdout
    found = re.search(r"overflow +(\S+) that a draw needs more", result.stdout)
    assert 0 <= float(found[1]) < 1e-9
    found = re.search(r"padding +(\d+)% of the traced slots are empty .* (\d+)% of the reserved ones", result.stdout)
    assert 0 < int(found[1]) < int(found[2]) < 100
    below = result.stdout[result.stdout.index("expected halos") :].splitlines()
    planes = [line.split() for line in below[2:6]]
    assert [line[0] for line in planes] == ["0", "1", "2", "all"]
    assert sum(float(line[-2]) for line in planes[:3]) == pytest.approx(float(planes[3][-2]), abs=0.2)
    assert all(int(line[-1]) > float(line[-2]) for line in planes)


def test_cite_prints_what_a_real_model_uses(tiny, monkeypatch):
    monkeypatch.chdir(tiny)
    result = lensax("cite", "tiny.yaml")
    assert result.exit_code == 0, result.output
    for key in ("Tessore2015", "Sersic1968", "Sheth1999", "Ludlow2016", "He2022", "Planck2015"):
        assert f"{{{key},\n" in result.stdout
    assert "Moffat1969" not in result.stdout
    plain = lensax("cite", "tiny.yaml", "--style", "plain").stdout
    assert "Tessore, N. & Metcalf, R. B. (2015)" in plain


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_shard_in_hand(tmp_path, number):
    script = tmp_path / "toy_lensax.py"
    script.write_text(
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import toy, lensax.simulate, lensax.campaign.rows as rows\n"
        "lensax.simulate.ForwardModel.from_yaml = lambda path: toy.ToyModel()\n"
        "call = rows.RowMaker.__call__\n"
        "def slow(self, span):\n"
        "    print('call', flush=True); time.sleep(0.2); return call(self, span)\n"
        "rows.RowMaker.__call__ = slow\n"
        "from lensax.cli import main; main()\n"
    )
    command = [
        sys.executable,
        str(script),
        "simulate",
        "a.yaml",
        "--count",
        "400",
        "--out",
        str(tmp_path / "made"),
        "--shard-size",
        "16",
        "--batch-size",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(4):
            assert process.stdout.readline() == "call\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "finishing the shard in hand; once more stops at once" in err
    rows = sum(record["stop"] - record["start"] for _, record in Store(tmp_path / "made").recorded())
    assert rows in (32, 48)
    assert f"stopped: {400 - rows} of 400 rows are still to be made, the same command goes on" in err


def test_progress_in_a_log_is_a_line_now_and_then(capsys):
    now = iter([0.0, 50.0, 70.0, 90.0, 140.0])
    advance = log_progress(100, "rows", every=60.0, clock=lambda: next(now))
    for _ in range(4):
        advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["20/100 rows, 0.5 rows/s, 0:02:40 left", "40/100 rows, 0.333 rows/s, 0:03:00 left"]


def test_numbers_for_people():
    assert [bytes_text(size) for size in (0, 999, 1500, 2e9, 4e13)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2 GB",
        "40 TB",
    ]
    assert rows_text([1, 2]) == "1, 2"
    assert rows_text(list(range(15)), 3) == "0, 1, 2 and 12 more"
