"""Row `i` of a campaign: a pure function of the model, the seed and `i`."""

import time
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lensax._batching import lanes
from lensax._types import Array, PRNGKeyArray
from lensax.campaign.errors import CampaignError, RowsFail
from lensax.campaign.layout import FLAGS
from lensax.campaign.plan import IMAGES
from lensax.campaign.room import FIRST, Room, next_room, short_error, unmended

__all__ = ["Made", "RowMaker", "draw", "row_shapes"]

ROWS_PER_CALL = 8
"""At least this many rows per call of the compiled program, so that calling costs nothing beside simulating."""

ROWS_PER_LANE = 4
"""And so many on each device or core, which wait for the last of them at the end of a call."""

FAILURES_IN_A_ROW = 8
"""So many rows that raise one after another are no accident: the campaign stops."""


@dataclass(frozen=True)
class Made:
    """Rows that were made.

    Args:
        arrays: by name, with a leading axis; `status` among them.
        errors: what is wrong, by row number.
        remade: how rows were made again with more room, by row number: `attempts`, the factors `tracer_room` and
            `slot_room`, and of the last attempt `pairs` and `capacity`.
    """

    arrays: dict[str, np.ndarray]
    errors: dict[int, str] = field(default_factory=dict)
    remade: dict[int, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: "list[Made]") -> "Made":
        """Rows that follow one another."""
        arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays}
        errors = {row: text for part in parts for row, text in part.errors.items()}
        return cls(arrays, errors, {row: how for part in parts for row, how in part.remade.items()})


def draw(prior: Any, root: PRNGKeyArray, rows: Array) -> tuple[dict[str, Array], Array]:
    """Theta and keys of rows: `theta_key, key = split(fold_in(root, row))`, `theta = prior.sample(theta_key)`.

    Args:
        prior: of the forward model.
        root: the key of the campaign's seed.
        rows: row numbers, unsigned 32-bit integers (n,).

    Returns:
        theta, every array (n,), and the n keys that the model takes beside it.
    """

    def one(row: Array) -> tuple[dict[str, Array], Array]:
        theta_key, key = jax.random.split(jax.random.fold_in(root, row))
        return prior.sample(theta_key), key

    return jax.vmap(one)(rows)


_draw = eqx.filter_jit(draw)


def _drawn(model: Any, root: PRNGKeyArray, rows: Array) -> tuple[dict[str, Array], Array, dict[str, Array]]:
    theta, keys = _draw(model.prior, root, rows)
    return theta, keys, {"theta": model.prior.flatten(theta), "key": jax.random.key_data(keys)}


def _make(model: Any, root: PRNGKeyArray, rows: Array, batch_size: int | None) -> dict[str, Array]:
    theta, keys, drawn = _drawn(model, root, rows)
    # Without enlarging: that would make rows again that lacked nothing, whose bits would then depend on their
    # neighbours. `RowMaker` gives more room to those rows alone that need it.
    seen = model.batch_both(theta, keys, batch_size, enlarge=False)
    found = seen.diagnostics
    return drawn | {
        "noiseless": seen.noiseless.astype(jnp.float32),
        "noisy": seen.noisy.astype(jnp.float32),
        "error_estimate": found.error_estimate.astype(jnp.float32),
        "overflow": found.overflow,
        "pairs": found.pairs.astype(jnp.int32),
        "capacity": found.capacity.astype(jnp.int32),
        "halos_per_plane": found.halos_per_plane.astype(jnp.int32),
    }


def row_shapes(model: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and type of every array of one row, without simulating."""
    made = eqx.filter_eval_shape(_make, model, jax.random.key(0), jax.ShapeDtypeStruct((1,), jnp.uint32), 1)
    return {name: jax.ShapeDtypeStruct(value.shape[1:], value.dtype) for name, value in made.items()}


class RowMaker:
    """Makes rows in calls of one size, so that one compiled program serves a whole campaign.

    Row `i` has the same bits in every call: rows that lack room are made again by themselves, and a shorter call is
    filled up with copies of its last row.

    Args:
        model: the forward model: `prior`, `batch_both(theta, keys, micro_batch, enlarge)`, `with_more_pairs()` and
            `with_more_slots()`.
        seed: the campaign's seed.
        batch_size: rows simulated side by side on each device, or core of a CPU; None leaves it to the model, which
            knows the device.
        shard_size: no call is larger than this.
        dtype: of the images.

    `timed_rows` and `timed_seconds` count what was made after the first call, in which the program is compiled.
    """

    def __init__(self, model: Any, seed: int, batch_size: int | None, shard_size: int, dtype: str = "float32"):
        self.models = {FIRST: model}
        self.root = jax.random.key(np.uint32(seed))
        self.batch_size = batch_size
        self.dtype = dtype
        together = (batch_size or 1) * lanes()
        least = max(ROWS_PER_CALL, ROWS_PER_LANE * lanes())
        self.rows_per_call = min(together * -(-least // together), shard_size)
        self.calls_made, self.timed_rows, self.timed_seconds = 0, 0, 0.0
        self.failures = 0

    def __call__(self, rows: range) -> Made:
        """At most `rows_per_call` rows.

        Raises:
            RowsFail: too many rows raised one after another.
        """
        begin = time.monotonic()
        numbers = np.arange(rows.start, rows.stop)
        errors: dict[int, str] = {}
        try:
            made = self._evaluate(numbers, FIRST)
            self.failures = 0
        except Exception as error:
            made = self._one_by_one(numbers, error, errors)
        if self.calls_made:
            self.timed_rows += len(rows)
            self.timed_seconds += time.monotonic() - begin
        self.calls_made += 1
        remade = self._with_room(numbers, made, errors)
        return Made(self._finished(numbers, made, errors), errors, remade)

    def calls(self, rows: range) -> list[range]:
        """The calls that make up a range of rows."""
        return [rows[start : start + self.rows_per_call] for start in range(0, len(rows), self.rows_per_call)]

    def memory(self) -> int | None:
        """Bytes that the compiled program needs for one call, results included; None where the compiler is silent."""
        rows = jnp.zeros(self.rows_per_call, jnp.uint32)
        program: Any = eqx.filter_jit(_make)
        compiled = program.lower(self.models[FIRST], self.root, rows, self.batch_size).compile()
        analysis = compiled.compiled.memory_analysis()
        if analysis is None:
            return None
        return int(analysis.temp_size_in_bytes + analysis.output_size_in_bytes + analysis.argument_size_in_bytes)

    def _evaluate(self, numbers: np.ndarray, room: Room) -> dict[str, np.ndarray]:
        """One call of the program, filled up with copies of its last row."""
        filled = np.concatenate([numbers, np.repeat(numbers[-1:], self.rows_per_call - len(numbers))])
        made = _make(self.models[room], self.root, jnp.asarray(filled.astype(np.uint32)), self.batch_size)
        # Copied: a view of JAX's memory cannot be written to.
        return {name: np.array(value[: len(numbers)]) for name, value in made.items()}

    def _one_by_one(self, numbers: np.ndarray, error: Exception, errors: dict[int, str]) -> dict[str, np.ndarray]:
        """The rows of a call that raised, each by itself; what they raise is noted."""
        if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
            raise CampaignError(
                f"the device has no memory for {self.batch_size or 'as many'} rows side by side: {short_error(error)}; "
                "a smaller batch size needs less"
            ) from error
        shapes = row_shapes(self.models[FIRST])
        _, _, drawn = _drawn(self.models[FIRST], self.root, jnp.asarray(numbers.astype(np.uint32)))
        made = {name: np.zeros((len(numbers), *shape.shape), shape.dtype) for name, shape in shapes.items()}
        for name, drawn_values in drawn.items():
            made[name][:] = np.asarray(drawn_values)
        for name in (*IMAGES, "error_estimate"):
            made[name][:] = np.nan
        for index, number in enumerate(numbers):
            try:
                one = self._evaluate(numbers[index : index + 1], FIRST)
            except Exception as found:
                errors[int(number)] = short_error(found)
                self.failures += 1
                if self.failures >= FAILURES_IN_A_ROW:
                    raise RowsFail(
                        f"{self.failures} rows failed one after another, the last is {number}: {short_error(found)}; "
                        "the fault lies with the model or the device"
                    ) from found
            else:
                self.failures = 0
                for name, values in one.items():
                    made[name][index] = values[0]
        return made

    def _with_room(
        self, numbers: np.ndarray, made: dict[str, np.ndarray], errors: dict[int, str]
    ) -> dict[int, dict[str, int]]:
        """Make the rows that lacked room again, with more and more of it; returns how, by row number."""
        wanting = [(int(index), FIRST) for index in np.flatnonzero(made["overflow"])]
        remade: dict[int, dict[str, int]] = {}
        while wanting:
            groups: dict[Room, list[int]] = {}
            for index, room in wanting:
                following = next_room(room, bool(made["pairs"][index] > made["capacity"][index]), self.models)
                if following is None:
                    errors[int(numbers[index])] = unmended(room)
                else:
                    groups.setdefault(following, []).append(index)
            wanting = []
            for room, members in groups.items():
                try:
                    again = self._evaluate(numbers[members], room)
                except Exception as error:
                    errors |= {int(numbers[index]): f"{room}: {short_error(error)}" for index in members}
                    continue
                for position, index in enumerate(members):
                    for name, values in again.items():
                        made[name][index] = values[position]
                    last = {name: int(made[name][index]) for name in ("pairs", "capacity")}
                    remade[int(numbers[index])] = {**room.to_json(), **last}
                    if made["overflow"][index]:
                        wanting.append((index, room))
        return remade

    def _finished(
        self, numbers: np.ndarray, made: dict[str, np.ndarray], errors: dict[int, str]
    ) -> dict[str, np.ndarray]:
        """The arrays with their status; a row that lacks something shows no image, so that nobody trains on it."""
        overflow = made["overflow"].astype(bool)
        failed = np.array([int(n) in errors for n in numbers]) & ~overflow
        finite = np.ones(len(numbers), bool)
        for name in IMAGES:
            with np.errstate(over="ignore"):
                made[name] = made[name].astype(self.dtype)
            bad = ~np.isfinite(made[name])
            finite &= ~bad.any(axis=(1, 2))
            for index in np.flatnonzero(bad.any(axis=(1, 2)) & ~failed):
                text = f"{name} has {int(bad[index].sum())} values that are not finite"
                row = int(numbers[index])
                errors[row] = f"{errors[row]}; {text}" if row in errors else text
            made[name][overflow] = np.nan
        status = overflow * FLAGS["overflow"] + (~finite & ~failed) * FLAGS["non_finite"] + failed * FLAGS["failed"]
        return made | {"status": status.astype(np.uint8)}
