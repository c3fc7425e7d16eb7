"""Workers of a local cluster finish their shards on Ctrl-C. Imported only where Dask is."""

import contextlib
import signal
from typing import Any

from distributed import WorkerPlugin

__all__ = ["DeafToInterrupts"]


class DeafToInterrupts(WorkerPlugin):
    """Workers with it ignore the Ctrl-C that a terminal sends to them too: their leader tells them when to stop."""

    name = "lensax-deaf-to-interrupts"

    def setup(self, worker: Any) -> None:
        """Called by Dask on each worker."""
        with contextlib.suppress(ValueError):  # not the main thread of its process
            signal.signal(signal.SIGINT, signal.SIG_IGN)
