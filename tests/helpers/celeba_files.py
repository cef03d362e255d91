"""A small data set in CelebA's official layout: both tables, and JPEGs of nobody's faces."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HEADER = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose "
    "Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses "
    "Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache "
    "Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick "
    "Wearing_Necklace Wearing_Necktie Young "
)
ATTRIBUTES = tuple(HEADER.split())


def names_of(n: int) -> list[str]:
    return [f"{k:06d}.jpg" for k in range(1, n + 1)]


def labels_of(n: int, names: tuple[str, ...] = ATTRIBUTES) -> np.ndarray:
    """``(n, len(names))`` of 0 and 1."""
    every = np.random.default_rng(0).integers(0, 2, (n, 40))
    return every[:, [ATTRIBUTES.index(name) for name in names]]


def jpeg(labels: np.ndarray, seed: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """An ellipse on a random ground, with a mouth that smiles or not: the bytes of a JPEG."""
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((50, 60, 128, 165), fill=(230, 190, 160))
    bend = (0, 180) if labels[ATTRIBUTES.index("Smiling")] else (180, 360)
    draw.arc((70, 125, 108, 150), *bend, fill=(160, 30, 40), width=5)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


def pictures_of(n: int) -> dict[str, bytes]:
    return {name: jpeg(labels_of(n)[k], k) for k, name in enumerate(names_of(n))}


def write_tables(root: Path, n: int, partition: np.ndarray | None = None) -> None:
    """Both tables; by default 60 % are for training, 20 % for validation, 20 % for the test."""
    root.mkdir(parents=True, exist_ok=True)
    if partition is None:
        partition = np.repeat([0, 1, 2], [n - 2 * (n // 5), n // 5, n // 5])
    labels = dict(zip(names_of(n), 2 * labels_of(n) - 1, strict=True))
    rows = [f"{name} " + " ".join(f"{v:2d}" for v in row) for name, row in labels.items()]
    (root / "list_attr_celeba.txt").write_text("\n".join([str(n), HEADER, *rows, ""]))
    rows = [f"{name} {part}\n" for name, part in zip(labels, partition, strict=True)]
    (root / "list_eval_partition.txt").write_text("".join(rows))


def write_folder(root: Path, pictures: dict[str, bytes]) -> None:
    (root / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    for name, data in pictures.items():
        (root / "img_align_celeba" / name).write_bytes(data)


def write_zip(root: Path, pictures: dict[str, bytes], inside="img_align_celeba/") -> None:
    with zipfile.ZipFile(root / "img_align_celeba.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pictures.items():
            archive.writestr(inside + name, data)
