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
PICTURES = files.pictures_of(N)
TENTH = PICTURES["000010.jpg"]
SPOILT = {
    "cut short": TENTH[: len(TENTH) // 2],
    "larger than 5,000,000 bytes": TENTH + bytes(celeba.LARGEST),
    "64 × 64": files.jpeg(files.labels_of(1)[0], 0, size=(64, 64)),
}
MALFORMED = (
    (ATTR, 31, [], "line 1 should be the number of pictures .* 119, and is '120'"),
    (ATTR, 31, ["000030.jpg -1 1"], "line 32: expected .* 40 of -1, 1; found '000030"),
    (PART, 4, ["../../000005.jpg 0"], "line 5: expected"),
    (PART, 4, ["000004.jpg 0"], "line 5: expected the name of one more picture"),
    (PART, 4, [], "Only one of .* lists 000005.jpg"),
)
SLOW = """
import sys, time; from caufvae_lite.datasets import celeba
face, celeba.CHUNK = celeba._face, 4
celeba._face = lambda *args: time.sleep(0.02) or face(*args)
celeba.CelebA(sys.argv[1], split="all", workers=1, progress=False)
"""


@pytest.fixture
def root(tmp_path):
    files.write_tables(tmp_path / "celeba", N)
    files.write_folder(tmp_path / "celeba", PICTURES)
    return tmp_path / "celeba"


def open_(root, task="smile", split="all", **options):
    return CelebA(root, task, split, progress=False, **options)


def shows(image, data):
    """Whether it is the 128 × 128 in the middle of a JPEG, mean of 2 × 2, rounded."""
    centre = np.asarray(Image.open(io.BytesIO(data))).astype(float)[45:173, 25:153]
    means = np.floor(centre.reshape(64, 2, 64, 2, 3).mean((1, 3)) + 0.5)
    return np.array_equal(image.numpy(), means.transpose(2, 0, 1))


def test_graphs_of_the_tasks_use_official_attributes_and_a_graph_of_ones_own_must(root):
    assert [len(TASKS[name].edges) for name in ("smile", "attractive", "beard")] == [5, 6, 4]
    for graph in (*TASKS.values(), CausalGraph(["Young", "Gray_Hair"])):
        assert np.array_equal(open_(root, graph).factors, files.labels_of(N, graph.nodes))
    with pytest.raises(ValueError, match="line 2: no attribute Beard among the 40"):
        open_(root, CausalGraph(["Beard"]))
    for wrong in ({"task": "hair"}, {"split": "dev"}, {"workers": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            open_(root, **wrong)


@pytest.mark.parametrize("number, split", list(enumerate(celeba.PARTITIONS)))
def test_a_split_has_its_rows_even_if_the_table_is_out_of_order(root, number, split):
    files.write_tables(root, N, partition=np.arange(N) % 3)
    data, wanted = open_(root, split=split), slice(number, N, 3)
    assert data.names == tuple(files.names_of(N)[wanted])
    assert np.array_equal(data.factors, files.labels_of(N, data.graph.nodes)[wanted])
    assert all(shows(data.images[k], PICTURES[name]) for k, name in enumerate(data.names))
    assert set(data.kinds.values()) == {"binary"}


@pytest.mark.parametrize("inside", ["", f"{FOLDER}/"])
def test_official_and_kaggles_layouts_give_the_same_and_no_zip_is_unpacked(root, inside):
    wanted = open_(root)
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
    found = open_(root, cache=root / "other", workers=3)
    assert torch.equal(found.images, wanted.images) and found.names == wanted.names
    assert torch.equal(found.factors, wanted.factors) and not list(root.rglob("*.jpg"))


def test_what_is_missing_or_no_zip_is_named_with_the_layout_the_address_and_the_terms(root):
    files.write_zip(root, PICTURES, "elsewhere/")
    with pytest.raises(FileNotFoundError, match=r"120 of the 120 .*begins with 'elsewhere/"):
        open_(root)
    (root / f"{FOLDER}.zip").write_bytes(b"<html>Quota exceeded</html>")
    with pytest.raises(ValueError, match=r"beginning with b'<html>.*is no whole zip file"):
        open_(root)
    (root / PART).unlink()
    with pytest.raises(FileNotFoundError, match=rf"(?s)Missing: {PART}\..*mmlab.*non-comm"):
        open_(root)


@pytest.mark.parametrize("table, line, new, message", MALFORMED)
def test_a_malformed_table_is_an_error_that_names_the_line(root, table, line, new, message):
    lines = (root / table).read_text().splitlines()
    lines[line : line + 1] = new
    (root / table).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        open_(root)


@pytest.mark.parametrize("write", [files.write_folder, files.write_zip])
@pytest.mark.parametrize("reason", SPOILT)
def test_one_unreadable_is_left_out_and_two_are_an_error(root, monkeypatch, write, reason):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # Pillow at its most lenient
    spoilt = PICTURES | {"000010.jpg": SPOILT[reason]}
    write(root, spoilt)
    with pytest.warns(UserWarning, match=rf"1 of 120 pictures .*000010\.jpg.*{reason}"):
        open_(root)
    warnings.simplefilter("error")  # it is said once, when the file is made
    data = open_(root)
    assert data.skipped[0][0] == "000010.jpg" and len(data) == N - 1
    assert shows(data.images[9], PICTURES["000011.jpg"])
    write(root, spoilt | {"000120.jpg": b""})
    with pytest.raises(ValueError, match=r"2 of 120 .*Download or unpack"):
        open_(root)
    assert len(list((root / "celeba-64").iterdir())) == 2  # the whole file of the first round


def test_members_of_a_zip_that_lead_elsewhere_or_are_encrypted_are_not_read(root):
    outside = {"../outside.jpg": b"x", str(root.parent / "outside.jpg"): b"x"}
    files.write_zip(root, {f"{FOLDER}/{k}": v for k, v in PICTURES.items()} | outside, "")
    data = bytearray((root / f"{FOLDER}.zip").read_bytes())
    data[data.rindex(b"PK\1\2", 0, data.rindex(b"000010.jpg")) + 8] |= 1
    (root / f"{FOLDER}.zip").write_bytes(data)
    with pytest.warns(UserWarning, match=r"1 of 120 .*000010\.jpg.*encrypted"):
        assert len(open_(root)) == N - 1 and not list(root.parent.rglob("outside.jpg"))


def test_the_file_is_made_once_and_anew_if_damaged_or_for_other_pictures(root, monkeypatch):
    decoded, face = [], celeba._face
    monkeypatch.setattr(celeba, "_face", lambda *args: decoded.append(1) or face(*args))
    first, _ = open_(root), open_(root, "beard", "test")
    (path,), maps = root.glob("celeba-64/*.npy"), Path("/proc/self/maps")
    assert len(decoded) == N and (not maps.exists() or str(path) in maps.read_text())
    before, first.images[0] = first.images.clone(), 0
    assert np.load(path)[0].any()  # writing to the mapped pictures does not change the file
    for damaged in (path, path.with_suffix(".json")):
        os.truncate(damaged, damaged.stat().st_size // 2)
        with pytest.warns(UserWarning, match=r"is damaged .* and is made anew"):
            assert torch.equal(open_(root).images, before)
    other = files.jpeg(files.labels_of(1)[0], 99)
    (root / FOLDER / "000004.jpg").write_bytes(other)
    assert shows(open_(root).images[3], other)
    monkeypatch.setattr(celeba, "BOX", (24, 45, 152, 173))
    assert not torch.equal(open_(root).images, first.images) and len(decoded) == 5 * N


def test_a_root_that_is_not_writable_falls_back_to_the_users_caches(root, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert len(open_(root)) == len(open_(root)) == N
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
    before = open_(root).images.clone()
    assert process.wait(60) == status and torch.equal(open_(root).images, before)
    assert sorted(p.suffix for p in root.glob("celeba-64/*")) == [".json", ".npy"]
