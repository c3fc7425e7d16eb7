"""How a campaign lies in its Zarr group: arrays, dimensions, units, and the bytes of one shard."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lensax.campaign.plan import IMAGES, Plan

__all__ = ["FLAGS", "Layout", "Variable", "chunk_name"]

FLAGS = {"overflow": 1, "non_finite": 2, "failed": 4, "not_made": 128}
"""The bits of `status`; 0 is a good row."""

INNER_ROWS = 16
"""At most this many images are compressed together, so that reading one row decodes few others."""


@dataclass(frozen=True)
class Variable:
    """One array of the store.

    Args:
        name: of the array.
        shape: of one row.
        dtype: NumPy name of the type.
        dimensions: names of the axes after "row".
        attributes: `units` and `long_name`, and what else readers need.
        fill: what a row that is not made yet reads as.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    fill: float | int = 0


def chunk_name(shard: int, dimensions: int) -> str:
    """The file of a shard inside its array's folder: "c.12.0.0"."""
    return ".".join(["c", str(shard), *["0"] * dimensions])


@dataclass(frozen=True)
class Layout:
    """The arrays of a campaign.

    Args:
        plan: what the campaign makes.
        variables: the arrays with one entry per row.
        coordinates: the values along the named dimensions `x`, `y` (arcsec) and `parameter` (names).
    """

    plan: Plan
    variables: tuple[Variable, ...]
    coordinates: dict[str, np.ndarray]

    @classmethod
    def of_rows(
        cls, plan: Plan, shapes: Mapping[str, Any], names: tuple[str, ...], x: np.ndarray, y: np.ndarray
    ) -> "Layout":
        """The layout for rows of the given shapes (see `row_shapes`), parameter names and pixel centres (arcsec)."""
        unit = {"units": "electron s-1 pixel-1"}
        known = {
            "noiseless": (("y", "x"), np.nan, {**unit, "long_name": "image without noise, PSF applied, without sky"}),
            "noisy": (("y", "x"), np.nan, {**unit, "long_name": "image with noise, mean sky subtracted"}),
            "theta": (("parameter",), np.nan, {"long_name": "free parameters of the model"}),
            "key": (("key_word",), 0, {"long_name": "random key of the row, what the model takes beside theta"}),
            "error_estimate": ((), np.nan, {"units": "arcsec", "long_name": "rms ray-tracing error, the tracer's own"}),
            "halos_per_plane": (("plane",), 0, {"long_name": "number of halos on each lens plane"}),
        }
        variables = []
        for name, (dimensions, fill, attributes) in known.items():
            shape = tuple(shapes[name].shape)
            if (name in IMAGES and name not in plan.keep) or 0 in shape:
                continue
            dtype = plan.dtype if name in IMAGES else str(np.dtype(shapes[name].dtype))
            variables.append(Variable(name, shape, dtype, dimensions, attributes, fill))
        flags = {"flag_masks": list(FLAGS.values()), "flag_meanings": " ".join(FLAGS)}
        meaning = {"long_name": "what is wrong with the row, 0 for nothing", **flags}
        variables.append(Variable("status", (), "uint8", (), meaning, FLAGS["not_made"]))
        coordinates = {"y": np.asarray(y, np.float64), "x": np.asarray(x, np.float64), "parameter": np.asarray(names)}
        return cls(plan, tuple(variables), coordinates if names else {"y": coordinates["y"], "x": coordinates["x"]})

    @property
    def row_bytes(self) -> int:
        """Bytes of one row before compression."""
        return sum(int(np.prod(v.shape, dtype=int)) * np.dtype(v.dtype).itemsize for v in self.variables)

    def metadata(self, attributes: Mapping[str, Any]) -> dict[str, bytes]:
        """The files of the empty group, by their path in it; the group's own `zarr.json` comes last."""
        import zarr

        files: dict[str, Any] = {}
        group = zarr.open_group(zarr.storage.MemoryStore(files), mode="w", zarr_format=3, attributes=dict(attributes))
        for variable in self.variables:
            self._create(group, variable)
        for name, values in self.coordinates.items():
            text = values.dtype.kind == "U"
            about: dict[str, Any] = (
                {"long_name": "dotted path of a parameter in the configuration"}
                if text
                else {"units": "arcsec", "long_name": f"{name} of the pixel centres"}
            )
            data = values.astype(np.dtypes.StringDType()) if text else values
            group.create_array(name, data=data, dimension_names=(name,), attributes=about)
        with warnings.catch_warnings():
            # Consolidated metadata is an extension of Zarr 3 that zarr and xarray read; others ignore it.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(group.store)
        root = files.pop("zarr.json")
        return {path: content.to_bytes() for path, content in {**files, "zarr.json": root}.items()}

    def encode(self, shard: int, rows: Mapping[str, np.ndarray]) -> dict[str, bytes]:
        """The bytes of each array's file of one shard, as Zarr lays them out."""
        import zarr

        files: dict[str, Any] = {}
        group = zarr.open_group(zarr.storage.MemoryStore(files), mode="w", zarr_format=3)
        span = self.plan.rows(shard)
        encoded = {}
        for variable in self.variables:
            self._create(group, variable)[span.start : span.stop] = rows[variable.name]
            encoded[variable.name] = files[f"{variable.name}/{chunk_name(shard, len(variable.shape))}"].to_bytes()
        return encoded

    def _create(self, group: Any, variable: Variable) -> Any:
        from zarr.codecs import BloscCodec

        size = self.plan.shard_size
        images = len(variable.shape) == 2
        inner = max(n for n in range(1, min(INNER_ROWS, size) + 1) if size % n == 0) if images else size
        dtype = np.dtype(variable.dtype)
        # Measured on images of the shipped configurations (benchmarks/campaign.py): the low bits of float32 noise are
        # random, the bits above them compress best when they stand together; everything else prefers whole bytes.
        shuffle: Any = "bitshuffle" if variable.name == "noisy" and dtype.itemsize == 4 else "shuffle"
        codec = BloscCodec(typesize=dtype.itemsize, cname="zstd", clevel=3, shuffle=shuffle)
        return group.create_array(
            variable.name,
            shape=(self.plan.count, *variable.shape),
            chunks=(inner, *variable.shape),
            shards=(size, *variable.shape) if images else None,
            dtype=dtype,
            fill_value=variable.fill,
            compressors=[codec],
            dimension_names=("row", *variable.dimensions),
            # One flat folder of files per array, and a file even where every value is the fill value.
            chunk_key_encoding={"name": "default", "separator": "."},
            config={"write_empty_chunks": True},
            attributes=variable.attributes,
        )
