"""A small data set in CelebA's official layout: real JPEGs of drawn faces, and both tables.

No face of anybody: ellipses, whose mouth, hair and cheeks follow the labels.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HEADER = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips "
    "Big_Nose Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin "
    "Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open "
    "Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline "
    "Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat "
    "Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young"
)
ATTRIBUTES = HEADER.split()
SIZE = (178, 218)


def names_of(n: int) -> list[str]:
    return [f"{k:06d}.jpg" for k in range(1, n + 1)]


def labels_of(n: int, seed: int = 0) -> np.ndarray:
    """``(n, 40)`` of 0 and 1."""
    return np.random.default_rng(seed).integers(0, 2, (n, 40))


def partition_of(n: int) -> np.ndarray:
    """``(n,)``: 60 % training, 20 % validation, 20 % test, in blocks as in the real file."""
    return np.repeat([0, 1, 2], [n - 2 * (n // 5), n // 5, n // 5])


def jpeg(labels: np.ndarray, seed: int, size: tuple[int, int] = SIZE, mode="RGB") -> bytes:
    """A drawn face as the bytes of a JPEG."""
    rng = np.random.default_rng(seed)
    has = dict(zip(ATTRIBUTES, labels.astype(bool), strict=True))
    blocks = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    wide = 45 if has["Chubby"] else 35
    draw.ellipse((89 - wide, 60, 89 + wide, 165), fill=(230, 190, 160))
    if not has["Bald"]:
        draw.chord((89 - wide, 55, 89 + wide, 110), 180, 360, fill=(70, 40, 20))
    eyes = 2 if has["Narrow_Eyes"] else 6
    for x in (72, 106):
        draw.ellipse((x - 6, 105 - eyes, x + 6, 105 + eyes), fill=(20, 20, 60))
    bend = (0, 180) if has["Smiling"] else (180, 360)
    draw.arc((70, 125, 108, 150), *bend, fill=(160, 30, 40), width=5)
    file = io.BytesIO()
    picture.convert(mode).save(file, "JPEG", quality=92)
    return file.getvalue()


def pictures_of(n: int) -> dict[str, bytes]:
    labels = labels_of(n)
    return {name: jpeg(labels[k], k) for k, name in enumerate(names_of(n))}


def write_tables(root: Path, n: int, *, names=None, partition=None, labels=None) -> None:
    """``list_attr_celeba.txt`` and ``list_eval_partition.txt``."""
    root.mkdir(parents=True, exist_ok=True)
    names = names_of(n) if names is None else names
    labels = labels_of(n) if labels is None else labels
    partition = partition_of(n) if partition is None else partition
    signs = [" ".join(f"{2 * v - 1:2d}" for v in row) for row in labels]
    rows = [f"{name} {row}" for name, row in zip(names, signs, strict=True)]
    text = "\n".join([str(n), HEADER + " ", *rows]) + "\n"
    (root / "list_attr_celeba.txt").write_text(text)
    rows = [f"{name} {part}\n" for name, part in zip(names, partition, strict=True)]
    (root / "list_eval_partition.txt").write_text("".join(rows))


def write_folder(root: Path, pictures: dict[str, bytes]) -> Path:
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True)
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
    return folder


def write_zip(root: Path, pictures: dict[str, bytes], inside="img_align_celeba/") -> Path:
    path = root / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inside, b"")
        for name, data in pictures.items():
            archive.writestr(inside + name, data)
    return path


def write_celeba(root: Path, n: int, *, zipped: bool = False) -> Path:
    """The whole data set below ``root``."""
    write_tables(root, n)
    (write_zip if zipped else write_folder)(root, pictures_of(n))
    return root
