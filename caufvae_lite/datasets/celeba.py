"""CelebA (Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015): your own copy.

::

    178 × 218 JPEG ──► the 128 × 128 in its centre ──► means of 2 × 2 pixels ──► (3, 64, 64)

    smile       Smiling → High_Cheekbones, Mouth_Slightly_Open, Narrow_Eyes, Chubby
                Male → Narrow_Eyes
    attractive  Young, Male → Receding_Hairline, Heavy_Makeup;  Young → Chubby, Bags_Under_Eyes
    beard       Young, Male → Bald, No_Beard

*smile* and *attractive* are the graphs in DEAR's code (Shen et al., JMLR 2022); *beard* is in
CausalVAE's paper (Yang et al., CVPR 2021), and which edges it has is our reading. Nobody knows
the true graph of faces, or the true counterfactual of one: here there is no ruler.

A label says what annotators thought of a photograph. *Attractive* is the taste of whoever was
asked; *Male* is one of two boxes, ticked by somebody else; the people in the pictures were not
asked at all. Learn with these data, and decide nothing about anyone by them.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from caufvae_lite.data import FactorDataset
from caufvae_lite.datasets.celeba_tables import PARTITIONS, read_tables
from caufvae_lite.datasets.image_cache import Make, open_or_build
from caufvae_lite.datasets.picture_files import (
    PictureFolder,
    Pictures,
    PictureZip,
    Unreadable,
    digest_of,
)
from caufvae_lite.graph import CausalGraph

SIZE = (178, 218)  # width and height of the official pictures
BOX = (25, 45, 153, 173)  # left, top, right and bottom of the 128 × 128 in the centre
SHAPE = (3, 64, 64)

ATTRIBUTES = (
    "list_attr_celeba.txt", "Anno/list_attr_celeba.txt", "list_attr_celeba.csv",
)  # fmt: skip
PARTITION = (
    "list_eval_partition.txt", "Eval/list_eval_partition.txt", "list_eval_partition.csv",
)  # fmt: skip
INSIDE = ("img_align_celeba/", "img_align_celeba/img_align_celeba/")
ZIPS = ("img_align_celeba.zip", "Img/img_align_celeba.zip")
FOLDERS = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")

TASKS = {
    "smile": CausalGraph(
        [
            "Smiling", "Male",
            "High_Cheekbones", "Mouth_Slightly_Open", "Narrow_Eyes", "Chubby",
        ],
        [
            ("Smiling", "High_Cheekbones"), ("Smiling", "Mouth_Slightly_Open"),
            ("Smiling", "Narrow_Eyes"), ("Smiling", "Chubby"), ("Male", "Narrow_Eyes"),
        ],
    ),
    "attractive": CausalGraph(
        [
            "Young", "Male",
            "Receding_Hairline", "Heavy_Makeup", "Chubby", "Bags_Under_Eyes",
        ],
        [
            ("Young", "Receding_Hairline"), ("Young", "Heavy_Makeup"), ("Young", "Chubby"),
            ("Young", "Bags_Under_Eyes"),
            ("Male", "Receding_Hairline"), ("Male", "Heavy_Makeup"),
        ],
    ),
    "beard": CausalGraph(
        ["Young", "Male", "Bald", "No_Beard"],
        [
            ("Young", "Bald"), ("Young", "No_Beard"),
            ("Male", "Bald"), ("Male", "No_Beard"),
        ],
    ),
}  # fmt: skip


class CelebA(FactorDataset):
    """Faces with binary factors, from the reader's own copy of CelebA.

    ``.images`` is a memory map of a file that is made once, from the folder or the zip (which
    is not unpacked), and opened in a second or two from then on. Kinds are all binary, so
    supervision is by cross-entropy and the label likelihood leaves them out.

    Args:
        root: the folder with ``img_align_celeba.zip`` (or the folder of that name),
            ``list_attr_celeba.txt`` and ``list_eval_partition.txt``; the zip is taken if
            both are there. The subfolders ``Img``, ``Anno``, ``Eval`` of the official
            download, and Kaggle's csv tables, will do.
        task: ``"smile"``, ``"attractive"`` or ``"beard"``, or a graph of your own over the
            40 official attributes.
        split: ``"train"``, ``"valid"``, ``"test"`` (the official partition) or ``"all"``.
        cache: a folder for the file (2.5 GB for all of CelebA); by default ``root``, or
            if that may not be written to, ``caufvae_lite`` in ``$XDG_CACHE_HOME`` or
            ``~/.cache``.
        workers: threads that read pictures; by default one for each CPU core, up to 8.
        progress: show a progress bar while the file is made.

    Attributes:
        task: the argument.
        partition: the argument ``split``.
        names: ``n`` file names, one a row.
        skipped: ``(name, reason)`` of all pictures of the data set that cannot be read;
            no partition has a row for them.

    Raises:
        FileNotFoundError: something is missing; the message says what, and where to get it.
        ValueError: an unknown task or split, a malformed table, a zip that should not be read,
            or unreadable pictures beyond 1 %.
        OSError: too little room for the file.
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
        faces = read_tables(partition, attributes, graph.nodes)

        def make() -> Make:
            read = pictures.reader(faces.names)
            return lambda name: face(read(name))

        made = open_or_build(
            cache_folder(root, cache),
            faces.names,
            make,
            shape=SHAPE,
            source=f"{pictures.fingerprint(faces.names)}, means of 2 × 2 in {BOX}",
            workers=workers or min(8, os.cpu_count() or 1),
            progress=progress,
        )
        if made.is_new and made.skipped:
            some = "; ".join(f"{name}: {why}" for name, why in made.skipped[:5])
            warnings.warn(
                f"{len(made.skipped)} of {len(faces.names):,} pictures cannot be read and "
                f"are left out ({some}); see .skipped.",
                stacklevel=2,
            )
        left_out = {name for name, _ in made.skipped}
        kept = np.array([name not in left_out for name in faces.names])
        parts = [split] if split != "all" else PARTITIONS
        ends = PARTITIONS.index(parts[0]), PARTITIONS.index(parts[-1]) + 1
        here = slice(*np.searchsorted(faces.partition[kept], ends))
        if here.start == here.stop:
            raise ValueError(f"{partition} puts no picture into {split!r}.")
        super().__init__(
            made.images()[here],
            faces.labels[kept][here],
            graph,
            kinds=dict.fromkeys(graph.nodes, "binary"),
        )
        self.task, self.partition, self.skipped = task, split, made.skipped
        self.names = tuple(np.array(faces.names)[kept][here].tolist())

    def __repr__(self) -> str:
        left_out = f", {len(self.skipped)} unreadable left out" if self.skipped else ""
        return f"CelebA({self.task!r}, {self.partition!r}{left_out}): {super().__repr__()}"


def face(data: bytes) -> np.ndarray:
    """A JPEG of 178 × 218 pixels → ``(3, 64, 64)`` uint8: the centre, halved.

    Raises:
        Unreadable: anything else.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if picture.size != SIZE or picture.mode != "RGB":
                w, h = picture.size
                raise Unreadable(f"{w} × {h} {picture.mode}, not {SIZE[0]} × {SIZE[1]} RGB")
            if b"\xff\xd9" not in data[-1024:]:  # Pillow can be told not to mind
                raise Unreadable("the JPEG is cut short")
            pixels = np.asarray(picture.reduce(2, BOX))
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # a decoder may raise nearly anything over bad bytes
        raise Unreadable(f"no readable JPEG: {error}") from error
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def find_files(root: Path) -> tuple[Path, Path, Pictures]:
    """The attributes, the partition and the pictures below ``root``.

    Raises:
        FileNotFoundError: says what is missing, what it should look like, where it can be
            had, and on which terms.
    """
    attributes = _first(root, ATTRIBUTES)
    partition = _first(root, PARTITION)
    zipped, folder = _first(root, ZIPS), _first(root, FOLDERS, folder=True)
    pictures: Pictures | None = PictureZip(zipped, INSIDE) if zipped else None
    if pictures is None and folder is not None:
        pictures = PictureFolder(folder)
    if attributes is not None and partition is not None and pictures is not None:
        return attributes, partition, pictures
    missing = [
        f"  {what}"
        for what, found in (
            ("img_align_celeba.zip, or the folder img_align_celeba", pictures),
            (ATTRIBUTES[0], attributes),
            (PARTITION[0], partition),
        )
        if found is None
    ]
    nothing = "" if root.is_dir() else " (there is no such folder)"
    raise FileNotFoundError(
        f"CelebA is not complete in {root}{nothing}. Missing:\n" + "\n".join(missing) + LAYOUT
    )


LAYOUT = """
It should look like this:
  img_align_celeba.zip       202,599 JPEGs of 178 × 218 pixels, img_align_celeba/000001.jpg …
                             (leave it packed; an unpacked folder img_align_celeba/ will do)
  list_attr_celeba.txt       their number; the names of 40 attributes; then a line a picture
  list_eval_partition.txt    a line a picture: 000001.jpg 0 (training, 1 validation, 2 test)
The subfolders Img/, Anno/ and Eval/ of the official download, and Kaggle's list_*.csv, will do
as well. The PNG and the "in the wild" versions will not.
Get it from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html: Align&Cropped Images, Anno, Eval.
Its terms: non-commercial research and educational purposes only, no copies passed on. The
faces are of real people who were not asked. This package downloads nothing of it."""


def cache_folder(root: Path, cache: str | Path | None = None) -> Path:
    """Where the file of pictures is: in ``cache``, in ``root``, or with the user's caches."""
    name = "celeba-64"
    if cache is not None:
        return Path(cache).expanduser() / name
    if (root / name).is_dir() or os.access(root, os.W_OK):
        return root / name
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "caufvae_lite" / f"{name}-{digest_of(str(root.resolve()).encode())[:8]}"


def _first(root: Path, names: tuple[str, ...], folder: bool = False) -> Path | None:
    """The first of ``root / name`` that is a file (or a folder)."""
    paths = (root / name for name in names)
    return next((p for p in paths if (p.is_dir() if folder else p.is_file())), None)
