"""Where numbers come from: versions, device, revision, and a model's parts in words."""

import dataclasses
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

__all__ = ["describe_device", "describe_part", "describe_versions", "git_revision"]


def describe_versions() -> dict[str, str]:
    """The versions of everything that takes part in making a row."""
    packages = ("lensax", "jax", "jaxlib", "equinox", "numpyro", "numpy", "zarr")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def describe_device() -> str:
    """The kind of device that simulates, for example "cpu" or "gpu NVIDIA H200"."""
    device = jax.devices()[0]
    kind = "" if device.device_kind == device.platform else f" {device.device_kind}"
    return f"{device.platform}{kind}"


def git_revision() -> str | None:
    """The revision of the working copy that lensax runs from ("-dirty" when changed), None for an installed one."""
    package = Path(__file__).resolve().parents[1]
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or package != Path(top).resolve() / "src" / "lensax":
        return None
    return _git(package, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def describe_part(part: Any) -> dict[str, Any]:
    """A part of a model as JSON values: its class and its numbers, switches and names."""
    described: dict[str, Any] = {"class": type(part).__name__}
    for field in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
        value = getattr(part, field.name)
        if isinstance(value, (bool, int, float, str)):
            described[field.name] = value
        elif eqx.is_array(value) and value.ndim == 0 and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            described[field.name] = np.asarray(value).item()
    return described
