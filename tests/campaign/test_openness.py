"""The store is read by zarr, xarray and tensorstore without lensax."""

import json
import subprocess
import sys

import numpy as np
import pytest
from toy import toy_work

from lensax.campaign import Campaign

PROGRAM = """
import json, sys
import numpy as np
assert not any(name.startswith("lensax") for name in sys.modules)
folder = sys.argv[1]
{code}
assert not any(name.startswith("lensax") for name in sys.modules)
print(json.dumps([float(np.sum(noisy[3])), list(noisy.shape), str(noisy.dtype), units, radius]))
"""
READERS = {
    "zarr": """
import zarr
group = zarr.open_group(folder, mode="r")
noisy, units = group["noisy"][:], group["noisy"].attrs["units"]
radius = float(group["theta"][3, list(group["parameter"][:]).index("lens.mass.PowerLaw.einstein_radius")])
""",
    "xarray": """
import xarray
data = xarray.open_zarr(folder)
assert data.noisy.dims == ("row", "y", "x") and data.x.attrs["units"] == "arcsec"
noisy, units = data.noisy.values, data.noisy.attrs["units"]
radius = float(data.theta.sel(parameter="lens.mass.PowerLaw.einstein_radius")[3])
""",
    "tensorstore": """
import tensorstore
def opened(name):
    where = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/{name}/"}}
    return tensorstore.open(where, read=True).result()
noisy = opened("noisy").read().result()
units = json.loads(open(f"{folder}/noisy/zarr.json").read())["attributes"]["units"]
radius = float(opened("theta")[3, 0].read().result())
""",
}


@pytest.mark.parametrize(
    ("reader", "dtype"),
    [
        ("zarr", "float16"),
        pytest.param("xarray", "float32", marks=pytest.mark.extended),
        ("tensorstore", "float16"),
    ],
)
def test_a_reader_of_zarr_reads_it(tmp_path, original, reader, dtype):
    pytest.importorskip(reader, reason=f"needs {reader}, which lensax does not")
    folder = original
    if dtype == "float16":
        folder = tmp_path / "campaign"
        toy_work(folder, 20, seed=1, shard_size=6, dtype=dtype).run()
    campaign = Campaign(folder)
    radius = float(campaign.theta["lens.mass.PowerLaw.einstein_radius"][3])
    expected = [campaign.noisy[3].astype(float).sum(), [20, 8, 10], dtype, "electron s-1 pixel-1", radius]
    program = [sys.executable, "-c", PROGRAM.replace("{code}", READERS[reader]), str(folder)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found[1:] == expected[1:]
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-2 if expected[2] == "float16" else 1e-5)


def test_metadata_says_what_made_it(original):
    about = json.loads((original / "zarr.json").read_text())["attributes"]
    assert about["configuration"].startswith("lens:")
    assert {"lensax", "jax", "jaxlib", "numpy", "zarr", "python"} <= set(about["versions"])
    assert about["device"] == "cpu"
    assert about["tracer"]["tolerance"] == 2e-5
    assert about["prior"]["blob.center_x"]["units"] == "arcsec"
    assert (about["seed"], about["count"], about["shard_size"], about["batch_size"]) == (1, 20, 6, 1)
    assert (about["precision"], about["dtype"], about["keep"]) == ("float64", "float32", ["noiseless", "noisy"])
    assert "git_revision" in about
    assert "fold_in" in about["random_key"]
