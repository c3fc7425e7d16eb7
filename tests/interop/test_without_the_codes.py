"""The bridges import no other code by themselves, and say which one is missing."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

import lensax as lx
from lensax.interop.autolens import from_galaxies, from_tracer, to_galaxies


def test_importing_the_bridges_imports_no_other_code() -> None:
    program = (
        "import sys, lensax.interop\n"
        "print(sorted({'lenstronomy', 'autolens', 'autogalaxy', 'pyHalo', 'colossus'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_missing_autolens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autolens", None)
    planes = lx.raytrace.Planes([0.5], 0.5, 1.5, lx.cosmology.Planck15)
    tracer = SimpleNamespace(galaxies=[SimpleNamespace(redshift=1.0)], fields=[])
    with pytest.raises(ImportError, match="PyAutoLens is not installed"):
        from_tracer(tracer)
    with pytest.raises(ImportError, match="PyAutoLens is not installed"):
        from_galaxies([], planes)
    with pytest.raises(ImportError, match="PyAutoLens is not installed"):
        to_galaxies(lx.halos.HaloCatalogue.empty(1), planes)
