"""CelebA (Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015): your own copy.

::

    178 × 218 JPEG ──► the 128 × 128 in its centre ──► means of 2 × 2 pixels ──► (3, 64, 64)

*smile* and *attractive* are the graphs in DEAR's code (Shen et al., JMLR 2022); *beard* is in
CausalVAE's paper (Yang et al., CVPR 2021), and which edges it has is our reading. Nobody knows
the true graph of faces, or the true counterfactual of one.

A label is what annotators thought of a photograph, and the people in it were not asked. Learn
with these data, and decide nothing about anyone by them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph

__all__ = ["TASKS", "CelebA"]

SIZE = (178, 218)  # width and height of the official pictures
BOX = (25, 45, 153, 173)  # left, top, right and bottom of the 128 × 128 in the centre
SHAPE = (3, 64, 64)
SPLITS = ("train", "valid", "test")  # 0, 1 and 2 in the official partition
NAME = re.compile(r"[0-9]{1,9}\.jpg")  # no other name is ever opened
ABANDONED = 3600  # seconds without a write, after which an unfinished file is deleted
CUT_SHORT = "The file was cut short or altered: download it again."
PICTURES = "img_align_celeba"
WANTED = (  # the official name, and another one
    ("list_attr_celeba.txt", "list_attr_celeba.csv"),
    ("list_eval_partition.txt", "list_eval_partition.csv"),
    (f"{PICTURES}.zip", PICTURES),
)
FOLDERS = ("", "Img", "Anno", "Eval")  # where the official download has them
LAYOUT = """
It should look like this:
  img_align_celeba.zip       202,599 JPEGs of 178 × 218 pixels, img_align_celeba/000001.jpg …
                             (leave it packed; an unpacked folder img_align_celeba/ will do)
  list_attr_celeba.txt       their number; the names of 40 attributes; then a line a picture
  list_eval_partition.txt    a line a picture: 000001.jpg 0 (training, 1 validation, 2 test)
The official subfolders Img/, Anno/ and Eval/, and Kaggle's csv tables, will do as well.
Get it from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html: Align&Cropped Images, Anno, Eval.
Its terms: non-commercial research and education only, no copies passed on. The faces are of
real people who were not asked. This package downloads nothing of it."""


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

    On first use all pictures are written to one file (2.5 GB, two minutes), and ``images`` is
    a map of it into memory; what you write there does not change the file. It lies in
    ``root/celeba-64`` or, where that is not writable, in the user's cache folder. Delete it
    if you change a picture in place.

    Args:
        root: the folder with ``img_align_celeba.zip`` (or, if there is no zip, the folder
            ``img_align_celeba``), ``list_attr_celeba.txt`` and ``list_eval_partition.txt``.
        task: ``"smile"``, ``"attractive"``, ``"beard"``, or a graph over official attributes.
        split: ``"train"``, ``"valid"``, ``"test"`` (the official partition) or ``"all"``.

    Raises:
        FileNotFoundError: something is missing; the message says what, and where to get it.
        ValueError: an unknown task or split, a malformed table or zip, an unreadable picture.
    """

    def __init__(
        self, root: str | Path, task: str | CausalGraph = "smile", split: str = "train"
    ):
        if isinstance(task, str) and task not in TASKS:
            raise ValueError(f"task must be one of {list(TASKS)} or a graph, got {task!r}.")
        if split not in (*SPLITS, "all"):
            raise ValueError(f"split must be one of {[*SPLITS, 'all']}, got {split!r}.")
        graph = TASKS[task] if isinstance(task, str) else task
        root = Path(root).expanduser()
        attributes, partition, pictures = _find_files(root)
        parts = _read_table(partition, ["partition"], ("0", "1", "2"))
        values = _read_table(attributes, graph.nodes, ("-1", "1"))
        alone = sorted(parts.keys() ^ values.keys())
        if alone:
            raise ValueError(
                f"Only one of {partition} and {attributes} lists {', '.join(alone[:3])} (and "
                f"{len(alone)} in all). Download both again, or cut both to the same pictures."
            )
        names = sorted(parts, key=parts.__getitem__)  # the table's order within a part
        rows = [k for k, n in enumerate(names) if split in ("all", SPLITS[parts[n][0]])]
        if not rows:
            raise ValueError(f"{partition} puts no picture into {split!r}.")
        here = slice(rows[0], rows[-1] + 1)
        labels = np.array([values[name] for name in names[here]], dtype=np.float32)
        images = _map_pictures(root, pictures, names)[here]
        super().__init__(images, labels, graph, kinds=dict.fromkeys(graph.nodes, "binary"))


def _find_files(root: Path) -> list[Path]:
    """The attributes, the partition, and the zip or the folder of pictures below ``root``."""
    places = [
        [root / folder / name for name in names for folder in FOLDERS] for names in WANTED
    ]
    found = [[path for path in paths if path.exists()] for paths in places]
    missing = [names[0] for names, there in zip(WANTED, found, strict=True) if not there]
    if missing:
        nothing = "" if root.is_dir() else " (there is no such folder)"
        raise FileNotFoundError(
            f"CelebA is not complete in {root}{nothing}. Missing: {', '.join(missing)}.{LAYOUT}"
        )
    return [there[0] for there in found]


def _read_table(
    path: Path, wanted: Iterable[str], allowed: Sequence[str]
) -> dict[str, list[int]]:
    """For each picture's name, where its cells in the ``wanted`` columns stand in ``allowed``.

    Lines before the first picture hold the number of pictures and the names of the columns
    (official attributes), nothing (official partition), or ``image_id`` and names (Kaggle).
    """
    lines = path.read_text("utf-8-sig", "replace").replace(",", " ").rstrip().splitlines()
    start = next((k for k, line in enumerate(lines) if NAME.match(line)), len(lines))
    count, *columns = " ".join(lines[:start]).split() or ["", "partition"]
    listed = len(lines) - start
    if not listed or (count.isdecimal() and int(count) != listed):
        raise ValueError(
            f"{path} lists {listed} pictures, and line 1 begins with {count!r}. {CUT_SHORT}"
        )
    unknown = sorted(set(wanted) - set(columns))
    if unknown:
        raise ValueError(f"{path} has no column {', '.join(unknown)}; it names {columns}.")
    where = [columns.index(name) + 1 for name in wanted]
    rows: dict[str, list[int]] = {}
    for number, line in enumerate(lines[start:], start + 1):
        cells = line.split()
        fits = len(cells) == len(columns) + 1 and NAME.fullmatch(cells[0])
        if not fits or cells[0] in rows or any(cells[k] not in allowed for k in where):
            raise ValueError(
                f"{path}, line {number}: expected the name of one more picture and "
                f"{len(columns)} of {', '.join(allowed)}; found {line[:60]!r}. {CUT_SHORT}"
            )
        rows[cells[0]] = [allowed.index(cells[k]) for k in where]
    return rows


def _map_pictures(root: Path, pictures: Path, names: list[str]) -> np.ndarray:
    """All pictures ``(n, 3, 64, 64)``, mapped from a file that is made where there is none.

    Its name holds a digest of what it was made from, and it gets this name when it is whole.
    """
    state = pictures.stat()
    source = f"{BOX} {state.st_size} {state.st_mtime_ns} {names}"
    name = f"celeba-64/{hashlib.sha256(source.encode()).hexdigest()[:16]}.npy"
    path = root / name
    if not path.exists() and not os.access(root, os.W_OK):
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        path = caches / "caufvae_lite" / name
    with suppress(OSError, ValueError):  # there is none yet, or it is damaged
        return np.lib.format.open_memmap(path, mode="c")
    _build(path, _open_folder(pictures), names)
    return np.lib.format.open_memmap(path, mode="c")


def _open_folder(path: Path) -> Path | zipfile.Path:
    """The folder of JPEGs on the disk or within the zip, which is not unpacked."""
    try:
        folder = path if path.is_dir() else zipfile.Path(path) / PICTURES
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path} is no whole zip file ({error}). Is it a web page, or cut short?"
        ) from error
    twice = folder / PICTURES  # as Kaggle packs it
    return twice if twice.is_dir() else folder


def _build(path: Path, folder: Path | zipfile.Path, names: list[str]) -> None:
    """Write the file of pictures under another name, and rename it at the end."""
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing):,} of the {len(names):,} pictures in the tables are not in "
            f"{folder}: {', '.join(missing[:5])}. Download or copy it again, or cut the tables "
            "to the pictures that you have."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob("*.partial"):
        with suppress(OSError):  # another process may delete it first
            if time.time() - old.stat().st_mtime > ABANDONED:  # its process was killed
                old.unlink()
    partial = path.with_suffix(f".{uuid4()}.partial")  # several processes may build it at once
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(names), *SHAPE)}
    unreadable = {}
    try:
        with partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for name in tqdm(names, unit=" pictures", desc="CelebA"):
                try:
                    face = _face((folder / name).read_bytes())
                except Exception as error:  # a decoder may raise nearly anything
                    unreadable[name] = str(error)
                else:
                    file.write(face.tobytes())
            os.fsync(file.fileno())  # a name must not survive a power cut without its bytes
        if unreadable:
            raise ValueError(
                f"{len(unreadable):,} of {len(names):,} pictures in {folder} cannot be read: "
                f"{dict(list(unreadable.items())[:3])} … Download or unpack them again, or "
                "delete their lines from both tables."
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _face(data: bytes) -> np.ndarray:
    """The centre of a picture as ``(3, 64, 64)`` uint8."""
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        if picture.size != SIZE or picture.mode != "RGB":
            raise ValueError(
                f"{picture.width} × {picture.height} {picture.mode}, not 178 × 218 RGB"
            )
        return np.asarray(picture.reduce(2, BOX)).transpose(2, 0, 1)
