"""The reader's own copy of CelebA: the tables, the pictures, and the file made of them."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import celeba_files as files
import numpy as np
import pytest
import torch
from PIL import Image

from caufvae_lite import CausalGraph
from caufvae_lite.datasets import celeba
from caufvae_lite.datasets.celeba import TASKS, CelebA

N = 40
ATTR, PART, FOLDER = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
PICTURES = files.pictures_of(N)
TENTH = PICTURES["000010.jpg"]
SPOILT = {
    "truncated": TENTH[: len(TENTH) // 2],
    "cannot identify image file": b"",
    "64 × 64 RGB, not 178 × 218 RGB": files.jpeg(files.labels_of(1)[0], 0, size=(64, 64)),
}
MALFORMED = (
    (ATTR, 31, 32, [], "lists 39 pictures, and line 1 begins with '40'"),
    (ATTR, 0, None, [], "lists 0 pictures"),
    (ATTR, 31, 32, ["000030.jpg -1 1"], "line 32: expected .* 40 of -1, 1; found '000030"),
    (PART, 4, 5, ["../../000005.jpg 0"], "line 5: expected"),
    (PART, 0, 1, ["/etc/000001.jpg 0"], "no column partition; it names"),
    (PART, 4, 5, ["000004.jpg 0"], "line 5: expected the name of one more picture"),
    (PART, 4, 5, [], "Only one of .* lists 000005.jpg"),
)
SLOW = """
import sys, time; from caufvae_lite.datasets import celeba
face = celeba._face
celeba._face = lambda data: time.sleep(0.05) or face(data)
celeba.CelebA(sys.argv[1], split="all")
"""


@pytest.fixture
def root(tmp_path):
    files.write_tables(tmp_path / "celeba", N)
    files.write_folder(tmp_path / "celeba", PICTURES)
    return tmp_path / "celeba"


def shows(image, data):
    """Whether it is the 128 × 128 in the middle of a JPEG, mean of 2 × 2, rounded."""
    centre = np.asarray(Image.open(io.BytesIO(data))).astype(float)[45:173, 25:153]
    means = np.floor(centre.reshape(64, 2, 64, 2, 3).mean((1, 3)) + 0.5)
    return np.array_equal(image.numpy(), means.transpose(2, 0, 1))


def test_graphs_of_the_tasks_use_official_attributes_and_a_graph_of_ones_own_must(root):
    assert [len(TASKS[name].edges) for name in ("smile", "attractive", "beard")] == [5, 6, 4]
    for graph in (*TASKS.values(), CausalGraph(["Young", "Gray_Hair"])):
        data = CelebA(root, graph, "all")
        assert np.array_equal(data.factors, files.labels_of(N, graph.nodes))
    with pytest.raises(ValueError, match=r"no column Beard; it names \['5_o_Clock"):
        CelebA(root, CausalGraph(["Beard"]))
    for wrong in ({"task": "hair"}, {"split": "dev"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            CelebA(root, **wrong)


@pytest.mark.parametrize("number, split", list(enumerate(celeba.SPLITS)))
def test_a_split_has_its_rows_even_if_the_table_is_out_of_order(root, number, split):
    files.write_tables(root, N, partition=np.arange(N) % 3)
    data, wanted = CelebA(root, split=split), slice(number, N, 3)
    assert np.array_equal(data.factors, files.labels_of(N, data.graph.nodes)[wanted])
    assert all(map(shows, data.images, list(PICTURES.values())[wanted]))
    assert set(data.kinds.values()) == {"binary"} and repr(data).startswith("CelebA(1")
    files.write_tables(root, N, partition=np.full(N, (number + 1) % 3))
    with pytest.raises(ValueError, match=f"puts no picture into '{split}'"):
        CelebA(root, split=split)


@pytest.mark.parametrize("inside", ["", f"{FOLDER}/"])
def test_official_and_kaggles_layouts_give_the_same_and_no_zip_is_unpacked(root, inside):
    wanted = CelebA(root, split="all")
    files.write_zip(root, PICTURES, f"{FOLDER}/{inside}")
    (root / FOLDER).rename(root.parent / FOLDER)
    header = {ATTR: ["image_id", *files.ATTRIBUTES], PART: ["image_id", "partition"]}
    for folder, name in (("Anno", ATTR), ("Eval", PART), ("Img", f"{FOLDER}.zip")):
        (root / folder).mkdir()
        path = (root / name).rename(root / folder / name)
        if inside and name in header:
            rows = path.read_text().splitlines()[2 if name == ATTR else 0 :]
            text = "\r\n".join(",".join(row) for row in [header[name], *map(str.split, rows)])
            path.rename(path.with_suffix(".csv")).write_text(text)
    found = CelebA(root, split="all")
    assert torch.equal(found.images, wanted.images)
    assert torch.equal(found.factors, wanted.factors) and not list(root.rglob("*.jpg"))


def test_what_is_missing_or_no_zip_is_named_with_the_layout_the_address_and_the_terms(root):
    files.write_zip(root, PICTURES, "elsewhere/")
    with pytest.raises(FileNotFoundError, match=r"40 of the 40 .* not in .*zip.* 000001\.jpg"):
        CelebA(root, split="all")
    (root / f"{FOLDER}.zip").write_bytes(b"<html>Quota exceeded</html>")
    with pytest.raises(ValueError, match=r"celeba\.zip is no whole zip .*web page"):
        CelebA(root, split="all")
    (root / PART).unlink()
    with pytest.raises(FileNotFoundError, match=rf"(?s)Missing: {PART}\..*mmlab.*non-comm"):
        CelebA(root, split="all")


@pytest.mark.parametrize("table, first, end, new, message", MALFORMED)
def test_a_malformed_table_is_an_error_that_names_the_line(
    root, table, first, end, new, message
):
    lines = (root / table).read_text().splitlines()
    lines[first:end] = new
    (root / table).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        CelebA(root, split="all")


@pytest.mark.parametrize("write", [files.write_folder, files.write_zip])
@pytest.mark.parametrize("reason", SPOILT)
def test_an_unreadable_picture_is_an_error_that_names_it(root, write, reason):
    write(root, PICTURES | {"000010.jpg": SPOILT[reason]})
    with pytest.raises(ValueError, match=rf"1 of 40 pictures .*'000010\.jpg': .*{reason}"):
        CelebA(root, split="all")
    assert not any((root / "celeba-64").iterdir())
    write(root, PICTURES)
    assert len(CelebA(root, split="all")) == N


def test_a_picture_that_is_not_there_is_named(root):
    (root / FOLDER / "000007.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of the 40 pictures .* 000007\.jpg"):
        CelebA(root, split="all")


def test_members_of_a_zip_that_lead_elsewhere_are_not_read_and_encrypted_ones_named(root):
    outside = {"../outside.jpg": b"x", str(root.parent / "outside.jpg"): b"x"}
    files.write_zip(root, {f"{FOLDER}/{k}": v for k, v in PICTURES.items()} | outside, "")
    assert len(CelebA(root, split="all")) == N and not list(root.parent.rglob("outside.jpg"))
    data = bytearray((root / f"{FOLDER}.zip").read_bytes())
    data[data.rindex(b"PK\1\2", 0, data.rindex(b"000010.jpg")) + 8] |= 1
    (root / f"{FOLDER}.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"1 of 40 .*000010\.jpg.*encrypted"):
        CelebA(root, split="all")


def test_the_file_is_made_once_and_anew_if_damaged_or_for_other_pictures(root, monkeypatch):
    decoded, face = [], celeba._face
    monkeypatch.setattr(celeba, "_face", lambda data: decoded.append(1) or face(data))
    first, _ = CelebA(root, split="all"), CelebA(root, "beard", "test")
    (path,), maps = root.glob("celeba-64/*"), Path("/proc/self/maps")
    assert len(decoded) == N and (not maps.exists() or str(path) in maps.read_text())
    before, first.images[0] = first.images.clone(), 0
    assert np.load(path)[0].any()  # writing to the mapped pictures does not change the file
    os.truncate(path, path.stat().st_size // 2)
    assert torch.equal(CelebA(root, split="all").images, before) and len(decoded) == 2 * N
    other = files.jpeg(files.labels_of(1)[0], 99)
    (root / FOLDER / "000004.jpg").unlink()
    (root / FOLDER / "000004.jpg").write_bytes(other)
    assert shows(CelebA(root, split="all").images[3], other) and len(decoded) == 3 * N


def test_a_root_that_is_not_writable_falls_back_to_the_users_caches(root, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert len(CelebA(root, split="all")) == len(CelebA(root, split="all")) == N
    assert any(root.parent.glob("caufvae_lite/*/*.npy")) and not any(root.glob("celeba-64*"))


@pytest.mark.parametrize("status", [0, -signal.SIGKILL])
def test_another_process_that_builds_or_is_killed_does_no_harm(root, monkeypatch, status):
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(root)])
    while not list(root.glob("celeba-64/*.partial")):
        assert process.poll() is None
        time.sleep(0.01)
    if status:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(root.glob("celeba-64/*.npy"))
        monkeypatch.setattr(celeba, "ABANDONED", 0)
    before = CelebA(root, split="all").images.clone()
    assert process.wait(60) == status and torch.equal(CelebA(root, split="all").images, before)
    assert all(map(shows, before, PICTURES.values()))
    assert [p.suffix for p in root.glob("celeba-64/*")] == [".npy"]
