"""What a student's process may use, and the walls around it where the system has them.

Limits of time, memory, files and processes hold on Linux and mostly on macOS. Where Linux
allows it, the process also gets no network, sees no other process, and belongs to nobody. This
keeps an unlucky or a mischievous submission from harming the others; it is no prison for
somebody who attacks the kernel. Whoever fears that grades in a container (docs/course.md).
"""

from __future__ import annotations

import ctypes
import os
import resource
from dataclasses import asdict, dataclass
from pathlib import Path

NEWNS, NEWUSER, NEWPID, NEWNET, NEWIPC = 0x20000, 0x10000000, 0x20000000, 0x40000000, 0x8000000
PRIVATE, RECURSIVE, BIND = 1 << 18, 1 << 14, 1 << 12
MOUNT_SETATTR, READ_ONLY, WITH_ALL_BELOW = 442, 1, 0x8000
DUMPABLE, SUBREAPER = 4, 36  # prctl's names for them
KEEP_CAPABILITIES, CAPABILITY_VERSION, READ_ANY = 8, 0x20080522, 1 << 2
MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Seconds of wall time for a cell and a call, of CPU for all; MB; numbers."""

    cell_seconds: float = 30.0
    call_seconds: float = 10.0
    cpu_seconds: int = 180
    memory_mb: int = 1500
    file_mb: int = 16
    processes: int = 24
    restarts: int = 6

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    if hasattr(_libc(), "prctl"):
        _libc().prctl(option, value, 0, 0, 0)


def wall_in() -> list[str]:
    """Leave the shared namespaces; what could be left. Children get the new process list."""
    libc = _libc()
    if not hasattr(libc, "unshare"):
        return []
    root = os.geteuid() == 0
    prctl(DUMPABLE, 1)  # or /proc/self belongs to root, and the maps cannot be written
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEWNET | NEWPID | NEWNS | NEWIPC | (0 if root else NEWUSER)) != 0:
        return []
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return ["network", "processes"]


def wall_off_files(folder: Path) -> list[str]:
    """A /proc of its own, and every file but those in ``folder`` read-only; what succeeded.

    Other processes' command lines are none of a student's business, and without the second
    wall a submission could rewrite the grader's files, for whoever is graded next.
    """
    libc = _libc()
    place = os.fsencode(folder)
    if libc.mount(b"none", b"/", None, PRIVATE | RECURSIVE, None) != 0:
        return []  # what is done to shared mounts is done to everybody's
    libc.mount(b"proc", b"/proc", b"proc", 0, None)
    if libc.mount(place, place, None, BIND, None) != 0:
        return []

    def attributes(where: bytes, on: int, off: int, how: int) -> int:
        words = (ctypes.c_uint64 * 4)(on, off, 0, 0)
        return libc.syscall(MOUNT_SETATTR, -100, where, how, words, ctypes.sizeof(words))

    if attributes(b"/", READ_ONLY, 0, WITH_ALL_BELOW) != 0:
        return []
    attributes(place, 0, READ_ONLY, 0)
    return ["files"]


def become_nobody(folder: Path) -> bool:
    """For root only: a user of this process's own, whose processes can be counted.

    Where Python or the package lie in a folder that only root may enter, the process keeps the
    right to read files, and no other of root's.
    """
    if os.geteuid() != 0:
        return False
    places = [Path(__file__).resolve(), Path(os.__file__).resolve()]
    hidden = any(not way.stat().st_mode & 1 for place in places for way in place.parents)
    number = 200_000 + int.from_bytes(os.urandom(3))
    try:
        if hidden:
            prctl(KEEP_CAPABILITIES, 1)
        os.chown(folder, number, number)
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    except OSError:  # a container whose users are few
        return False
    if hidden:
        words = (ctypes.c_uint32 * 6)(READ_ANY, READ_ANY, 0, 0, 0, 0)
        _libc().capset((ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), words)
    return True


def apply(limits: Limits) -> None:
    """Set the limits of this process and of what it starts."""

    def limit(kind: int, soft: int) -> None:
        hard = resource.getrlimit(kind)[1]
        soft = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(kind, (soft, soft))

    limit(resource.RLIMIT_CPU, limits.cpu_seconds)
    limit(resource.RLIMIT_FSIZE, limits.file_mb * MEGABYTE)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, 256)
    limit(resource.RLIMIT_DATA, _data_now() + limits.memory_mb * MEGABYTE)
    if hasattr(resource, "RLIMIT_NPROC"):
        limit(resource.RLIMIT_NPROC, _threads_now() + limits.processes)


def _data_now() -> int:
    """Bytes of data that this process has already (its imports), as Linux counts them."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("VmData:")]
    return int(found[0]) * 1024 if found else 0


def _threads_now() -> int:
    """Threads of this user, which the limit on processes counts too."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid == os.getuid():
                count += len(list((entry / "task").iterdir()))
        except OSError:
            continue
    return count
