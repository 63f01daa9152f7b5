"""A stage of `torch.distributed.pipelining` finds shapes by a pass on made-up values, which is not recorded."""

import functools
import sys
from collections.abc import Callable
from typing import Any

# In the first step, before the batch; one or the other by the version of torch.
_NAMES = ("_forward_metadata_inference", "_backward_metadata_inference", "_shape_inference")


class Trials:
    """Pauses trackers while a pipeline stage tries its module; their number decides when torch's own is restored."""

    def __init__(self) -> None:
        self._trackers: list[Any] = []
        self._originals: dict[str, Callable[..., Any]] = {}
        self._owner: Any = None

    def join(self, tracker: Any) -> None:
        """Pause a tracker from now on; nothing is done where no pipelines are imported."""
        stages = sys.modules.get("torch.distributed.pipelining.stage")
        if stages is None:
            return
        if not self._trackers:
            self._owner = stages.PipelineStage
            for name in _NAMES:
                if (original := vars(self._owner).get(name)) is not None:
                    self._originals[name] = original
                    setattr(self._owner, name, self._paused(original))
        self._trackers.append(tracker)

    def leave(self, tracker: Any) -> None:
        """Pause a tracker no more, if it was."""
        if tracker in self._trackers:
            self._trackers.remove(tracker)
            if not self._trackers:
                for name, original in self._originals.items():
                    setattr(self._owner, name, original)
                self._originals.clear()

    def _paused(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def paused(*arguments: Any, **keywords: Any) -> Any:
            recorded = [tracker for tracker in self._trackers if tracker.recording]
            for tracker in recorded:
                tracker.recording = False
            try:
                return original(*arguments, **keywords)
            finally:
                for tracker in recorded:
                    tracker.recording = tracker.is_on

        return paused


trials = Trials()
