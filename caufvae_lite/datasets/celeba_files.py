"""The reader's own files of CelebA: where they lie, the two tables, and single pictures.

Nothing is unpacked. A picture is read by its exact name and only into memory, so a zip cannot
write anywhere.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

LARGEST = 5_000_000  # bytes of one JPEG; the official ones have about 10,000
NAME = re.compile(r"[0-9]{1,9}\.jpg")
CUT_SHORT = "The file was cut short or altered: download it again."
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
FOLDERS = ("", "Img", "Anno", "Eval")  # of the official download
WANTED = (  # the attributes, the partition, the pictures: the official name, and others
    ("list_attr_celeba.txt", "list_attr_celeba.csv"),
    ("list_eval_partition.txt", "list_eval_partition.csv"),
    ("img_align_celeba.zip", "img_align_celeba/img_align_celeba", "img_align_celeba"),
)
INSIDE = ("img_align_celeba/", "img_align_celeba/img_align_celeba/")  # of the zip
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
Read = Callable[[str], bytes]  # from a picture's name to its file's bytes


def find_files(root: Path) -> list[Path]:
    """The attributes, the partition, and the zip or the folder of pictures below ``root``."""
    paths = [[root / folder / name for name in names for folder in FOLDERS] for names in WANTED]
    found = [[path for path in places if path.exists()] for places in paths]
    missing = [names[0] for names, there in zip(WANTED, found, strict=True) if not there]
    if missing:
        nothing = "" if root.is_dir() else " (there is no such folder)"
        raise FileNotFoundError(
            f"CelebA is not complete in {root}{nothing}. Missing: {', '.join(missing)}.{LAYOUT}"
        )
    return [there[0] for there in found]


def read_table(
    path: Path, meaning: Mapping[str, int], wanted: Sequence[str] | None = None
) -> dict[str, list[int]]:
    """The values of the ``wanted`` columns, or of the only one, for each picture's name."""
    lines = path.read_text("utf-8-sig", "replace").replace(",", " ").rstrip().splitlines()
    first, columns, width = int(path.suffix == ".csv"), [1], 2
    if wanted is not None:
        if not first and lines[:1] != [f"{len(lines) - 2}"] and lines:
            raise ValueError(
                f"{path}: line 1 should be the number of pictures listed from line 3 on, "
                f"{len(lines) - 2}, and is {lines[0][:60]!r}. {CUT_SHORT}"
            )
        header = " ".join(lines[1 - first : 2 - first]).split()[first:]  # no image_id
        unknown = [name for name in wanted if name not in header]
        if unknown:
            raise ValueError(
                f"{path}, line {2 - first}: no attribute {', '.join(unknown)} among the "
                f"{len(header)} named. A graph may only use those of the official 40."
            )
        columns = [header.index(name) + 1 for name in wanted]
        first, width = 2 - first, len(header) + 1
    rows: dict[str, list[int]] = {}
    for number, line in enumerate(lines[first:], first + 1):
        cells = line.split()
        fits = len(cells) == width and NAME.fullmatch(cells[0]) and cells[0] not in rows
        if not fits or any(cells[column] not in meaning for column in columns):
            raise ValueError(
                f"{path}, line {number}: expected the name of one more picture and {width - 1} "
                f"of {', '.join(meaning)}; found {line[:60]!r}. {CUT_SHORT}"
            )
        rows[cells[0]] = [meaning[cells[column]] for column in columns]
    if not rows:
        raise ValueError(f"{path} lists no pictures. {CUT_SHORT}")
    return rows


def open_pictures(path: Path, names: Sequence[str]) -> tuple[Read, str]:
    """A function that reads a picture, in memory; a text that changes when the pictures do."""
    if path.is_dir():
        states = {f.name: f"{f.stat().st_size}" for f in os.scandir(path) if f.is_file()}

        def read(name: str) -> bytes:
            with (path / name).open("rb") as file:
                return file.read(LARGEST + 1)
    else:
        try:
            archive, lock = zipfile.ZipFile(path), Lock()  # the threads share one open file
        except DAMAGE as error:
            with path.open("rb") as file:
                start = file.read(24)
            raise ValueError(
                f"{path} ({path.stat().st_size:,} bytes, beginning with {start!r}) is no whole "
                f"zip file: {error}. Was it cut short, or is it a web page? Download it again."
            ) from error
        inside = [folder for folder in INSIDE if folder + names[0] in archive.NameToInfo]
        prefix = (inside or INSIDE)[0]
        members = {m.filename.removeprefix(prefix): m for m in archive.infolist()}
        states = {name: f"{m.file_size} {m.CRC}" for name, m in members.items()}

        def read(name: str) -> bytes:
            with lock, archive.open(members[name]) as file:
                return file.read(LARGEST + 1)

    missing = [name for name in names if name not in states]
    if missing:
        raise FileNotFoundError(
            f"{len(missing):,} of the {len(names):,} pictures in the tables are not in {path}: "
            f"{', '.join(missing[:5])}. (It begins with {next(iter(states), 'nothing')!r}.) "
            "Download or copy it again, or cut the tables to the pictures that you have."
        )
    return read, "\n".join(f"{name} {states[name]}" for name in names)
