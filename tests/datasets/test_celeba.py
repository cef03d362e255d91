"""The reader's own copy of CelebA: the tables, the pictures, and the file made of them."""

import io
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import celeba_files as files
import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from caufvae_lite import CausalGraph
from caufvae_lite.datasets import celeba
from caufvae_lite.datasets.celeba import TASKS, CelebA

N = 120  # one unreadable picture is within 1 %, two are not
ATTR, PART, FOLDER = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"


@pytest.fixture(scope="session")
def pictures():
    return files.pictures_of(N)


@pytest.fixture
def root(tmp_path, pictures):
    files.write_tables(tmp_path / "celeba", N)
    files.write_folder(tmp_path / "celeba", pictures)
    return tmp_path / "celeba"


def open_(root, task="smile", split="all", **options):
    return CelebA(root, task, split, progress=False, **options)


def made_in(root):
    (path,) = (root / "celeba-64").glob("*.npy")
    return path


def labels_of(graph):
    return files.labels_of(N)[:, [files.ATTRIBUTES.index(name) for name in graph.nodes]]


def expected_pixels(data):
    """``(3, 64, 64)`` by NumPy alone: the 128 × 128 in the middle, mean of 2 × 2, rounded."""
    centre = np.asarray(Image.open(io.BytesIO(data))).astype(float)[45:173, 25:153]
    return np.floor(centre.reshape(64, 2, 64, 2, 3).mean((1, 3)) + 0.5).transpose(2, 0, 1)


def test_pictures_are_the_centre_halved_and_labels_are_the_table(root, pictures):
    data = open_(root)
    assert data.names == tuple(files.names_of(N)) and set(data.kinds.values()) == {"binary"}
    for row, name in enumerate(data.names):
        assert np.array_equal(data.images[row].numpy(), expected_pixels(pictures[name]))
    assert np.array_equal(data.factors.numpy(), labels_of(TASKS["smile"]))


def test_graphs_of_the_tasks_use_official_attributes_and_a_graph_of_ones_own_must(root):
    assert {name: len(graph.edges) for name, graph in TASKS.items()} == {
        "smile": 5, "attractive": 6, "beard": 4,
    }  # fmt: skip
    for graph in (*TASKS.values(), CausalGraph(["Young", "Gray_Hair"])):
        assert np.array_equal(open_(root, graph).factors.numpy(), labels_of(graph))
    with pytest.raises(ValueError, match="line 2: no attribute Beard among the 40"):
        open_(root, CausalGraph(["Beard"]))


@pytest.mark.parametrize("number, split", list(enumerate(celeba.PARTITIONS)))
def test_a_split_has_its_rows_even_if_the_table_is_out_of_order(root, pictures, number, split):
    files.write_tables(root, N, partition=np.arange(N) % 3)
    data, wanted = open_(root, split=split), slice(number, N, 3)
    assert data.names == tuple(files.names_of(N)[wanted])
    assert np.array_equal(data.factors.numpy(), labels_of(data.graph)[wanted])
    assert np.array_equal(data.images[4].numpy(), expected_pixels(pictures[data.names[4]]))


def test_writing_to_the_mapped_pictures_does_not_change_the_file(root):
    data, path, maps = open_(root), made_in(root), Path("/proc/self/maps")
    data.images[0] = 0
    assert np.load(path)[0].any() and (not maps.exists() or str(path) in maps.read_text())


@pytest.mark.parametrize("copy", ["official", "Kaggle's"])
def test_a_zip_in_other_layouts_gives_the_same_as_a_folder_and_is_not_unpacked(
    root, pictures, copy
):
    wanted = open_(root)
    files.write_zip(root, pictures, f"{FOLDER}/" + ("" if copy == "official" else f"{FOLDER}/"))
    (root / FOLDER).rename(root.parent / FOLDER)
    header = {ATTR: ["image_id", *files.ATTRIBUTES], PART: ["image_id", "partition"]}
    for folder, name in (("Anno", ATTR), ("Eval", PART), ("Img", f"{FOLDER}.zip")):
        (root / folder).mkdir()
        if copy == "official":
            (root / name).rename(root / folder / name)
        elif name in header:
            rows = (root / name).read_text().splitlines()[2 if name == ATTR else 0 :]
            text = "\r\n".join(",".join(row) for row in [header[name], *map(str.split, rows)])
            (root / name).rename((root / name).with_suffix(".csv")).write_text(text)
    found = open_(root, cache=root / "other", workers=3)
    assert torch.equal(found.images, wanted.images) and found.names == wanted.names
    assert torch.equal(found.factors, wanted.factors) and not list(root.rglob("*.jpg"))


def test_what_is_missing_is_listed_with_the_layout_the_address_and_the_terms(root, pictures):
    with pytest.raises(FileNotFoundError, match=r"000121\.jpg"):
        files.write_tables(root, N + 1)
        open_(root)
    files.write_zip(root, pictures, "elsewhere/")
    with pytest.raises(FileNotFoundError, match=r"121 of the 121 .*begins with 'elsewhere/"):
        open_(root)
    (root / PART).unlink()
    with pytest.raises(FileNotFoundError, match=rf"(?s)Missing: {PART}\..*mmlab.*non-comm"):
        open_(root)


@pytest.mark.parametrize("wrong", [{"task": "hair"}, {"split": "dev"}, {"workers": 0}])
def test_unknown_arguments_are_named(root, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        open_(root, **wrong)


@pytest.mark.parametrize(
    "table, line, new, message",
    [
        (ATTR, 31, [], "line 1 should be the number of pictures .* 119, and is '120'"),
        (ATTR, 31, ["000030.jpg -1 1"], "line 32: expected .* 40 of -1, 1; found '000030"),
        (ATTR, 9, ["000008.jpg" + " 0" * 40], "line 10: expected"),
        (PART, 4, ["../../000005.jpg 0"], "line 5: expected"),
        (PART, 4, ["000004.jpg 0"], "line 5: expected the name of one more picture"),
        (PART, 4, [], "Only one of .* lists 000005.jpg"),
        (PART, slice(0, N), [], "lists no pictures"),
        (ATTR, slice(0, N + 2), [], "no attribute Smiling"),
    ],
)
def test_a_malformed_table_is_an_error_that_names_the_line(root, table, line, new, message):
    lines = (root / table).read_text().splitlines()
    lines[line if isinstance(line, slice) else slice(line, line + 1)] = new
    (root / table).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        open_(root)


def spoilt(data, kind):
    if kind in ("small", "grey"):
        options = {"size": (64, 64)} if kind == "small" else {"mode": "L"}
        return files.jpeg(files.labels_of(1)[0], 0, **options)
    large = data + bytes(celeba.LARGEST)
    return {"truncated": data[: len(data) // 2], "empty": b"", "large": large}[kind]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "kind, reason",
    [("truncated", "cut short"), ("small", "64 × 64"), ("grey", "L, not"), ("empty", "no read"),
     ("large", "larger than 5,000,000")],
)  # fmt: skip
def test_an_unreadable_picture_is_left_out_and_reported_once_and_two_are_an_error(
    root, pictures, monkeypatch, kind, reason, packed
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # Pillow at its most lenient
    spoil = {"000010.jpg": spoilt(pictures["000010.jpg"], kind)}
    write = files.write_zip if packed else files.write_folder
    write(root, pictures | spoil)
    with pytest.warns(UserWarning, match=f"1 of 120 pictures .*000010.jpg.*{reason}"):
        open_(root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = open_(root)
    assert data.skipped[0][0] == "000010.jpg" and len(data) == N - 1
    assert np.array_equal(data.images[9].numpy(), expected_pixels(pictures["000011.jpg"]))
    write(root, pictures | spoil | {"000120.jpg": b""})
    with pytest.raises(ValueError, match=r"2 of 120 .*Download or unpack"):
        open_(root)
    assert len(list((root / "celeba-64").iterdir())) == 2  # the whole file of the first round


@pytest.mark.parametrize(
    "at, patch, reason", [(2000, b"!", "damaged"), (-1, b"\1", "encrypted")]
)
def test_a_damaged_or_encrypted_member_of_a_zip_is_left_out(root, pictures, at, patch, reason):
    files.write_zip(root, pictures)
    path, name = root / f"{FOLDER}.zip", b"000010.jpg"
    data = bytearray(path.read_bytes())
    start = (
        data.index(name) + at if at > 0 else data.rindex(b"PK\1\2", 0, data.rindex(name)) + 8
    )
    data[start : start + 1] = patch
    path.write_bytes(data)
    with pytest.warns(UserWarning, match=f"1 of 120 .*000010.jpg.*{reason}"):
        open_(root)


def test_a_web_page_or_half_a_zip_says_that_it_is_no_zip(root, pictures):
    files.write_zip(root, pictures)
    path = root / f"{FOLDER}.zip"
    for content in (b"<html>Quota exceeded</html>", path.read_bytes()[:-2000]):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"beginning with b'(<html>|PK).*no whole zip file"
        ):
            open_(root)


def test_members_of_a_zip_that_lead_elsewhere_are_never_read_or_written(root, pictures):
    outside = {"../outside.jpg": b"x", str(root.parent / "outside.jpg"): b"x"}
    files.write_zip(root, {f"{FOLDER}/{k}": v for k, v in pictures.items()} | outside, "")
    assert len(open_(root)) == N and not list(root.parent.rglob("outside.jpg"))


def count_decoded(monkeypatch):
    decoded, face = [], celeba._face
    monkeypatch.setattr(celeba, "_face", lambda *args: decoded.append(1) or face(*args))
    return decoded


def test_the_file_is_made_once_and_anew_for_other_pictures_or_another_crop(
    root, pictures, monkeypatch
):
    decoded = count_decoded(monkeypatch)
    first = open_(root), open_(root, "beard", "test")
    assert len(decoded) == N
    other = files.jpeg(files.labels_of(1)[0], 99)
    (root / FOLDER / "000004.jpg").write_bytes(other)
    assert np.array_equal(open_(root).images[3].numpy(), expected_pixels(other))
    monkeypatch.setattr(celeba, "BOX", (24, 45, 152, 173))
    assert not torch.equal(open_(root).images, first[0].images) and len(decoded) == 3 * N


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_damaged_file_is_made_anew(root, suffix):
    before = open_(root).images.clone()
    path = made_in(root).with_suffix(suffix)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.warns(UserWarning, match="is damaged .* and is made anew"):
        assert torch.equal(open_(root).images, before)


def test_a_root_that_is_not_writable_falls_back_to_the_users_caches(
    root, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    decoded = count_decoded(monkeypatch)
    assert len(open_(root)) == len(open_(root)) == len(decoded) == N
    assert made_in(tmp_path / "caches" / "caufvae_lite") and not list(root.glob("celeba-64*"))


SLOW = """
import sys, time
from caufvae_lite.datasets import celeba
face, celeba.CHUNK = celeba._face, 4
celeba._face = lambda *args: time.sleep(0.02) or face(*args)
celeba.CelebA(sys.argv[1], split="all", workers=1, progress=False)
"""


@pytest.mark.parametrize("killed", [True, False])
def test_another_process_that_builds_or_is_killed_does_no_harm(root, monkeypatch, killed):
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(root)])
    end = time.monotonic() + 60
    while not list(root.glob("celeba-64/*.partial")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    if killed:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(root.glob("celeba-64/*.npy"))
        monkeypatch.setattr(celeba, "ABANDONED", 0)
    before = open_(root).images.clone()
    assert process.wait(60) == (-signal.SIGKILL if killed else 0)
    assert torch.equal(open_(root).images, before) and made_in(root)
    assert not list(root.glob("celeba-64/*.partial"))
