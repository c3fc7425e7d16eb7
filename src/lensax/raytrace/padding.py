"""How much of what is traced is empty: the price of a fixed number of slots."""

import numpy as np

from lensax.raytrace.packing import blocks_for

__all__ = ["padding_waste"]


def padding_waste(numbers: np.ndarray, n_slots: int, room: int, width: int, skip_empty: bool = True) -> float:
    """The share of evaluated slots that hold no halo, in the mean over Poisson draws.

    Halos are packed into blocks of `width`, every plane in blocks of its own, so that a plane's last block is filled
    in part. Empty blocks are skipped where images follow one another, as on a CPU; side by side they are computed.

    Args:
        numbers: mean number of halos on each plane, (n_planes,).
        n_slots: slots per plane of the catalogue.
        room: the most halos on all planes together.
        width: halos in a block.
        skip_empty: whether empty blocks cost nothing.

    Returns:
        between 0 and 1; 1 where nothing is expected.
    """
    from scipy.stats import poisson

    numbers = np.asarray(numbers, float)
    if skip_empty:
        # E[ceil(N / width)] is the sum over k of the probability that N exceeds k width.
        blocks = sum(poisson.sf(k * width, numbers) for k in range(-(-n_slots // width)))
    else:
        blocks = blocks_for(len(numbers), n_slots, room, width)
    total = float(np.sum(blocks)) * width
    return 1.0 - float(numbers.sum()) / total if total > 0 else 1.0
