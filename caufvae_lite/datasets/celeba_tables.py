"""The two tables of CelebA: who is in which partition, and what the annotators saw.

::

    list_eval_partition.txt          list_attr_celeba.txt
    000001.jpg 0                     202599
    000002.jpg 0                     5_o_Clock_Shadow Arched_Eyebrows … Young
    …                                000001.jpg -1  1 …  1

0 is training, 1 validation, 2 test. An attribute is 1 or −1, here 1 or 0. Kaggle's copies
hold the same as csv, without the count and with a header ``image_id,…``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NAME = re.compile(r"[0-9]{1,9}\.jpg")  # nothing else is looked up in a folder
PARTITIONS = ("train", "valid", "test")
CUT_SHORT = "The file was cut short or altered: download it again."


@dataclass(frozen=True)
class Faces:
    """One row a picture, sorted by partition, and by the tables' order within one.

    Attributes:
        names: ``n`` file names.
        partition: ``(n,)`` of 0, 1 and 2, ascending.
        labels: ``(n, d)`` float32 of 0 and 1.
    """

    names: list[str]
    partition: np.ndarray
    labels: np.ndarray


def read_tables(partition: Path, attributes: Path, wanted: Sequence[str]) -> Faces:
    """The faces that the two files list, with the ``wanted`` attributes as labels.

    Raises:
        ValueError: a file that is cut short, has other columns, or lists other pictures
            than the other does; the file, the line and the remedy are named.
    """
    names, parts = read_partition(partition)
    labelled, labels = read_attributes(attributes, wanted)
    row = {name: k for k, name in enumerate(labelled)}
    for here, there, these, others in (
        (partition, attributes, names, row),
        (attributes, partition, labelled, set(names)),
    ):
        alone = [name for name in these if name not in others]
        if alone:
            raise ValueError(
                f"{here} lists {len(alone):,} pictures that {there} does not, such as "
                f"{', '.join(alone[:3])}. Both must list the same: download them again, or "
                "cut both to the pictures that you have."
            )
    order = np.argsort(parts, kind="stable")
    names = [names[k] for k in order]
    return Faces(names, parts[order], labels[[row[name] for name in names]])


def read_partition(path: Path) -> tuple[list[str], np.ndarray]:
    """File names, and 0, 1 or 2 for each, ``(n,)``, in the file's order."""
    lines = _lines(path)
    if path.suffix == ".csv":
        _expect(path, 1, "the header image_id,partition", lines[0], "image_id" in lines[0])
    first = int(path.suffix == ".csv")
    names, values = _rows(path, lines, first, 2, [1], {"0": 0, "1": 1, "2": 2})
    return names, values[:, 0]


def read_attributes(path: Path, wanted: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """File names, and ``(n, d)`` float32 zeros and ones, in the file's order."""
    lines = _lines(path)
    if path.suffix == ".csv":
        count, first = len(lines) - 1, 1
        header = _cells(lines[0])[1:]
    else:
        is_count = lines[0].strip().isdecimal()
        _expect(path, 1, "the number of pictures", lines[0], is_count)
        count, first = int(lines[0]), 2
        header = _cells(lines[1]) if len(lines) > 1 else []
    missing = [name for name in wanted if name not in header]
    if missing:
        raise ValueError(
            f"{path}, line {first}: no attribute {', '.join(missing)} among the "
            f"{len(header)} that it names ({' '.join(header[:4])} …). The official file "
            "names 40, such as 5_o_Clock_Shadow … Young, and a graph may only use those."
        )
    columns = [header.index(name) + 1 for name in wanted]
    names, values = _rows(path, lines, first, len(header) + 1, columns, {"-1": 0, "1": 1})
    if len(names) != count:
        raise ValueError(
            f"{path}: line 1 announces {count:,} pictures, and {len(names):,} follow. "
            f"{CUT_SHORT}"
        )
    return names, values.astype(np.float32)


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8-sig", errors="replace").rstrip().splitlines()
    if not lines:
        raise ValueError(f"{path} is empty. {CUT_SHORT}")
    return lines


def _cells(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _rows(
    path: Path,
    lines: list[str],
    first: int,
    width: int,
    columns: list[int],
    meaning: Mapping[str, int],
) -> tuple[list[str], np.ndarray]:
    """Names, and ``(n, len(columns))`` values, of the lines from number ``first`` (from 0)."""
    names: list[str] = []
    values: list[int | None] = []
    for k in range(first, len(lines)):
        cells = _cells(lines[k])
        whole = len(cells) == width and NAME.fullmatch(cells[0]) is not None
        found = [meaning.get(cells[c]) for c in columns] if whole else [None]
        if None in found:
            what = f"a name like 000001.jpg and {width - 1} of {', '.join(meaning)}"
            _expect(path, k + 1, what, lines[k], False)
        names.append(cells[0])
        values += found  # one flat list: 200,000 short ones are slow to keep
    if not names:
        raise ValueError(f"{path} lists no pictures. {CUT_SHORT}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{path} lists {name} {times} times. {CUT_SHORT}")
    return names, np.array(values, dtype=np.int8).reshape(-1, len(columns))


def _expect(path: Path, line: int, what: str, found: str, fits: bool) -> None:
    if not fits:
        short = found if len(found) <= 60 else f"{found[:60]}…"
        raise ValueError(f"{path}, line {line}: expected {what}, found {short!r}. {CUT_SHORT}")
