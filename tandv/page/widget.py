"""The page as a widget in a notebook: Jupyter, VS Code, Colab, marimo. Its kernel answers its questions.

A saved notebook keeps no widget, so that a picture is put into the output, too, in which one line says how to bring it
to life.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from tandv.messages import missing
from tandv.page.bundle import joined, style
from tandv.page.watching import Answering, Watcher

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise missing("anywidget", "page", "the page in a notebook") from error


_WIDTH = 900  # of the picture, in pixels


class PageWidget(anywidget.AnyWidget):
    """The page of some runs in a cell of a notebook.

    Args:
        answers: what answers its questions.
        name: what stands for it where there are only words.
        picture: draws what a notebook without its kernel shows, as PNG; None for no picture.
        view: what is shown first: a part of the page's state, such as {"step": 7}.
        height: in pixels.
    """

    _esm = joined("widget.js") + "export default { render };\n"
    _css = style()
    view = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(680).tag(sync=True)
    _watcher: Watcher | None = None  # until it has begun: a widget that could not is deleted, and so closed, as well

    def __init__(
        self,
        answers: Answering,
        name: str = "a run",
        picture: Callable[[], bytes | None] | None = None,
        *,
        view: Mapping[str, Any] | None = None,
        height: int = 680,
    ):
        super().__init__(view=dict(view or {}), height=height)
        self._answers, self._name, self._picture = answers, name, picture
        self._versions = 0
        self._watcher = watcher = Watcher(answers, self._tell_change)
        watcher.start()
        self.on_msg(self._take_message)

    def __repr__(self) -> str:
        return f"view({self._name!r}): run this cell again to bring it to life"

    def close(self) -> None:
        """End it in the kernel, and on all pages that show it."""
        if self._watcher is not None:
            self._watcher.end()
            self._answers.close()
        super().close()

    def _take_message(self, _: Any, message: Any, __: Any) -> None:
        """Answer a list of questions; the envelope travels beside the message, as bytes."""
        if self._watcher is not None:
            self._watcher.asked()
        if not isinstance(message, dict) or "id" not in message:
            return
        number = {"id": message["id"]}
        try:
            envelope = self._answers.answer(message.get("run", 0), message.get("batch"))
        except Exception as error:  # the page says it; it can ask something else
            self.send({**number, "error": f"tandv could not answer: {type(error).__name__}: {error}"})
        else:
            self.send(number, [envelope])

    def _tell_change(self) -> None:
        """Tell the page that there is something new to ask for."""
        self._versions += 1
        self.send({"changed": self._versions})

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the widget, the picture and the words for it, of which a page shows the first that it can."""
        bundle = super()._repr_mimebundle_() or ({}, {})
        data, about = dict(bundle[0]), dict(bundle[1])
        data["text/plain"] = repr(self)
        if (still := self._drawn()) is not None:
            data["image/png"] = base64.b64encode(still).decode()
            about["image/png"] = {"alt": repr(self)}
        return data, about

    def _ipython_display_(self) -> None:
        """Show the widget in Jupyter, with a second output that stands for it where its kernel is gone."""
        still = self._drawn()
        if still is None:
            raise NotImplementedError  # IPython goes on to `_repr_mimebundle_`
        from tandv.viz.notebook.still import outputs, show

        (widget, sizes), again = outputs(still, repr(self), self.model_id, _WIDTH)
        data, about = super()._repr_mimebundle_() or ({}, {})
        sizes["image/png"]["alt"] = repr(self)
        show([({**data, **widget}, {**about, **sizes}), again])

    def _drawn(self) -> bytes | None:
        return None if self._picture is None else self._picture()
