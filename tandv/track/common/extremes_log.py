"""The log of the smallest and the largest value of statistics over ranks, beside the log of the run."""

from collections.abc import Callable
from pathlib import Path

from tandv.log.across_ranks import FOLDER
from tandv.log.store.writing import Store
from tandv.track.common.frames import places, to_rows
from tandv.track.common.measurements import Block

_KEPT_UNWRITTEN = 100_000  # rows kept in memory while the disk refuses them


class ExtremesLog:
    """Own `across_ranks/` in a run's folder, which is made when there is something to write.

    It is written by the thread that writes the run, and what goes wrong with it is said once and changes nothing else.

    >>> ExtremesLog(Path("run"), "an identity", lambda kind, message: print(message)).flush()
    >>> Path("run").exists()
    False

    Args:
        run: the run's folder.
        identity: what all files of the run say, and no other.
        note: takes the kind of a message and the message, which is reported once for each kind.
    """

    def __init__(self, run: Path, identity: str, note: Callable[[str, str], None]):
        self._folder, self._identity, self._note = run / FOLDER, identity, note
        self._store: Store | None = None
        self._blocks: list[Block] = []

    def keep(self, block: Block | None) -> None:
        """Keep what is known of a step until the next flush; None where nothing is.

        Args:
            block: the tensors that several ranks have measured.
        """
        if block is not None:
            self._blocks.append(block)

    def flush(self) -> None:
        """Write what is kept as one part; what the disk refuses is tried again, though not for ever."""
        blocks, self._blocks = self._blocks, []
        if not blocks:
            return
        try:
            self._written_to().add(to_rows(blocks), places(blocks))
        except Exception as error:
            self._note("extremes", f"could not write to {self._folder}: {error}; training and the log go on")
            while blocks and sum(len(block.quantities) for block in blocks) > _KEPT_UNWRITTEN:
                del blocks[0]
            self._blocks = blocks

    def join(self) -> bool:
        """Do a little of the joining of files that is due; tell whether something is left."""
        return self._store is not None and self._store.join()

    def close(self) -> None:
        """Write what is left and join its files."""
        self.flush()
        if self._store is None:
            return
        try:
            self._store.close()
        except Exception as error:
            self._note("extremes", f"could not join the files of {self._folder}: {error}; they stay as they are")

    def _written_to(self) -> Store:
        if self._store is None:
            self._folder.mkdir(exist_ok=True)
            self._store = Store(self._folder, self._note, identity=self._identity)
        elif not self._store.parts.is_dir():  # deleted while the run goes on
            self._store.begin_again()
        return self._store
