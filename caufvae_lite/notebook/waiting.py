"""A cell that works for long says so, also where it has no progress bar of its own."""

from __future__ import annotations

import threading
import time
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display
from tqdm import tqdm

FIRST = 3.0  # seconds of silence
PULSE = 1.0  # seconds from one word to the next


class Heartbeat:
    """Counts the seconds below a cell that has been running for ``FIRST`` of them.

    A cell that shows a bar of tqdm is left alone. The last word stays: how long it took.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.thread = threading.Thread()

    def start(self, *_: Any) -> None:
        """Before a cell."""
        self.stop()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=beat, args=(self.ended,), daemon=True)
        self.thread.start()

    def stop(self, *_: Any) -> None:
        """After it."""
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()


def beat(ended: threading.Event) -> None:
    """What the thread does until the event."""
    began, handle = time.monotonic(), None
    while not ended.wait(PULSE):
        seconds = time.monotonic() - began
        if handle:
            handle.update(said(f"still working, {seconds:.0f} s"), raw=True)
        elif seconds >= FIRST and not getattr(tqdm, "_instances", ()):
            words = said(f"still working, {seconds:.0f} s")
            handle = display(words, raw=True, display_id=True)
    if handle:
        handle.update(said(f"took {time.monotonic() - began:.0f} s"), raw=True)


def said(words: str) -> dict[str, str]:
    """A line of text as an output."""
    return {"text/plain": words}


def keep_company() -> None:
    """Start a heartbeat with each later cell; once only, and only in a notebook."""
    shell: Any = get_ipython()
    if getattr(shell, "kernel", None) is None or hasattr(shell, "caufvae_heartbeat"):
        return
    heart = shell.caufvae_heartbeat = Heartbeat()
    shell.events.register("pre_run_cell", heart.start)
    shell.events.register("post_run_cell", heart.stop)
