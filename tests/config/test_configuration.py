"""Whole configurations: what is read, what is refused and how it is said."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lensax.config import ConfigError, load, loads
from lensax.config.document import Document

FILE = Path(__file__).parent / "small_lens.yaml"
TEXT = FILE.read_text()


def test_the_parameters_by_name():
    described = loads(TEXT).parameters.describe()
    expected = {
        "parameters.width": "HalfNormal(scale=0.1)",
        "lens.redshift": "0.5",
        "lens.mass.PowerLaw.einstein_radius": "Normal(loc=1.2, scale=0.05)",
        "lens.mass.PowerLaw.e1": "0.1",
        "lens.mass.PowerLaw.center_x": "0",  # a default is a parameter too
        "lens.light.Sersic.center_x": "= lens.mass.PowerLaw.center_x",
        "source.light.Gaussian.center_x": "Normal(loc=0, scale=0.05)",
        "source.light.Gaussian_2.center_x": "= source.light.Gaussian.center_x + 0.2",
    }
    assert {name: described[name] for name in expected} == expected
    assert loads(TEXT).parameters.prior.names == (
        "parameters.width",
        "lens.mass.PowerLaw.einstein_radius",
        "lens.mass.PowerLaw.slope",
        "source.redshift",
        "source.light.Gaussian.center_x",
    )


def test_summary():
    rows = {row.name: (row.value, row.kind) for row in loads(TEXT).summary()}
    assert rows["cosmology"] == ("Planck15", "setting")
    assert rows["lens.mass.PowerLaw.slope"] == ("Uniform(low=1.9, high=2.2)", "free")
    assert rows["lens.mass.ExternalShear.gamma_2"] == ("-0.01", "fixed")
    assert rows["source.light.Gaussian.sigma"] == ("= 0.1 + parameters.width", "derived")
    assert rows["instrument.shape"] == ("[12, 10]", "setting")
    assert rows["instrument.psf.Gaussian.fwhm"] == ("0.4", "setting")
    assert "line_of_sight" not in rows


PSF, SLOPE, Z_LENS, Z_SOURCE = (
    "Gaussian: {fwhm: 0.4}",
    "slope: {Uniform: [1.9, 2.2]}",
    "redshift: 0.5",
    "redshift: {Uniform: [1.0, 2.0]}",
)
SIGMA = "0.1 + parameters.width"
# A replacement in the text above, the line and the key that are named, and what is said.
BAD = [
    ("lens:\n", "lens: [\n", None, None, "not YAML"),
    (Z_LENS, "redshift: 0.5\n  redshift: 0.6", 7, "lens.redshift", "the key stands twice, first in line 6"),
    ("cosmology: Planck15", "cosmolgy: Planck15", 2, "cosmolgy", "unknown key 'cosmolgy'; did you mean 'cosmology'?"),
    (SLOPE, "slop: 2", 10, "lens.mass.PowerLaw.slop", "did you mean 'slope'? allowed: einstein_radius, slope, e1"),
    ("PowerLaw:", "PowrLaw:", 8, "lens.mass.PowrLaw", "unknown mass profile 'PowrLaw'; did you mean 'PowerLaw'?"),
    ("- Sersic:", "- PowerLaw:", 14, "lens.light.PowerLaw", "unknown light profile 'PowerLaw'; allowed: Sersic, Core"),
    ("Planck15", "Planck13", 2, "cosmology.Planck13", "unknown cosmology 'Planck13'; did you mean 'Planck1"),
    ("Planck15", "{FlatLambdaCDM: {H0: 70}}", 2, "cosmology.FlatLambdaCDM.Om0", "is missing; needed here: H0, Om0"),
    ("{Direct: {}}", "{Director: {}}", 28, "tracer.Director", "unknown ray tracer 'Director'; did you mean 'Direct'?"),
    ("{Direct: {}}", "{Direct: {chunk: 1.5}}", 28, "tracer.Direct.chunk", "expected a whole number, found 1.5"),
    ("{Direct: {}}", "[Direct]", 28, "tracer", "expected one ray tracer of"),
    (PSF, "Gaussian:\n    Moffat:", 24, "instrument.psf", "expected exactly one PSF of Gaussian, Moffat, Airy, FITS"),
    (PSF, "Gaussian: {}", 25, "instrument.psf.Gaussian.fwhm", "is missing; needed here: fwhm"),
    (PSF, "FITS: {path: no.fits}", 25, "instrument.psf.FITS.path", "the file 'no.fits' does not exist"),
    (PSF, "FITS: {path: 3}", 25, "instrument.psf.FITS.path", "expected the name of a file, found 3"),
    ("  shape: [12, 10]\n", "", 20, "instrument.shape", "is missing; needed here: shape, pixel_scale, exposure_time"),
    ("[12, 10]", "[12]", 21, "instrument.shape", "expected 2 entries or more, found 1"),
    ("[12, 10]", "[12, 10, 1]", 21, "instrument.shape", "expected at most 2 entries, found [12, 10, 1]"),
    ("[12, 10]", "[12, '10']", 21, "instrument.shape[1]", 'expected a whole number, found "10"'),
    ("pixel_scale: 0.3", "pixel_scale: .nan", 22, "instrument.pixel_scale", "expected a finite number, found NaN"),
    ("over_sample: 2", "over_sample: {radii: [1]}", 23, "instrument.over_sample.factors", "is missing"),
    ("over_sample: 2", "over_sample: two", 23, "instrument.over_sample", 'expected a whole number, found "two"'),
    ("1000.0", "no.fits", 26, "instrument.exposure_time.path", "the file 'no.fits' does not exist"),
    ("1000.0", "[1]", 26, "instrument.exposure_time", "expected a number, found [1]"),
    (
        SLOPE,
        "slope: {Uniform: [2.2, 1.9]}",
        10,
        "lens.mass.PowerLaw.slope",
        "(low=2.2, high=1.9) has no support",
    ),
    (SLOPE, "slope: {Normal: [2, -1]}", 10, "lens.mass.PowerLaw.slope", "invalid scale"),
    (SLOPE, "slope: {Normal: [2, .nan]}", 10, "lens.mass.PowerLaw.slope", "must be a finite number, found nan"),
    (SLOPE, "slope: {Unifrm: [1, 2]}", 10, "lens.mass.PowerLaw.slope", "did you mean Uniform?"),
    (SLOPE, "slope: wide", 10, "lens.mass.PowerLaw.slope", "such as '= lens.redshift', found \"wide\""),
    (SLOPE, "slope: true", 10, "lens.mass.PowerLaw.slope", "expected a number, a prior such as"),
    (SLOPE, "slope: .inf", 10, "lens.mass.PowerLaw.slope", "expected a finite number, found Infinity"),
    (SLOPE, "slope:", 10, "lens.mass.PowerLaw.slope", "found null"),
    (SIGMA, "0.1 + parameters.widht", 18, "source.light.Gaussian.sigma", "did you mean parameters.width"),
    (SIGMA, "0.1 +", 18, "source.light.Gaussian.sigma", "is not an expression"),
    (SIGMA, "open(1)", 18, "source.light.Gaussian.sigma", "'open(1)' is not allowed in an expression"),
    (SIGMA, "source.light.Gaussian.sigma", 18, "source.light.Gaussian.sigma", "follows from itself"),
    ("  width:", "  class:", 3, "parameters", "expected names of letters, digits and underscores, found 'class'"),
    (Z_LENS, "redshift: 0", 6, "lens.redshift", "must be greater than 0, found 0"),
    (Z_LENS, "redshift: {Normal: [0.5, 0.2]}", 6, "lens.redshift", "which reaches down to -0.69"),
    (Z_LENS, "redshift: 1.5", 16, "source.redshift", "which reaches down to 1; lens.redshift is 1.5"),
    (Z_LENS, "redshift: {Uniform: [0.5, 1.1]}", 16, "source.redshift", "which reaches up to 1.1"),
    (Z_SOURCE, "redshift: 0.4", 16, "source.redshift", "must lie behind the lens: found 0.4; lens.redshift is 0.5"),
    (Z_SOURCE, "redshift: '= lens.redshift'", 16, "source.redshift", "the source must lie behind the lens"),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "reason"), BAD, ids=[f"{bad[3]}-{bad[4][:30]}" for bad in BAD])
def test_bad_input_is_one_line_with_its_place(old, new, line, key, reason):
    assert TEXT.count(old) >= 1
    with pytest.raises(ConfigError) as caught:
        loads(TEXT.replace(old, new, 1), file="some.yaml")
    error = caught.value
    assert reason in error.reason
    assert "\n" not in str(error)
    assert str(error).startswith("some.yaml:")
    if line is not None:
        assert (error.line, error.key) == (line, key)
        assert str(error).startswith(f"some.yaml:{line}: {key}: ")


def test_a_source_must_shine():
    dark = "".join(line for line in TEXT.splitlines(keepends=True) if "- Gaussian" not in line)
    with pytest.raises(ConfigError, match=r":17: source.light: expected at least one entry, found \[\]"):
        loads(dark.replace("  light:\ninstrument", "  light: []\ninstrument"))


def test_the_first_of_several_and_how_many_more():
    with pytest.raises(ConfigError, match=r":10: lens.mass.PowerLaw.slop: .* \(and 2 more\)"):
        loads(TEXT.replace("slope:", "slop:").replace("fwhm", "fwmh"), file="some.yaml")


def test_a_source_that_follows_from_the_lens():
    free = TEXT.replace("redshift: 0.5", "redshift: {Uniform: [0.2, 0.8]}")
    assert loads(free.replace("{Uniform: [1.0, 2.0]}", "'= lens.redshift + 0.3'"))
    with pytest.raises(ConfigError, match="the source must lie behind the lens"):
        loads(free.replace("{Uniform: [1.0, 2.0]}", "'= 1 - lens.redshift'"))


class TestFiles:
    def test_missing_folder_binary(self, tmp_path):
        with pytest.raises(ConfigError, match=r"none.yaml: cannot be read: No such file"):
            load(tmp_path / "none.yaml")
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            load(tmp_path)
        (tmp_path / "binary.yaml").write_bytes(b"lens: \xff\xfe")
        with pytest.raises(ConfigError, match=r"binary.yaml: not UTF-8 text: .* at byte 6"):
            load(tmp_path / "binary.yaml")

    def test_names_are_relative_to_the_file(self, tmp_path):
        (tmp_path / "deep").mkdir()
        fits.writeto(tmp_path / "exposure.fits", np.full((12, 10), 900.0))
        path = tmp_path / "deep" / "a.yaml"
        path.write_text(TEXT.replace("1000.0", "../exposure.fits"))
        configuration = load(path)
        assert configuration.file == str(path)
        _, _, simulator = configuration.build()
        np.testing.assert_array_equal(simulator.instrument.exposure_time, 900.0)

    def test_the_content_of_a_file_counts(self, tmp_path):
        written = TEXT.replace("1000.0", "exposure.fits")
        digests = []
        for seconds in (900.0, 900.0, 901.0):
            fits.writeto(tmp_path / "exposure.fits", np.full((12, 10), seconds), overwrite=True)
            digests.append(loads(written, tmp_path).digest)
        assert digests[0] == digests[1] != digests[2]
        (tmp_path / "copy.fits").write_bytes((tmp_path / "exposure.fits").read_bytes())
        assert loads(written.replace("exposure.fits", "copy.fits"), tmp_path).digest == digests[2]


class TestDigest:
    SAME = (
        (TEXT, TEXT.replace("# A small lens for tests.\n", "\n# other\n")),
        (TEXT, TEXT.replace("sersic_index: 2,", "sersic_index: 2.0e0,")),
        (TEXT, TEXT.replace("intensity: 5.0, effective_radius: 0.5", "effective_radius: .5, intensity: 5")),
        (TEXT, TEXT.replace("{Direct: {}}", "Direct")),
        (TEXT, TEXT.replace("{Normal: [1.2, 0.05]}", "{Normal: [1.20, 5e-2]}")),
        (TEXT, TEXT.replace("= 0.1 + parameters.width", "=  0.1  + parameters.width ")),
    )
    OTHER = (
        TEXT.replace("sersic_index: 2,", "sersic_index: 2.1,"),
        TEXT.replace("0.1 + parameters.width", "0.2 + parameters.width"),
        TEXT.replace("[1.9, 2.2]", "[1.9, 2.3]"),
        TEXT.replace("[12, 10]", "[10, 12]"),
        TEXT.replace("{Direct: {}}", "{Direct: {chunk: 128}}"),
    )

    def test_what_means_the_same_is_equal(self):
        for one, other in self.SAME:
            assert one != other
            assert loads(one) == loads(other)
            assert hash(loads(one)) == hash(loads(other))

    def test_what_means_something_else_is_not(self):
        digests = {loads(text).digest for text in (TEXT, *self.OTHER)}
        assert len(digests) == 1 + len(self.OTHER)
        assert loads(TEXT) != "something else"

    def test_it_is_the_same_everywhere(self):
        assert loads(TEXT).digest == DIGEST

    def test_it_travels(self):
        copy = pickle.loads(pickle.dumps(loads(TEXT, file="a.yaml")))
        assert (copy, copy.text, copy.file) == (loads(TEXT), TEXT, "a.yaml")


DIGEST = "d249913543f8aa5846735fad0692f48979791ab37ae0097f0cfbf81ba3b5ba85"


def paths(data, path=()):
    """Every path of a document."""
    yield path
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))


DATA = Document(TEXT).data
PATHS = [path for path in paths(DATA) if path]
words = st.text(max_size=8) | st.sampled_from(["= 1 + lens.redshift", "= sqrt(", "Normal", "Planck18", "a.fits", "\0"])
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.floats(-3, 3)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(words, inner, max_size=2)
        | st.dictionaries(st.sampled_from(["Normal", "Uniform", "TruncatedNormal", "Beta"]), inner, max_size=1)
    ),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(PATHS), values, st.booleans())
def test_anything_anywhere_is_read_or_refused_in_one_line(path, value, rename):
    data = json.loads(json.dumps(DATA))
    *parents, last = path
    place = data
    for step in parents:
        place = place[step]
    if rename and isinstance(last, str):
        place[str(value)[:20]] = place.pop(last)
    else:
        place[last] = value
    message = ""
    try:
        loads(json.dumps(data), file="some.yaml")
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 12), st.text(alphabet="{}[]:,-'\"=& *!#\n\tab1.", max_size=4))
def test_a_damaged_text_is_read_or_refused_in_one_line(start, length, inserted):
    message = ""
    try:
        loads(TEXT[:start] + inserted + TEXT[start + length :], file="some.yaml")
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message
