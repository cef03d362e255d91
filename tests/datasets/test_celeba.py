"""The reader's own copy of CelebA: the tables, the pictures, and the file made of them."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import celeba_files as files
import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from caufvae_lite import CauFVAE, CausalGraph, fit
from caufvae_lite.datasets import celeba, image_cache, picture_files
from caufvae_lite.datasets.celeba import TASKS, CelebA

N = 60
SMILE = ["Smiling", "Male", "High_Cheekbones", "Mouth_Slightly_Open", "Narrow_Eyes", "Chubby"]


@pytest.fixture(scope="session")
def pictures():
    return files.pictures_of(N)


@pytest.fixture(scope="session")
def original(tmp_path_factory, pictures):
    """The data set in a folder; not to be written to."""
    root = tmp_path_factory.mktemp("celeba")
    files.write_tables(root, N)
    files.write_folder(root, pictures)
    return root


@pytest.fixture
def root(tmp_path, original):
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(original, tmp_path / "celeba"))


@pytest.fixture
def zipped(tmp_path, pictures):
    root = tmp_path / "zipped"
    files.write_tables(root, N)
    files.write_zip(root, pictures)
    return root


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(image_cache, "CHUNK", 8)


def open_(root, task="smile", split="all", **options):
    return CelebA(root, task, split, progress=False, **options)


def count_faces(monkeypatch):
    """A list that grows by one for every picture that is decoded from now on."""
    decoded, face = [], celeba.face
    monkeypatch.setattr(celeba, "face", lambda data: decoded.append(1) or face(data))
    return decoded


def expected_pixels(data):
    """``(3, 64, 64)`` by NumPy alone: the 128 × 128 in the middle, mean of 2 × 2, rounded."""
    full = np.asarray(Image.open(io.BytesIO(data))).astype(float)
    height, width, _ = full.shape
    top, left = (height - 128) // 2, (width - 128) // 2
    centre = full[top : top + 128, left : left + 128]
    return np.floor(centre.reshape(64, 2, 64, 2, 3).mean((1, 3)) + 0.5).transpose(2, 0, 1)


def edit(path, change):
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{line}\n" for line in lines))


# ------------------------------------------------------------------------ what it holds


def test_pictures_are_the_centre_halved(original, pictures, tmp_path):
    data = open_(original, cache=tmp_path)
    assert data.images.shape == (N, 3, 64, 64) and data.images.dtype == torch.uint8
    for row, name in enumerate(data.names):
        assert np.array_equal(data.images[row].numpy(), expected_pixels(pictures[name]))


def test_folder_and_zip_give_the_same_pictures(original, zipped, tmp_path):
    folder = open_(original, cache=tmp_path)
    packed = open_(zipped)
    assert torch.equal(folder.images, packed.images)
    assert torch.equal(folder.factors, packed.factors)
    assert not list(zipped.rglob("*.jpg"))  # nothing was unpacked


def test_labels_are_the_tables_and_binary(original, tmp_path):
    data = open_(original, cache=tmp_path)
    assert list(data.graph.nodes) == SMILE
    columns = [files.ATTRIBUTES.index(name) for name in SMILE]
    assert np.array_equal(data.factors.numpy(), files.labels_of(N)[:, columns])
    assert set(data.kinds.values()) == {"binary"} and set(data.kinds) == set(SMILE)


@pytest.mark.parametrize(
    "task, causes",
    [
        (
            "smile",
            {
                "High_Cheekbones": {"Smiling"},
                "Mouth_Slightly_Open": {"Smiling"},
                "Narrow_Eyes": {"Smiling", "Male"},
                "Chubby": {"Smiling"},
            },
        ),
        (
            "attractive",
            {
                "Receding_Hairline": {"Young", "Male"},
                "Heavy_Makeup": {"Young", "Male"},
                "Chubby": {"Young"},
                "Bags_Under_Eyes": {"Young"},
            },
        ),
        ("beard", {"Bald": {"Young", "Male"}, "No_Beard": {"Young", "Male"}}),
    ],
)
def test_graphs_of_the_tasks(task, causes):
    graph = TASKS[task]
    assert {n: set(graph.parents(n)) for n in graph.nodes if graph.parents(n)} == causes
    assert set(graph.nodes) <= set(files.ATTRIBUTES)


def test_a_graph_of_ones_own(original, tmp_path):
    graph = CausalGraph(["Young", "Gray_Hair"], [("Young", "Gray_Hair")])
    data = open_(original, graph, cache=tmp_path)
    columns = [files.ATTRIBUTES.index(name) for name in graph.nodes]
    assert np.array_equal(data.factors.numpy(), files.labels_of(N)[:, columns])
    with pytest.raises(ValueError, match=r"line 2: no attribute Beard among the 40"):
        open_(original, CausalGraph(["Beard"]), cache=tmp_path)


def test_official_partition(original, tmp_path):
    whole = open_(original, cache=tmp_path)
    parts = [open_(original, split=s, cache=tmp_path) for s in ("train", "valid", "test")]
    assert [len(p) for p in parts] == [36, 12, 12]
    assert torch.equal(torch.cat([p.images for p in parts]), whole.images)
    assert torch.equal(torch.cat([p.factors for p in parts]), whole.factors)
    assert sum((p.names for p in parts), ()) == whole.names == tuple(files.names_of(N))
    assert "train" in repr(parts[0]) and "36 images" in repr(parts[0])


def test_a_partition_out_of_order_still_makes_slices(root, pictures):
    scattered = np.arange(N) % 3
    files.write_tables(root, N, partition=scattered)
    for number, split in enumerate(("train", "valid", "test")):
        data = open_(root, split=split)
        wanted = np.flatnonzero(scattered == number)
        assert data.names == tuple(files.names_of(N)[k] for k in wanted)
        smiling = files.labels_of(N)[wanted, files.ATTRIBUTES.index("Smiling")]
        assert np.array_equal(data.factors[:, 0].numpy(), smiling)
        for row, name in enumerate(data.names):
            assert np.array_equal(data.images[row].numpy(), expected_pixels(pictures[name]))


def test_tables_may_list_in_different_orders(root):
    before = open_(root)

    def backwards(lines):
        lines[2:] = reversed(lines[2:])

    edit(root / "list_attr_celeba.txt", backwards)
    assert torch.equal(open_(root).factors, before.factors)


def test_images_are_a_mapped_file_and_a_split_is_a_view(original, tmp_path):
    data = open_(original, split="valid", cache=tmp_path)
    assert data.images.untyped_storage().nbytes() == N * 3 * 64 * 64  # of the whole file
    assert data.images.storage_offset() == 36 * 3 * 64 * 64
    part = data.rows(slice(2, 5))
    assert part.images.data_ptr() == data.images[2].data_ptr()
    file = tmp_path / "celeba-64" / "images.u8"
    before = file.read_bytes()
    data.images[0] = 0  # neither a crash nor a spoilt file
    assert data.images[0].sum() == 0 and file.read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_the_file_is_in_the_memory_map(original, tmp_path):
    data = open_(original, cache=tmp_path)
    assert str(tmp_path / "celeba-64" / "images.u8") in Path("/proc/self/maps").read_text()
    assert len(data) == N


# --------------------------------------------------------------------------- the layouts


def test_official_download_folders(root, original, tmp_path):
    for folder, name in (
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
        ("Img", "img_align_celeba"),
    ):
        (root / folder).mkdir()
        (root / name).rename(root / folder / name)
    assert torch.equal(open_(root).images, open_(original, cache=tmp_path).images)


@pytest.mark.parametrize("nested", [True, False])
def test_kaggles_copy(root, original, tmp_path, nested):
    for name, header in (
        ("list_attr_celeba", "image_id," + ",".join(files.ATTRIBUTES)),
        ("list_eval_partition", "image_id,partition"),
    ):
        rows = (root / f"{name}.txt").read_text().splitlines()
        rows = rows[2:] if "attr" in name else rows
        text = "\r\n".join([header, *(",".join(row.split()) for row in rows)])
        (root / f"{name}.csv").write_bytes(text.encode())
        (root / f"{name}.txt").unlink()
    if nested:
        folder = (root / "img_align_celeba").rename(root / "pictures")
        (root / "img_align_celeba").mkdir()
        folder.rename(root / "img_align_celeba" / "img_align_celeba")
    found, wanted = open_(root), open_(original, cache=tmp_path)
    assert torch.equal(found.images, wanted.images)
    assert torch.equal(found.factors, wanted.factors)


@pytest.mark.parametrize("inside", ["", "img_align_celeba/img_align_celeba/"])
def test_zip_with_other_folders_inside(root, pictures, inside):
    shutil.rmtree(root / "img_align_celeba")
    files.write_zip(root, pictures, "img_align_celeba/" if inside else "elsewhere/")
    if inside:
        files.write_zip(root, pictures, inside)
        assert len(open_(root)) == N
    else:
        with pytest.raises(
            FileNotFoundError, match=r"60 of the 60 pictures.*begins with 'else"
        ):
            open_(root)


def test_other_files_beside_the_pictures_do_no_harm(root):
    before = open_(root)
    (root / "img_align_celeba" / "Thumbs.db").write_bytes(b"x")
    assert torch.equal(open_(root).images, before.images)


def test_what_is_missing_is_listed(tmp_path, root):
    with pytest.raises(FileNotFoundError) as error:
        CelebA(tmp_path / "nowhere", "smile")
    missing, layout = str(error.value).split("It should look like this")
    for name in ("img_align_celeba.zip", "list_attr_celeba.txt", "list_eval_partition.txt"):
        assert name in missing and name in layout
    assert "no such folder" in missing
    assert "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html" in layout
    assert "non-commercial" in layout and "not asked" in layout
    (root / "list_eval_partition.txt").unlink()
    with pytest.raises(FileNotFoundError) as error:
        open_(root)
    missing = str(error.value).split("It should look like this")[0]
    assert "list_eval_partition.txt" in missing
    assert "img_align" not in missing and "list_attr" not in missing


def test_missing_pictures_are_listed(root, pictures):
    for name in ("000007.jpg", "000042.jpg"):
        (root / "img_align_celeba" / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of the 60 .*: 000007.jpg, 000042.jpg\."):
        open_(root)
    files.write_zip(root, {k: v for k, v in pictures.items() if k != "000003.jpg"})
    with pytest.raises(FileNotFoundError, match=r"1 of the 60 .*000003.jpg"):
        open_(root)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"task": "hair"}, "task must be one of"),
        ({"split": "dev"}, "split must be one of"),
        ({"workers": 0}, "workers must be 1 or more"),
    ],
)
def test_unknown_arguments(original, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        open_(original, cache=tmp_path, **options)


def test_an_empty_part_is_an_error(root):
    files.write_tables(root, N, partition=np.zeros(N, int))
    with pytest.raises(ValueError, match="puts no picture into 'test'"):
        open_(root, split="test")


# ---------------------------------------------------------------------------- the tables

ATTR, PART = "list_attr_celeba.txt", "list_eval_partition.txt"


def cut_in_half(lines):
    lines[31:] = [lines[31][:40]]


@pytest.mark.parametrize(
    "table, change, message",
    [
        (ATTR, cut_in_half, r"attr_celeba.txt, line 32: expected a name .* found '0000"),
        (ATTR, lambda rows: rows.__delitem__(slice(32, None)), "announces 60 .* and 30 follow"),
        (
            ATTR,
            lambda rows: rows.append("000061.jpg" + " 1" * 40),
            "announces 60 .* and 61 fol",
        ),
        (
            ATTR,
            lambda rows: rows.__setitem__(0, "<!DOCTYPE html>"),
            r"line 1: expected the num",
        ),
        (ATTR, lambda rows: rows.pop(0), r"line 1: expected the number of pictures"),
        (ATTR, lambda rows: rows.pop(1), r"line 2: no attribute Smiling, Male"),
        (
            ATTR,
            lambda rows: rows.__setitem__(1, rows[1].replace("Chubby", "Cubby")),
            r"line 2: no attribute Chubby among the 40",
        ),
        (ATTR, lambda rows: rows.__setitem__(9, "000008.jpg" + " 0" * 40), "line 10: expected"),
        (ATTR, lambda rows: rows.__setitem__(9, "000008.jpg" + " 1" * 39), "line 10: expected"),
        (ATTR, lambda rows: rows.insert(9, ""), "line 10: expected .* found ''"),
        (ATTR, lambda rows: rows.__setitem__(9, rows[8]), "lists 000007.jpg 2 times"),
        (ATTR, lambda rows: rows.clear(), "is empty"),
        (PART, lambda rows: rows.clear(), "is empty"),
        (PART, lambda rows: rows.__setitem__(4, "000005.jpg 3"), "line 5: expected .* 0, 1, 2"),
        (PART, lambda rows: rows.__setitem__(4, "000005.jpg"), "line 5: expected"),
        (PART, lambda rows: rows.__setitem__(4, "../../000005.jpg 0"), "line 5: expected"),
        (PART, lambda rows: rows.__setitem__(4, "000004.jpg 0"), "lists 000004.jpg 2 times"),
        (PART, lambda rows: rows.pop(4), "attr_celeba.txt lists 1 pictures that .*000005.jpg"),
        (PART, lambda rows: rows.__setitem__(4, "000099.jpg 0"), "such as 000099.jpg"),
    ],
)
def test_malformed_tables(root, table, change, message):
    edit(root / table, change)
    with pytest.raises(ValueError, match=message):
        open_(root)
    assert not (root / "celeba-64").exists()


def test_windows_line_ends_and_a_byte_order_mark(root):
    before = open_(root)
    for table in (ATTR, PART):
        text = (root / table).read_text().replace("\n", "\r\n")
        (root / table).write_bytes(b"\xef\xbb\xbf" + text.encode())
    after = open_(root)
    assert torch.equal(after.factors, before.factors) and after.names == before.names


# -------------------------------------------------------------- pictures that are not right


def spoil(pictures, kind):
    data = bytearray(pictures["000001.jpg"])
    if kind == "truncated":
        return bytes(data[: len(data) // 2])
    if kind == "small":
        return files.jpeg(files.labels_of(1)[0], 0, size=(64, 64))
    if kind == "grey":
        return files.jpeg(files.labels_of(1)[0], 0, mode="L")
    if kind == "png":
        file = io.BytesIO()
        Image.new("RGB", files.SIZE).save(file, "PNG")
        return file.getvalue()
    if kind == "huge":  # as many pixels as a JPEG can claim
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
        return bytes(data)
    return {"empty": b"", "noise": bytes(range(256)) * 20}[kind]


@pytest.fixture
def many(tmp_path, pictures):
    """240 pictures in a folder, of which 2 may be unreadable: 1 % is 2.4."""
    root = tmp_path / "many"
    files.write_tables(root, 240)
    everyone = {
        n: pictures[files.names_of(N)[k % N]] for k, n in enumerate(files.names_of(240))
    }
    files.write_folder(root, everyone)
    return root


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("truncated", "cut short"),
        ("small", "64 × 64"),
        ("grey", " L, not"),
        ("png", "no readable JPEG"),
        ("huge", "no readable JPEG"),
        ("empty", "no readable JPEG"),
        ("noise", "no readable JPEG"),
    ],
)
def test_an_unreadable_picture_is_named(pictures, kind, reason):
    with pytest.raises(picture_files.Unreadable, match=reason):
        celeba.face(spoil(pictures, kind))


def test_a_truncated_picture_is_seen_even_by_a_lenient_pillow(pictures, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(picture_files.Unreadable, match="cut short"):
        celeba.face(spoil(pictures, "truncated"))


def test_too_little_memory_is_not_an_unreadable_picture(pictures, monkeypatch):
    def full(*args, **options):
        raise MemoryError

    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(MemoryError):
        celeba.face(pictures["000001.jpg"])


def test_unreadable_pictures_are_left_out_and_reported(many, pictures):
    for name, kind in (("000010.jpg", "truncated"), ("000150.jpg", "small")):
        (many / "img_align_celeba" / name).write_bytes(spoil(pictures, kind))
    with pytest.warns(UserWarning, match=r"2 of 240 pictures .*000010.jpg: .*see .skipped"):
        data = open_(many)
    assert [name for name, _ in data.skipped] == ["000010.jpg", "000150.jpg"]
    assert "64 × 64" in dict(data.skipped)["000150.jpg"]
    assert "2 unreadable left out" in repr(data)
    kept = [k for k in range(240) if k not in (9, 149)]
    assert data.names == tuple(files.names_of(240)[k] for k in kept)
    columns = [files.ATTRIBUTES.index(name) for name in SMILE]
    assert np.array_equal(data.factors.numpy(), files.labels_of(240)[kept][:, columns])
    for row in (8, 9, 147, 148, 237):
        original = pictures[files.names_of(N)[kept[row] % N]]
        assert np.array_equal(data.images[row].numpy(), expected_pixels(original))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once, when the file was made, and kept
        parts = [open_(many, split=s) for s in ("train", "valid", "test")]
    assert [len(p) for p in parts] == [143, 47, 48]
    assert torch.equal(torch.cat([p.images for p in parts]), data.images)
    assert parts[2].skipped == data.skipped


def test_many_unreadable_pictures_are_an_error(many, pictures):
    for name in ("000010.jpg", "000011.jpg", "000240.jpg"):
        (many / "img_align_celeba" / name).write_bytes(spoil(pictures, "truncated"))
    with pytest.raises(ValueError, match=r"3 of the first 240 .*000010.jpg: .*more than 1%"):
        open_(many)
    assert [p.name for p in many.glob("celeba-64*")] == ["celeba-64.lock"]
    for name in ("000010.jpg", "000011.jpg", "000240.jpg"):
        (many / "img_align_celeba" / name).write_bytes(pictures["000001.jpg"])
    assert len(open_(many)) == 240


def test_a_disk_that_fails_is_not_an_unreadable_picture(root, monkeypatch):
    def broken(self, name):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(picture_files.PictureFolder, "_read", broken)
    with pytest.raises(OSError, match="Input/output error"):
        open_(root)
    monkeypatch.undo()
    assert open_(root).skipped == ()


def test_a_picture_that_is_too_large_to_be_one(many):
    with (many / "img_align_celeba" / "000010.jpg").open("ab") as file:
        file.truncate(picture_files.LARGEST + 1)
    with pytest.warns(UserWarning, match="larger than 5,000,000 bytes"):
        assert len(open_(many)) == 239


# ------------------------------------------------------------------- zips that are not right


def member(name, data=b"", **fields):
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def patch_directory(path, name, offset, value):
    """Overwrite bytes of the entry for ``name`` in the zip's directory."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    data[at + offset : at + offset + len(value)] = value
    path.write_bytes(data)


@pytest.mark.parametrize(
    "extra, message",
    [
        (member("../outside.jpg"), "leads out of the folder"),
        (member("img_align_celeba/../../outside.jpg"), "leads out of the folder"),
        (member("/etc/outside.jpg"), "leads out of the folder"),
        (member("img_align_celeba\\..\\outside.jpg"), "leads out of the folder"),
        (member("C:outside.jpg"), "leads out of the folder"),
        (member("link.jpg", b"/etc/passwd", external_attr=0o120777 << 16), "symbolic link"),
        (member("img_align_celeba/000003.jpg", b"other"), "is there twice"),
        (member("large.jpg", bytes(6_000_000)), "unpacks to 6,000,000 bytes"),
        (
            member("bomb.jpg", bytes(4_000_000), compress_type=zipfile.ZIP_DEFLATED),
            "as a zip bomb does",
        ),
        (
            member("old.jpg", b"x" * 99, compress_type=zipfile.ZIP_LZMA),
            "packed by method 14",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_that_are_refused(zipped, extra, message):
    with zipfile.ZipFile(zipped / "img_align_celeba.zip", "a") as archive:
        archive.writestr(*extra)
    with pytest.raises(ValueError, match=f"(?s)is refused, since its member .*{message}"):
        open_(zipped)
    assert not list(zipped.parent.rglob("outside.jpg"))


def test_an_encrypted_zip_is_refused(zipped):
    patch_directory(zipped / "img_align_celeba.zip", "000005.jpg", 8, b"\x01\x00")
    with pytest.raises(ValueError, match=r"000005.jpg' is encrypted"):
        open_(zipped)


def test_a_member_that_lies_about_its_size_is_read_no_further(tmp_path):
    """The directory says 1,000 bytes; what is packed there would unpack to 50 million."""
    path = tmp_path / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("000001.jpg", bytes(50_000_000))
    patch_directory(path, "000001.jpg", 24, (1000).to_bytes(4, "little"))
    read = picture_files.PictureZip(path).reader(["000001.jpg"])
    with pytest.raises(picture_files.Unreadable, match="damaged in the zip"):
        read("000001.jpg")


def test_a_download_that_is_no_zip(zipped):
    path = zipped / "img_align_celeba.zip"
    path.write_bytes(b"<html>Google Drive - Quota exceeded</html>")
    with pytest.raises(ValueError, match=r"42 bytes, beginning with b'<html>.*not a whole zip"):
        open_(zipped)


def test_a_download_that_was_cut_short(zipped):
    path = zipped / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="not a whole zip file"):
        open_(zipped)


def test_a_flipped_byte_in_a_member_is_seen(many, pictures):
    shutil.rmtree(many / "img_align_celeba")
    everyone = {
        n: pictures[files.names_of(N)[k % N]] for k, n in enumerate(files.names_of(240))
    }
    path = files.write_zip(many, everyone)
    data = bytearray(path.read_bytes())
    at = data.index(b"img_align_celeba/000010.jpg") + 2000
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.warns(UserWarning, match=r"000010.jpg: damaged in the zip"):
        assert len(open_(many)) == 239


def test_random_damage_to_a_zip_is_an_error_or_a_skip(tmp_path, pictures):
    path = files.write_zip(tmp_path, {n: pictures[n] for n in files.names_of(3)}, "in/")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for trial in range(300):
        data = bytearray(whole)
        low = len(data) - 400 if trial % 2 else 0  # the directory is at the end
        for at in rng.integers(low, len(data), 3):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            read = picture_files.PictureZip(path, ["in/"]).reader(files.names_of(3))
        except (ValueError, FileNotFoundError):
            outcomes.add("error")
            continue
        for name in files.names_of(3):
            try:
                assert read(name) == pictures[name]
                outcomes.add("read")
            except picture_files.Unreadable:
                outcomes.add("skip")
    assert outcomes == {"error", "read", "skip"}


# --------------------------------------------------------------------------- the file


def cache_bytes(root):
    return (root / "celeba-64" / "images.u8").read_bytes()


def test_the_file_is_made_once(root, monkeypatch):
    decoded = count_faces(monkeypatch)
    first = open_(root, split="train")
    assert len(decoded) == N
    second = open_(root, "beard", "test")
    assert len(decoded) == N
    assert len(first) + len(second) == 48
    left = sorted(p.name for p in (root / "celeba-64").iterdir())
    assert left == ["about.json", "images.u8"]


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_number_of_workers_changes_no_byte(root, original, tmp_path, workers):
    open_(original, cache=tmp_path, workers=3)
    open_(root, workers=workers)
    assert cache_bytes(root) == (tmp_path / "celeba-64" / "images.u8").read_bytes()


def test_the_workers_work_at_the_same_time(root, monkeypatch):
    """Two pictures that each wait until the other is being made."""
    from threading import Barrier

    meeting, face = Barrier(2, timeout=20), celeba.face
    calls = iter(range(N))

    def meet(data):
        if next(calls) < 2:
            meeting.wait()
        return face(data)

    monkeypatch.setattr(celeba, "face", meet)
    assert len(open_(root, workers=2)) == N


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "images.u8", 100_000),
        lambda folder: (folder / "images.u8").write_bytes(bytes(N * 3 * 64 * 64)),
        lambda folder: (folder / "images.u8").unlink(),
        lambda folder: (folder / "about.json").unlink(),
        lambda folder: (folder / "about.json").write_text('{"chunks": ['),
        lambda folder: (folder / "about.json").write_text("[]"),
        lambda folder: (folder / "about.json").write_text('{"chunks": 3, "version": 1}'),
        lambda folder: (folder / "about.json").write_bytes(b"\xff\xfe\x00"),
    ],
)
def test_a_damaged_file_is_made_anew(root, damage):
    open_(root)
    before = cache_bytes(root)
    damage(root / "celeba-64")
    with pytest.warns(UserWarning, match="is damaged .* and is made anew"):
        data = open_(root)
    assert cache_bytes(root) == before == data.images.numpy().tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_(root)


def test_one_altered_byte_is_seen(root):
    open_(root)
    before = cache_bytes(root)
    with (root / "celeba-64" / "images.u8").open("r+b") as file:
        file.seek(len(before) // 2)
        file.write(bytes([before[len(before) // 2] ^ 1]))
    with pytest.warns(UserWarning, match="images.u8 is not what"):
        open_(root)
    assert cache_bytes(root) == before


def test_a_copied_file_is_compared_once_and_used(root, monkeypatch):
    open_(root)
    os.utime(root / "celeba-64" / "images.u8", ns=(1, 1))
    decoded, compared = count_faces(monkeypatch), []
    count = image_cache._count_whole
    monkeypatch.setattr(
        image_cache, "_count_whole", lambda *args: compared.append(1) or count(*args)
    )
    open_(root)
    open_(root)
    assert not decoded and len(compared) == 1


def test_other_pictures_or_another_list_make_another_file(root, pictures, monkeypatch):
    open_(root)
    decoded = count_faces(monkeypatch)
    other = files.jpeg(files.labels_of(1, seed=5)[0], 99)
    (root / "img_align_celeba" / "000004.jpg").write_bytes(other)
    data = open_(root)
    assert len(decoded) == N
    assert np.array_equal(data.images[3].numpy(), expected_pixels(other))
    files.write_tables(root, N - 10)
    assert len(open_(root)) == N - 10
    assert len(decoded) == 2 * N - 10
    assert not list(root.glob("*.old")) and not list(root.glob("*.partial"))


def test_fingerprints_of_zips(tmp_path):
    def fingerprint(names=("a", "b"), **members):
        with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
            for name, data in ({"a": b"xx", "b": b"yy"} | members).items():
                archive.writestr(zipfile.ZipInfo(name), data)
        return picture_files.PictureZip(tmp_path / "some.zip").fingerprint(names)

    assert fingerprint() == fingerprint()
    assert len({fingerprint(), fingerprint(("b", "a")), fingerprint(b=b"zz")}) == 3


def test_another_zip_makes_another_file(zipped, pictures):
    open_(zipped)
    other = files.jpeg(files.labels_of(1, seed=5)[0], 99)
    files.write_zip(zipped, pictures | {"000004.jpg": other})
    assert np.array_equal(open_(zipped).images[3].numpy(), expected_pixels(other))


def test_another_crop_would_make_another_file(root, monkeypatch):
    first = open_(root)
    monkeypatch.setattr(celeba, "BOX", (24, 45, 152, 173))
    assert not torch.equal(open_(root).images, first.images)


def test_an_interrupted_build_goes_on(root, original, tmp_path, monkeypatch):
    open_(original, cache=tmp_path)
    face, calls = celeba.face, []

    def interrupted(data):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return face(data)

    monkeypatch.setattr(celeba, "face", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_(root, workers=1)
    assert not (root / "celeba-64").exists() and (root / "celeba-64.partial").is_dir()
    monkeypatch.setattr(celeba, "face", face)
    decoded = count_faces(monkeypatch)
    open_(root)
    assert len(decoded) == N - 24  # three chunks of 8 were done
    assert cache_bytes(root) == (tmp_path / "celeba-64" / "images.u8").read_bytes()


def stop_after(monkeypatch, root, pictures_made):
    """Leave a partial build behind."""
    face, calls = celeba.face, []

    def failing(data):
        calls.append(1)
        if len(calls) > pictures_made:
            raise MemoryError
        return face(data)

    with monkeypatch.context() as patch:
        patch.setattr(celeba, "face", failing)
        with pytest.raises(MemoryError):
            open_(root, workers=1)


@pytest.mark.parametrize(
    "damage, redone",
    [
        (lambda partial: None, N - 32),
        (lambda partial: os.truncate(partial / "images.u8", 3 * 8 * 12_288 - 5), N - 16),
        (lambda partial: (partial / "images.u8").unlink(), N),
        (lambda partial: (partial / "journal.jsonl").unlink(), N),
        (lambda partial: os.truncate(partial / "journal.jsonl", 30), N),
        (
            lambda partial: os.truncate(
                partial / "journal.jsonl", (partial / "journal.jsonl").stat().st_size - 9
            ),
            N - 24,
        ),
        (lambda partial: (partial / "images.u8").open("ab").write(b"half a chunk"), N - 32),
        (lambda partial: (partial / "journal.jsonl").write_bytes(b"\xff\n\x00"), N),
    ],
)
def test_what_a_crash_tears_is_made_again(
    root, original, tmp_path, monkeypatch, damage, redone
):
    open_(original, cache=tmp_path)
    stop_after(monkeypatch, root, 35)
    damage(root / "celeba-64.partial")
    decoded = count_faces(monkeypatch)
    open_(root)
    assert len(decoded) == redone
    assert cache_bytes(root) == (tmp_path / "celeba-64" / "images.u8").read_bytes()


def test_a_build_of_other_pictures_is_not_gone_on_with(root, monkeypatch):
    stop_after(monkeypatch, root, 35)
    other = files.jpeg(files.labels_of(1, seed=5)[0], 99)
    (root / "img_align_celeba" / "000004.jpg").write_bytes(other)
    data = open_(root)
    assert np.array_equal(data.images[3].numpy(), expected_pixels(other))


def test_a_build_killed_before_its_last_step_only_takes_that_step(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_(root)
    assert not (root / "celeba-64").exists()
    decoded = count_faces(monkeypatch)
    assert len(open_(root)) == N and not decoded


def test_too_little_room_is_said_before_it_is_needed(root, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 100_000))
    decoded = count_faces(monkeypatch)
    with pytest.raises(OSError, match=r"0\.0 GB are free.*cache="):
        open_(root)
    assert not decoded


def test_where_the_file_goes(root, tmp_path, monkeypatch):
    assert celeba.cache_folder(root) == root / "celeba-64"
    assert celeba.cache_folder(root, tmp_path / "x") == tmp_path / "x" / "celeba-64"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a folder to read only
    assert len(open_(root)) == N
    assert not list(root.glob("celeba-64*"))
    (made,) = (tmp_path / "caches" / "caufvae_lite").glob("celeba-64-*/images.u8")
    assert made.stat().st_size == N * 3 * 64 * 64
    decoded = count_faces(monkeypatch)
    assert len(open_(root)) == N and not decoded


def test_a_file_in_a_folder_to_read_only_is_used(root, monkeypatch):
    open_(root)
    (root / "celeba-64.lock").unlink(missing_ok=True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    decoded = count_faces(monkeypatch)
    assert len(open_(root)) == N and not decoded
    assert not (root / "celeba-64.lock").exists()  # nothing was written


def test_about_says_what_the_file_is(root):
    open_(root)
    about = json.loads((root / "celeba-64" / "about.json").read_text())
    assert about["version"] == 1 and about["shape"] == [3, 64, 64] and about["names"] == N
    assert sum(chunk["rows"] for chunk in about["chunks"]) == N


# -------------------------------------------------------------------- several processes

SLOW = """
import sys, time
from caufvae_lite.datasets import celeba, image_cache
image_cache.CHUNK = 8
face, log = celeba.face, open(sys.argv[2], "a")
def slow(data):
    log.write(".")
    log.flush()
    time.sleep(float(sys.argv[3]))
    return face(data)
celeba.face = slow
data = celeba.CelebA(sys.argv[1], "smile", "all", workers=1)
print(len(data), int(data.images.sum()))
"""


@pytest.fixture
def at_work(root, tmp_path):
    """Another process that makes the file slowly, and has made some of it."""
    command = [sys.executable, "-c", SLOW, str(root), str(tmp_path / "log"), "0.05"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    journal, end = root / "celeba-64.partial" / "journal.jsonl", time.monotonic() + 60
    try:
        while not (journal.exists() and len(journal.read_text().splitlines()) > 2):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_killed_build_leaves_nothing_that_loads_and_goes_on(
    at_work, root, original, tmp_path, monkeypatch
):
    at_work.send_signal(signal.SIGKILL)
    at_work.communicate()
    assert not (root / "celeba-64").exists()
    decoded = count_faces(monkeypatch)
    assert torch.equal(open_(root).images, open_(original, cache=tmp_path).images)
    assert N < len(decoded) <= 2 * N - 16  # all of one, and some of the other


def test_of_two_processes_one_makes_the_file(at_work, root, tmp_path, monkeypatch, capsys):
    decoded = count_faces(monkeypatch)
    data = CelebA(root, "smile", "all")
    assert "Another process is making" in capsys.readouterr().err
    out, _ = at_work.communicate(timeout=60)
    assert out.strip() == f"{len(data)} {int(data.images.sum())}"
    assert (tmp_path / "log").read_text() == "." * N and not decoded


# --------------------------------------------------------------------------- training


def test_a_model_trains_on_it_and_does(original, tmp_path):
    data = open_(original, split="train", cache=tmp_path)
    torch.manual_seed(0)
    model = CauFVAE(data.graph)
    history = fit(model, data, epochs=1, device="cpu", progress=False)
    assert model.binary.all()
    assert all(np.isfinite(value) for value in history.train[0].values())
    assert history.train[0]["supervision"] > 0
    assert history.train[0]["label_likelihood"] == 0  # no continuous factor
    test = open_(original, split="test", cache=tmp_path)
    smiling = model.counterfactual(test.images, {"Smiling": 1})
    assert smiling.images.shape == (12, 3, 64, 64) and torch.isfinite(smiling.images).all()
    column = smiling.factors[:, 0]
    assert torch.allclose(column, column[0].expand(12))
    assert torch.equal(
        smiling.factors[:, 1], model.factors(test.images)[:, 1]
    )  # Male: no effect
