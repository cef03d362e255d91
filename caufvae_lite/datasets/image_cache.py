"""A file of small pictures, ready to be mapped into memory: made once, whole or not at all.

::

    NAME/           a cache: there only when it is whole
      images.u8     (rows, c, h, w) uint8, nothing else
      about.json    what it was made from, and the sha256 of every chunk of rows
    NAME.partial/   one that is being made
      images.u8     chunks 0 … k
      journal.jsonl what it is made from, then a line a chunk, each written after its chunk

Threads make the chunks and one writes them down, in order, so how many there are changes no
byte. (Pillow decodes outside Python's lock; processes would each import the package first, and
ask for a guard in every script.) A build that is killed goes on after the last chunk whose
sha256 fits its journal. A finished one gets its name in one step, a renaming. Of several
processes that want the same cache one makes it, and the others wait.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor
from tqdm.auto import tqdm

from caufvae_lite.datasets.picture_files import Unreadable, digest_of

VERSION = 1
CHUNK = 256  # pictures
MOST_SKIPPED = 0.01  # of the pictures
PIXELS, ABOUT, JOURNAL = "images.u8", "about.json", "journal.jsonl"

Make = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Chunk:
    """Up to `CHUNK` pictures of the file: how many rows, their sha256, and who is missing."""

    rows: int
    sha256: str
    skipped: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Chunk:
        skipped = tuple((str(name), str(why)) for name, why in fields["skipped"])
        return cls(int(fields["rows"]), str(fields["sha256"]), skipped)


@dataclass(frozen=True)
class ImageCache:
    """A finished cache.

    Attributes:
        folder: where it is.
        shape: ``(c, h, w)`` of a picture.
        chunks: what the file is made of.
        is_new: whether this call made it.
    """

    folder: Path
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    is_new: bool = False

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Name and reason for every picture that could not be read and has no row."""
        return tuple(skip for chunk in self.chunks for skip in chunk.skipped)

    def images(self) -> Tensor:
        """``(rows, c, h, w)`` uint8 on the file's own memory, of which nothing is read yet.

        The mapping is private: writing to the tensor changes this process's view only.
        """
        rows = sum(chunk.rows for chunk in self.chunks)
        size = rows * math.prod(self.shape)
        path = str(self.folder / PIXELS)
        pixels = torch.from_file(path, shared=False, size=size, dtype=torch.uint8)
        return pixels.view(rows, *self.shape)


def open_or_build(
    folder: Path,
    names: Sequence[str],
    make: Callable[[], Make],
    *,
    shape: tuple[int, ...],
    source: str,
    workers: int = 1,
    progress: bool = True,
) -> ImageCache:
    """The cache at ``folder``; made anew if there is none, or another, or a damaged one.

    Args:
        folder: its place; the folder around it is created.
        names: a picture each, in the order of the rows.
        make: called if there is something to make; returns a function from a name to uint8
            ``shape`` that threads may share. It raises `Unreadable` for a picture to leave
            out.
        shape: ``(c, h, w)``.
        source: changes if the pictures or the way they are made do.
        workers: threads.
        progress: show a progress bar, and say when another process is at work.

    Raises:
        ValueError: more than `MOST_SKIPPED` of the pictures are unreadable.
        OSError: the disk is too small.
    """
    about = {"version": VERSION, "source": source, "shape": list(shape), "names": len(names)}
    found = _open(folder, about)
    if found is not None:
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _hold(FileLock(folder.with_name(folder.name + ".lock")), folder, progress):
        return _open(folder, about) or _build(folder, about, names, make, workers, progress)


def _hold(lock: FileLock, folder: Path, progress: bool) -> AbstractContextManager:
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        if progress:
            tqdm.write(f"Another process is making {folder}; waiting for it.", file=sys.stderr)
        return lock.acquire()


# -------------------------------------------------------------------------------- opening


def _open(folder: Path, about: dict[str, Any]) -> ImageCache | None:
    """The cache at ``folder``, if it is whole and was made from what ``about`` says.

    A file with the size and the time of change that it was made with is trusted; one that
    was copied, or altered, is read once and compared with its chunks' sha256.
    """
    if not folder.is_dir():
        return None
    try:
        written = json.loads((folder / ABOUT).read_text())
        chunks = tuple(Chunk.from_json(fields) for fields in written["chunks"])
        if {key: written[key] for key in about} != about:
            return None
        cache = ImageCache(folder, tuple(about["shape"]), chunks)
        state = (folder / PIXELS).stat()
        whole = state.st_size == sum(c.rows for c in chunks) * math.prod(cache.shape)
        if whole and state.st_mtime_ns != written["mtime_ns"]:
            with (folder / PIXELS).open("rb") as pixels:
                whole = _count_whole(pixels, chunks, cache.shape) == len(chunks)
            if whole:
                with suppress(OSError):  # a folder that only others may write to
                    _write_about(folder, about, chunks)
    except (OSError, ValueError, KeyError, TypeError) as error:
        whole, why = False, f"{type(error).__name__}: {error}"
    else:
        why = f"{PIXELS} is not what {ABOUT} describes"
    if not whole:
        warnings.warn(f"{folder} is damaged ({why}) and is made anew.", stacklevel=4)
        return None
    return cache


def _count_whole(pixels: IO[bytes], chunks: Sequence[Chunk], shape: tuple[int, ...]) -> int:
    """How many of ``chunks`` the file begins with; it is left after the last of them."""
    for k, chunk in enumerate(chunks):
        start = pixels.tell()
        if digest_of(pixels.read(chunk.rows * math.prod(shape))) != chunk.sha256:
            pixels.seek(start)
            return k
    return len(chunks)


def _write_about(folder: Path, about: dict[str, Any], chunks: Sequence[Chunk]) -> None:
    mtime = (folder / PIXELS).stat().st_mtime_ns
    text = json.dumps({**about, "mtime_ns": mtime, "chunks": [asdict(c) for c in chunks]})
    draft = folder / f"{ABOUT}.{os.getpid()}"
    with draft.open("w") as file:
        _write_through(file, text)
    draft.replace(folder / ABOUT)


# ------------------------------------------------------------------------------- building


def _build(
    folder: Path,
    about: dict[str, Any],
    names: Sequence[str],
    make: Callable[[], Make],
    workers: int,
    progress: bool,
) -> ImageCache:
    shape = tuple(about["shape"])
    work = make()
    partial = folder.with_name(folder.name + ".partial")
    chunks = _resume(partial, about)
    first = len(chunks) * CHUNK
    _check_space(partial, (len(names) - first) * math.prod(shape))

    def make_chunk(start: int) -> tuple[bytes, Chunk]:
        rows, skipped = [], []
        for name in names[start : start + CHUNK]:
            try:
                row = work(name)
            except Unreadable as reason:
                skipped.append((name, str(reason)))
            else:
                assert row.shape == shape and row.dtype == np.uint8, (row.shape, row.dtype)
                rows.append(row.tobytes())
        data = b"".join(rows)
        return data, Chunk(len(rows), digest_of(data), tuple(skipped))

    starts = range(first, len(names), CHUNK)
    with (
        (partial / PIXELS).open("ab") as pixels,
        (partial / JOURNAL).open("a") as journal,
        closing(_in_order(make_chunk, starts, workers)) as made,
        tqdm(
            total=len(names), initial=first, unit=" pictures", desc=folder.name,
            disable=not progress,
        ) as bar,
    ):  # fmt: skip
        for data, chunk in made:
            _write_through(pixels, data)
            _write_through(journal, json.dumps(asdict(chunk)) + "\n")
            chunks.append(chunk)
            bar.update(chunk.rows + len(chunk.skipped))
            _check_skipped(ImageCache(partial, shape, tuple(chunks)), len(names))
    _write_about(partial, about, chunks)
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    partial.rename(folder)
    (folder / JOURNAL).unlink()
    shutil.rmtree(folder.with_name(folder.name + ".old"), ignore_errors=True)
    return ImageCache(folder, shape, tuple(chunks), is_new=True)


def _resume(partial: Path, about: dict[str, Any]) -> list[Chunk]:
    """What an earlier build left that can be built on; the files end there afterwards."""
    partial.mkdir(exist_ok=True)
    chunks: list[Chunk] = []
    begun = about | {"chunk": CHUNK}
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        first, *rest = (partial / JOURNAL).read_text().splitlines()
        if json.loads(first) == begun:
            for line in rest:  # the last one may be half a line
                chunks.append(Chunk.from_json(json.loads(line)))
    with (partial / PIXELS).open("a+b") as pixels:
        pixels.seek(0)
        del chunks[_count_whole(pixels, chunks, tuple(about["shape"])) :]
        pixels.truncate()
    lines = [json.dumps(begun), *(json.dumps(asdict(c)) for c in chunks)]
    draft = partial / f"{JOURNAL}.draft"
    draft.write_text("".join(f"{line}\n" for line in lines))
    draft.replace(partial / JOURNAL)
    return chunks


def _in_order(
    work: Callable[[int], tuple[bytes, Chunk]], starts: Sequence[int], workers: int
) -> Generator[tuple[bytes, Chunk]]:
    """``map(work, starts)`` by several threads, never far ahead of who takes the results."""
    waiting: deque[Future[tuple[bytes, Chunk]]] = deque()
    with ThreadPoolExecutor(workers, "pictures") as pool:
        try:
            for start in starts:
                waiting.append(pool.submit(work, start))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _check_space(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial).free
    if free < 1.01 * needed:
        raise OSError(
            errno.ENOSPC,
            f"The pictures need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. Make "
            "room, or name a folder on a larger disk with cache=",
            str(partial.parent),
        )


def _check_skipped(cache: ImageCache, pictures: int) -> None:
    skipped = cache.skipped
    if len(skipped) > MOST_SKIPPED * pictures:
        shutil.rmtree(cache.folder, ignore_errors=True)
        some = "; ".join(f"{name}: {why}" for name, why in skipped[:3])
        raise ValueError(
            f"{len(skipped)} of the first {sum(c.rows for c in cache.chunks) + len(skipped):,} "
            f"pictures are unreadable ({some}), more than {MOST_SKIPPED:.0%} of all "
            f"{pictures:,}. Download or unpack the pictures again."
        )


def _write_through(file: IO[Any], data: bytes | str) -> None:
    """Write, and see it to the disk: what comes after in time must not come before in power."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
