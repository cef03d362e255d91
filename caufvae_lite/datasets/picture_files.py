"""Pictures by name, read from a folder or straight out of a zip, without unpacking it.

A reader's download is not to be trusted: it may be cut short, or be a page that says "quota
exceeded", or worse. So a zip is checked as a whole before anything is read: names that
would leave the folder, symbolic links, encryption, repeated names, or members that unpack to
far more than a picture are refused. Then every member is read by its name, up to `LARGEST`
bytes, against its own checksum. Nothing is ever written to the disk.

A file that is there but cannot be read as a picture is `Unreadable`: the caller counts and
reports it. Everything else that is wrong is an error.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import IO, Protocol

LARGEST = 5_000_000  # bytes of one picture's file
LARGEST_RATIO = 100  # unpacked to packed; JPEGs hardly shrink
DIRECTORY = 32_000_000  # bytes at a zip's end: 200,000 names, sizes and checksums fit
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE = (  # all that zipfile raises over bytes that are not as they should be
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError,
)  # fmt: skip

Reader = Callable[[str], bytes]


class Unreadable(Exception):
    """One picture that cannot be read; its text is the reason."""


class Pictures(Protocol):
    """Where pictures come from: a `PictureFolder` or a `PictureZip`."""

    path: Path

    def fingerprint(self, names: Sequence[str]) -> str:
        """A digest that changes when the pictures ``names`` do; cheap enough for any start."""

    def reader(self, names: Sequence[str]) -> Reader:
        """A function from a name to its bytes, which threads may share.

        Raises:
            FileNotFoundError: some of ``names`` are missing.
            ValueError: what is there should not be read.
        """


class PictureFolder:
    """The pictures in a folder; other files in it are left alone."""

    def __init__(self, path: Path):
        self.path = path

    def fingerprint(self, names: Sequence[str]) -> str:
        """Of names and sizes: copying the folder does not change it, a cut picture does."""
        sizes = {f.name: f.stat().st_size for f in os.scandir(self.path) if f.is_file()}
        _all_there(names, sizes, self.path)
        return digest_of("\n".join(f"{name} {sizes[name]}" for name in names).encode())

    def reader(self, names: Sequence[str]) -> Reader:
        _all_there(names, {f.name for f in os.scandir(self.path) if f.is_file()}, self.path)
        return self._read

    def _read(self, name: str) -> bytes:
        with (self.path / name).open("rb") as file:
            return _no_larger(file)


class PictureZip:
    """The pictures in a zip, below one of ``folders`` in it."""

    def __init__(self, path: Path, folders: Sequence[str] = ("",)):
        self.path = path
        self.folders = folders

    def fingerprint(self, names: Sequence[str]) -> str:
        """Of the names and the zip's end, its directory of names, sizes and checksums."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - DIRECTORY))
            return digest_of(file.read(), "\n".join((*names, str(size))).encode())

    def reader(self, names: Sequence[str]) -> Reader:
        try:
            archive = zipfile.ZipFile(self.path)
        except DAMAGE as error:
            with self.path.open("rb") as file:
                start = file.read(24)
            raise ValueError(
                f"{self.path} ({self.path.stat().st_size:,} bytes, beginning with {start!r}) "
                f"is not a whole zip file: {error}. Was the download cut short, or is it a "
                "web page that says why there is none? Download it again."
            ) from error
        size = self.path.stat().st_size
        members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            _refuse(member, members, self.path, size)
            members[member.filename] = member
        inside = next((f for f in self.folders if f + names[0] in members), self.folders[0])
        _all_there([inside + n for n in names], members, self.path)
        lock = Lock()  # zipfile counts its open members, and threads would miscount

        def read(name: str) -> bytes:
            try:
                with lock:
                    file = archive.open(members[inside + name])
                try:
                    return _no_larger(file)
                finally:
                    with lock:
                        file.close()
            except DAMAGE as error:
                raise Unreadable(f"damaged in the zip: {error}") from error

        return read


def digest_of(*parts: bytes) -> str:
    """The sha256 of ``parts`` one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _no_larger(file: IO[bytes]) -> bytes:
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Unreadable(f"larger than {LARGEST:,} bytes")
    return data


def _all_there(names: Sequence[str], there: Collection[str], path: Path) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        some = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise FileNotFoundError(
            f"{len(missing):,} of the {len(names):,} pictures that the tables list are not in "
            f"{path}: {some}. (It begins with {next(iter(there), 'nothing')!r}.) Download or "
            "copy it again; for a part of the data set, cut the tables to the pictures that "
            "you have."
        )


def _refuse(
    member: zipfile.ZipInfo, before: dict[str, zipfile.ZipInfo], path: Path, size: int
) -> None:
    """Raise if ``member`` of the zip at ``path``, of ``size`` bytes, should not be read."""
    name = member.orig_filename  # as it is written, before zipfile mends it
    unpacked, packed = member.file_size, member.compress_size
    unsafe = "\\" in name or "\0" in name or ":" in name or name.startswith("/")
    if unsafe or ".." in PurePosixPath(name).parts:
        wrong = "has a name that leads out of the folder"
    elif stat.S_ISLNK(member.external_attr >> 16):
        wrong = "is a symbolic link"
    elif member.flag_bits & 0x1:
        wrong = "is encrypted"
    elif member.compress_type not in METHODS:
        wrong = f"is packed by method {member.compress_type}, neither stored nor deflated"
    elif member.filename in before:
        wrong = "is there twice"
    elif not 0 <= member.header_offset < size:
        wrong = "is not inside the file"
    elif unpacked > LARGEST:
        wrong = f"unpacks to {unpacked:,} bytes, and no picture here has {LARGEST:,}"
    elif unpacked > LARGEST_RATIO * max(1, packed):
        wrong = f"unpacks {packed:,} bytes to {unpacked:,}, as a zip bomb does"
    else:
        return
    raise ValueError(
        f"{path} is refused, since its member {name!r} {wrong}. This is not the official file; "
        "download that one."
    )
