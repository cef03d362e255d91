"""CelebA (Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015): your own copy.

::

    178 × 218 JPEG ──► the 128 × 128 in its centre ──► means of 2 × 2 pixels ──► (3, 64, 64)

The pictures are written once to a file that is mapped into memory from then on. It gets its
name, which holds a digest of what it was made from, only when it is whole.

*smile* and *attractive* are the graphs in DEAR's code (Shen et al., JMLR 2022); *beard* is in
CausalVAE's paper (Yang et al., CVPR 2021), and which edges it has is our reading. Nobody knows
the true graph of faces, or the true counterfactual of one.

A label is what annotators thought of a photograph, and the people in it were not asked. Learn
with these data, and decide nothing about anyone by them.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from caufvae_lite.data import FactorDataset
from caufvae_lite.datasets.celeba_files import (
    DAMAGE,
    LARGEST,
    Read,
    find_files,
    open_pictures,
    read_table,
)
from caufvae_lite.graph import CausalGraph

__all__ = ["TASKS", "CelebA"]

VERSION = 1  # of the file of pictures
SIZE = (178, 218)  # width and height of the official pictures
BOX = (25, 45, 153, 173)  # left, top, right and bottom of the 128 × 128 in the centre
SHAPE = (3, 64, 64)
MOST_SKIPPED = 0.01  # of the pictures
CHUNK = 1024  # pictures that the threads make between two steps of the progress bar
ABANDONED = 300  # seconds without a write, after which an unfinished file is deleted
PARTITIONS = ("train", "valid", "test")


def _graph(roots: str, **causes: str) -> CausalGraph:
    """The graph whose other nodes are ``causes``, each with its parents' names as a text."""
    edges = [(cause, node) for node, parents in causes.items() for cause in parents.split()]
    return CausalGraph([*roots.split(), *causes], edges)


TASKS = {
    "smile": _graph(
        "Smiling Male", High_Cheekbones="Smiling", Mouth_Slightly_Open="Smiling",
        Narrow_Eyes="Smiling Male", Chubby="Smiling",
    ),
    "attractive": _graph(
        "Young Male", Receding_Hairline="Young Male", Heavy_Makeup="Young Male",
        Chubby="Young", Bags_Under_Eyes="Young",
    ),
    "beard": _graph("Young Male", Bald="Young Male", No_Beard="Young Male"),
}  # fmt: skip


class CelebA(FactorDataset):
    """Faces ``(n, 3, 64, 64)`` with binary factors, from the reader's own copy of CelebA.

    Args:
        root: the folder with ``img_align_celeba.zip`` (or, if there is no zip, the folder
            ``img_align_celeba``), ``list_attr_celeba.txt`` and ``list_eval_partition.txt``.
        task: ``"smile"``, ``"attractive"``, ``"beard"``, or a graph over official attributes.
        split: ``"train"``, ``"valid"``, ``"test"`` (the official partition) or ``"all"``.
        cache: a folder for the file of pictures (2.5 GB); by default ``root`` or, where that
            is not writable, the user's cache folder.
        workers: threads that read pictures; by default one for each CPU core, up to 8.
        progress: show a progress bar while the file is made.

    Attributes:
        task, partition: the arguments ``task`` and ``split``.
        images: a memory map; writing to it does not change the file.
        names: ``n`` file names, one a row.
        skipped: ``(name, reason)`` of every picture that cannot be read, in whichever split.

    Raises:
        FileNotFoundError: something is missing; the message says what, and where to get it.
        ValueError: an unknown task or split, a malformed table, no zip, or over 1 % unreadable.
    """

    def __init__(
        self,
        root: str | Path,
        task: str | CausalGraph = "smile",
        split: str = "train",
        *,
        cache: str | Path | None = None,
        workers: int | None = None,
        progress: bool = True,
    ):
        if isinstance(task, str) and task not in TASKS:
            raise ValueError(f"task must be one of {list(TASKS)} or a graph, got {task!r}.")
        if split not in (*PARTITIONS, "all"):
            raise ValueError(f"split must be one of {[*PARTITIONS, 'all']}, got {split!r}.")
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be 1 or more, got {workers}.")
        graph = TASKS[task] if isinstance(task, str) else task
        root = Path(root).expanduser()
        attributes, partition, pictures = find_files(root)
        parts = read_table(partition, {"0": 0, "1": 1, "2": 2})
        values = read_table(attributes, {"-1": 0, "1": 1}, graph.nodes)
        alone = sorted(parts.keys() ^ values.keys())
        if alone:
            raise ValueError(
                f"Only one of {partition} and {attributes} lists {', '.join(alone[:3])} (and "
                f"{len(alone)} in all). Download both again, or cut both to the same pictures."
            )
        names = sorted(parts, key=parts.__getitem__)  # the table's order within a part
        read, state = open_pictures(pictures, names)
        path = _cache_path(root, cache, f"{VERSION} {BOX}\n{state}")
        images, skipped = _open_file(path) or _build(path, names, read, workers, progress)
        self.skipped = tuple(skipped)
        left_out = {name for name, _ in self.skipped}
        kept = [name for name in names if name not in left_out]
        rows = [k for k, n in enumerate(kept) if split in ("all", PARTITIONS[parts[n][0]])]
        if not rows:
            raise ValueError(f"{partition} puts no picture into {split!r}.")
        here = slice(rows[0], rows[-1] + 1)
        self.task, self.partition, self.names = task, split, tuple(kept[here])
        labels = np.array([values[name] for name in self.names], dtype=np.float32)
        kinds = dict.fromkeys(graph.nodes, "binary")
        super().__init__(images[here], labels, graph, kinds=kinds)

    def __repr__(self) -> str:
        left_out = f", {len(self.skipped)} unreadable left out" if self.skipped else ""
        return f"CelebA({self.task!r}, {self.partition!r}{left_out}): {super().__repr__()}"


def _face(read: Read, name: str) -> np.ndarray | str:
    """The centre of a picture as ``(3, 64, 64)`` uint8, or why it cannot be read."""
    try:
        data = read(name)
    except DAMAGE as error:
        return f"damaged in the zip: {error}"
    if len(data) > LARGEST:
        return f"larger than {LARGEST:,} bytes"
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if picture.size != SIZE or picture.mode != "RGB":
                return f"{picture.width} × {picture.height} {picture.mode}, not 178 × 218 RGB"
            if b"\xff\xd9" not in data[-1024:]:  # Pillow can be told not to mind
                return "the JPEG is cut short"
            return np.asarray(picture.reduce(2, BOX)).transpose(2, 0, 1)
    except MemoryError:
        raise
    except Exception as error:  # a decoder may raise nearly anything over wrong bytes
        return f"no readable JPEG: {error}"


def _cache_path(root: Path, cache: str | Path | None, source: str) -> Path:
    """Where the file of the pictures that ``source`` describes is, or should be made."""
    name = f"celeba-64/{hashlib.sha256(source.encode()).hexdigest()[:16]}.npy"
    if cache is not None or (root / name).exists() or os.access(root, os.W_OK):
        return Path(cache or root).expanduser() / name
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "caufvae_lite" / name


def _open_file(path: Path) -> tuple[np.ndarray, list[tuple[str, str]]] | None:
    """Its pictures ``(n, 3, 64, 64)``, and who is left out; None if there is no whole file."""
    for unfinished in path.parent.glob("*.partial"):
        with suppress(OSError):  # another process may delete it, or the folder is read-only
            if time.time() - unfinished.stat().st_mtime > ABANDONED:  # its process was killed
                unfinished.unlink()
    if not path.exists():
        return None
    try:
        images = np.lib.format.open_memmap(path, mode="c")
        reasons = json.loads(path.with_suffix(".json").read_text())
        skipped = [(str(name), str(why)) for name, why in reasons]
        return images[: len(images) - len(skipped)], skipped
    except (OSError, ValueError, TypeError) as error:
        warnings.warn(f"{path} is damaged ({error}) and is made anew.", stacklevel=3)
        return None


def _build(
    path: Path, names: Sequence[str], read: Read, workers: int | None, progress: bool
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Make and open the file of pictures, and beside it a JSON file of who is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    skipped: list[tuple[str, str]] = []
    shape = {"descr": "|u1", "fortran_order": False, "shape": (len(names), *SHAPE)}
    with (
        _named_when_whole(path) as file,
        ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool,
        tqdm(total=len(names), unit=" pictures", desc="CelebA", disable=not progress) as bar,
    ):
        np.lib.format.write_array_header_1_0(file, shape)
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            for name, made in zip(chunk, pool.map(partial(_face, read), chunk), strict=True):
                if isinstance(made, str):
                    skipped.append((name, made))
                else:
                    file.write(made.tobytes())
            some = (
                f"{len(skipped)} of {len(names):,} pictures cannot be read: {dict(skipped[:3])}"
            )
            if len(skipped) > MOST_SKIPPED * len(names):
                raise ValueError(f"{some} … Download or unpack the pictures again.")
            bar.update(len(chunk))
        file.write(bytes(len(skipped) * math.prod(SHAPE)))  # rows that are not used
        with _named_when_whole(path.with_suffix(".json")) as reasons:
            reasons.write(json.dumps(skipped).encode())
    if skipped:
        warnings.warn(f"{some} … They are left out; see .skipped.", stacklevel=3)
    return np.lib.format.open_memmap(path, mode="c")[: len(names) - len(skipped)], skipped


@contextmanager
def _named_when_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, under a name of its own until the block ends without an error."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{time.time_ns()}.partial")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a name must not survive a power cut without its bytes
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
