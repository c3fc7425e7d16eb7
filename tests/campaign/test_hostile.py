"""A store from a stranger: it runs no code and leads nowhere else."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from toy import toy_work

import lensax.campaign
from lensax.campaign import Campaign, CampaignDamaged, CampaignRefused, Store, check, restore_group, stored_model


@pytest.fixture
def campaign(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "campaign"))


def change(folder, edit):
    path = folder / "zarr.json"
    metadata = json.loads(path.read_text())
    edit(metadata, metadata["consolidated_metadata"]["metadata"])
    path.write_text(json.dumps(metadata))


def pickled(array):
    array["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]


HOSTILE = {
    "a codec that runs code": (lambda group, arrays: pickled(arrays["theta"]), "codec 'numcodecs.pickle' is not among"),
    "one inside of shards": (
        lambda group, arrays: arrays["noisy"].update(codecs=nested(["pickle"])),
        "codec 'pickle' is not among",
    ),
    "objects": (lambda group, arrays: arrays["theta"].update(data_type="object"), "data type 'object' is not among"),
    "a name that leads out": (lambda group, arrays: arrays.update({"../../secret": arrays["noisy"]}), "no plain name"),
    "an absolute name": (lambda group, arrays: arrays.update({"/etc": arrays["noisy"]}), "no plain name|not a plain"),
    "another format": (lambda group, arrays: arrays["noisy"].update(zarr_format=2), "not a Zarr 3 array"),
    "an image of petabytes": (
        lambda group, arrays: arrays["noisy"].update(shape=[20, 2**30, 2**30]),
        "too large",
    ),
    "a chunk of petabytes": (
        lambda group, arrays: arrays["theta"]["chunk_grid"]["configuration"].update(chunk_shape=[2**39, 2]),
        "too large",
    ),
    "other rows": (lambda group, arrays: arrays["noisy"].update(shape=[10**6, 8, 10]), "has 1000000 rows, not 20"),
    "transformers": (
        lambda group, arrays: arrays["noisy"].update(storage_transformers=[{"name": "x"}]),
        "storage transformers",
    ),
    "another place for chunks": (
        lambda group, arrays: arrays["noisy"].update(chunk_key_encoding={"name": "../v2"}),
        "laid out in another way",
    ),
    "no arrays": (lambda group, arrays: arrays.clear(), "lists no arrays"),
    "nonsense": (lambda group, arrays: arrays.update(noisy=[1]), "array 'noisy'"),
    "numbers that are none": (lambda group, arrays: group["attributes"].update(count="many"), "count is 'many'"),
}


def nested(names):
    inner = {"chunk_shape": [6, 8, 10], "codecs": [{"name": name} for name in names], "index_codecs": []}
    return [{"name": "sharding_indexed", "configuration": inner}]


@pytest.mark.parametrize("edit", HOSTILE)
def test_metadata_that_lensax_does_not_write_is_refused(campaign, edit):
    apply, message = HOSTILE[edit]
    change(campaign, apply)
    for opening in (Store, Campaign, lambda folder: toy_work(folder, 20)):
        with pytest.raises(CampaignDamaged, match=message.replace("no plain name", "not a plain name")):
            opening(campaign)


@pytest.mark.parametrize("place", ["noisy", "noisy/c.0.0.0", ".lensax", ".lensax/shards", ".lensax/files/psf.fits"])
def test_links_are_refused(campaign, tmp_path, place):
    outside = tmp_path / "outside"
    target = campaign / place
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        shutil.move(target, outside)
    else:
        outside.write_text("mine")
    target.symlink_to(outside)
    for opening in (Store, Campaign, lambda folder: toy_work(folder, 20, verify=True)):
        with pytest.raises(CampaignRefused, match=f"{Path(place).name} is a link"):
            opening(campaign)


def test_the_folder_itself_may_be_reached_through_a_link(campaign, tmp_path):
    (tmp_path / "link").symlink_to(campaign)
    assert Campaign(tmp_path / "link").good.all()
    assert toy_work(tmp_path / "link", 20).pending == []


@pytest.mark.parametrize("name", ["../../outside", "/outside", ".lensax/lock", "noisy/../../outside", "a/b/c"])
def test_a_copy_of_the_metadata_writes_nothing_elsewhere(campaign, name):
    path = campaign / ".lensax" / "group.json"
    copy = json.loads(path.read_text())
    copy["files"] = {name: "AAAA", **copy["files"]}
    from lensax.campaign.group import _digest

    path.write_text(json.dumps({"files": copy["files"], "sha256": _digest(copy["files"])}))
    os.remove(campaign / "zarr.json")
    with pytest.raises(CampaignDamaged, match="names files that no campaign has"):
        restore_group(campaign)
    assert not (campaign / "zarr.json").exists()


@pytest.mark.parametrize(
    "record",
    [
        {"files": {"../noisy": {"bytes": 1, "sha256": ""}}},
        {"overflow": [10**9]},
        {"overflow": ["0; rm"]},
        {"errors": {"../x": "text"}},
        {"remade": ["x"]},
        {"start": 0, "stop": 10**12, "overflow": list(range(3))},
    ],
)
def test_a_record_is_believed_only_where_it_fits(campaign, record):
    path = campaign / ".lensax" / "shards" / "00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **record}))
    report = check(Store(campaign))
    assert list(report.damaged) == [1]
    assert not report.overflow


def test_endless_and_deep_files_are_no_records(campaign):
    path = campaign / ".lensax" / "shards" / "00000001.json"
    path.write_text("[" * 10**5)
    assert list(check(Store(campaign)).damaged) == [1]
    path.unlink()
    os.mkfifo(path)  # reading a pipe would wait for ever
    assert list(check(Store(campaign)).damaged) == [1]


CONFIGURATION = """
lens: {redshift: 0.5, mass: [PowerLaw: {einstein_radius: 1.0, slope: 2, e1: 0, e2: 0, center_x: 0, center_y: 0}]}
source: {redshift: 1.5, light: [Gaussian: {intensity: 1, sigma: 0.1, e1: 0, e2: 0, center_x: 0, center_y: 0}]}
instrument: {shape: [8, 10], pixel_scale: 0.1, psf: {FITS: {path: NAME}}, exposure_time: 1.0}
"""


@pytest.mark.parametrize("name", ["../../../psf.fits", "ABSOLUTE"])
def test_a_stored_configuration_opens_no_file_outside(campaign, tmp_path, name):
    from astropy.io import fits

    fits.writeto(tmp_path / "psf.fits", np.ones((3, 3)))
    text = CONFIGURATION.replace("NAME", name.replace("ABSOLUTE", str(tmp_path / "psf.fits")))
    change(campaign, lambda group, arrays: group["attributes"].update(configuration=text, precision="float64"))
    (campaign / ".lensax" / "files").mkdir()
    with pytest.raises(CampaignDamaged, match=r"lies outside of .*; give the configuration with --config"):
        stored_model(Store(campaign))


def test_nothing_in_the_package_unpickles_what_it_reads():
    """`pickle` occurs once: for what a coordinator sends its workers."""
    source = Path(lensax.campaign.__file__).parent
    using = [path.name for path in source.glob("*.py") if "pickle" in path.read_text().replace("cloudpickle", "")]
    assert set(using) - {"guard.py", "torch_datasets.py"} <= {"worker.py"}
    assert (source / "worker.py").read_text().count("pickle.loads") == 1
