"""Unlucky and hostile submissions end in a grade or a message, and harm nobody else."""

import copy
import json
import os
import time
from pathlib import Path

import pytest
from course import SOURCE, made, solved, source_of, write

from caufvae_lite.check import properties, sandbox
from caufvae_lite.check.grade import Grader, grade_all
from caufvae_lite.check.limits import Limits

LIMITS = Limits(cell_seconds=2, call_seconds=2, memory_mb=600, file_mb=4, restarts=4)
STEP = source_of(solved("01"), "01-step")
BODY = "\n    return noise * torch.exp(s) + t, s.sum(1)"


@pytest.fixture(scope="module")
def grader():
    with Grader(SOURCE, seed=21, limits=LIMITS) as found:
        yield found


def attack(before="", inside="", number="01"):
    """The solutions, where exercise 01-step has something before or inside its function."""
    source = STEP.replace(BODY, f"\n    {inside}{BODY}") if inside else STEP
    return solved(number, {"01-step": f"{source}\n{before}"})


# What is tried, and whether the exercise itself may still be right afterwards.
ATTACKS = {
    "an endless loop in the cell": attack("while True: pass"),
    "an endless loop in the call": attack(inside="while True: pass"),
    "a loop that catches everything": attack(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ),
    "memory": attack("hoard = [bytearray(2**26) for _ in range(10_000)]"),
    "memory of torch": attack(inside="torch.ones(2**34)"),
    "sys.exit": attack("import sys; sys.exit(0)"),
    "os._exit": attack("import os; os._exit(0)"),
    "os._exit in the call": attack(inside="__import__('os')._exit(0)"),
    "a crash": attack("import ctypes; ctypes.string_at(0)"),
    "a fork bomb": attack("import os\nwhile True:\n    os.fork()"),
    "a fork bomb of sessions": attack(
        "import os\nfor _ in range(1000):\n    if os.fork() == 0:\n        os.setsid()"
    ),
    "kills its parents": attack(
        "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(-1, signal.SIGKILL)"
    ),
    "10 GB of output": attack("for _ in range(10_000): print('x' * 2**20)"),
    "10 GB of output, low down": attack(
        "import os\nfor _ in range(10_000): os.write(1, b'x' * 2**20)"
    ),
    "a large file": attack("open('big', 'wb').write(bytes(2**26))"),
    "writes to every descriptor": attack(
        "import os\nfor k in range(3, 60):\n    try: os.write(k, b'nonsense' * 9)\n"
        "    except OSError: pass"
    ),
    "an answer of 4 GB": attack(inside="return torch.zeros(2**29).expand(8, -1), s.sum(1)"),
    "an odd answer": attack(inside="return object(), {1: lambda: 0}"),
    "an error without words": attack(
        "class E(Exception):\n    def __str__(self): raise self\nraise E"
    ),
    "asks a question": attack("name = input('who are you?')"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_within_its_limits(grader, name, tmp_path):
    began = time.monotonic()
    found = grader.grade(write(ATTACKS[name], tmp_path / "one.ipynb"))
    assert time.monotonic() - began < 30
    assert not found.error
    verdicts = {v.id: v for v in found.verdicts}
    told = verdicts["01-step"].status != "right" or any("01-step" in m for m in found.messages)
    assert told or name in ("kills its parents", "writes to every descriptor")
    assert verdicts["01-stretch"].points and verdicts["01-score"].points, (name, found)
    following = grader.grade(write(solved("01"), tmp_path / "next.ipynb"))
    assert following.points == following.possible


def test_no_process_and_no_file_stays_behind(grader, tmp_path, monkeypatch):
    made_here = []
    real = sandbox.tempfile.mkdtemp

    def noted(**options):
        made_here.append(real(**options))
        return made_here[-1]

    monkeypatch.setattr(sandbox.tempfile, "mkdtemp", noted)
    grader.grade(write(ATTACKS["a fork bomb of sessions"], tmp_path / "one.ipynb"))
    assert made_here and not any(Path(folder).exists() for folder in made_here)
    time.sleep(0.3)
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str((entry / "cwd").readlink()).startswith(tuple(made_here)):
                left.append(entry)
        except (OSError, ValueError):
            continue
    if grader.zygote.process and found_walls(grader, tmp_path):
        assert not left


def found_walls(grader, tmp_path):
    return "processes" in grader.grade(write(solved("01"), tmp_path / "w.ipynb")).walls


SLY = {
    "patched torch.allclose": "torch.allclose = lambda *a, **k: True",
    "patched numpy": "import numpy\nnumpy.allclose = numpy.array_equal = lambda *a, **k: True",
    "replaced checks": "check = lambda *a: 99\npassed = lambda *a: True",
    "replaced judge": (
        "import caufvae_lite.check.exercise as e, caufvae_lite.check.properties as p\n"
        "p.difference = e.difference = lambda *a, **k: ''\ne.judge = None"
    ),
    "equal to everything": (
        "class Same(float):\n    def __eq__(self, other): return True\n"
        "affine_step = lambda *a: (Same(), Same())"
    ),
    "rewritten files": (
        "import caufvae_lite.check.properties as p\n"
        "open(p.__file__, 'w').write('def difference(*a, **k): return str()')"
    ),
    "asks the package for the answers": (
        "from caufvae_lite.check.tasks import exercises\n"
        "affine_step = lambda *a: exercises('01')['01-step'].reference(None, *a)"
    ),
}


@pytest.mark.parametrize("name", SLY)
def test_a_sly_submission_earns_nothing_by_it(grader, name, tmp_path):
    before = Path(properties.__file__).read_bytes()
    wrong = STEP.replace("s.sum(1)", "s.mean(1)")
    book = solved("01", {"01-step": f"{wrong}\n{SLY[name]}"})
    found = {v.id: v for v in grader.grade(write(book, tmp_path / "one.ipynb")).verdicts}
    assert found["01-step"].points == 0
    assert all(v.points == v.possible for i, v in found.items() if i != "01-step"), found
    assert Path(properties.__file__).read_bytes() == before


def changed(book, change):
    book = copy.deepcopy(book)
    return change(book) or book


def position(book, name):
    return next(k for k, c in enumerate(book["cells"]) if c["id"] == name)


def test_a_deleted_cell_is_named(grader, tmp_path):
    book = solved("01")
    del book["cells"][position(book, "01-step")]
    found = grader.grade(write(book, tmp_path / "one.ipynb"))
    assert "cell 01-step is missing" in found.messages
    assert [v.status for v in found.verdicts if not v.points] == ["missing"]
    book = solved("01")
    del book["cells"][position(book, "setup")]
    found = grader.grade(write(book, tmp_path / "one.ipynb"))
    assert "cell setup is missing" in found.messages and found.points == found.possible


def test_a_duplicated_cell_is_named_and_the_last_counts(grader, tmp_path):
    book = solved("01")
    k = position(book, "01-step")
    book["cells"].insert(k, copy.deepcopy(book["cells"][k]))
    book["cells"][k]["source"] = STEP.replace("s.sum(1)", "s.mean(1)")
    found = grader.grade(write(book, tmp_path / "one.ipynb"))
    assert "cell 01-step is there 2 times: the last one counts" in found.messages
    assert found.points == found.possible


def test_reordered_cells_are_named(grader, tmp_path):
    book = solved("01")
    book["cells"].append(book["cells"].pop(position(book, "01-undo")))
    book["cells"].append(book["cells"].pop(position(book, "setup")))
    found = grader.grade(write(book, tmp_path / "one.ipynb"))
    assert any("stands where" in m for m in found.messages)
    assert found.points == found.possible


def as_colab(book):
    """As Colab saves it: format 4.0, ids in the metadata, outputs, other keys."""
    book["nbformat_minor"] = 0
    book["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "python3"}}
    for cell in book["cells"]:
        cell["metadata"] = {"id": cell.pop("id"), "colab": {"base_uri": "https://localhost/"}}
        cell["source"] = cell["source"].splitlines(keepends=True)


def as_old_colab(book):
    """And where no id has survived: the first line of a cell tells."""
    as_colab(book)
    for k, cell in enumerate(book["cells"]):
        cell["metadata"] = {"id": f"x{k}Yz_"}


def other_kernel(book):
    book["metadata"]["kernelspec"] = {"name": "conda-env-mine-py", "display_name": "mine"}


def with_magics(book):
    cell = book["cells"][position(book, "setup")]
    cell["source"] = "%matplotlib inline\n!pip list\n" + cell["source"]
    step = book["cells"][position(book, "01-step")]
    step["source"] = "%%time\n" + step["source"]


@pytest.mark.parametrize("change", [as_colab, as_old_colab, other_kernel, with_magics])
def test_whoever_saved_it_gets_every_point(grader, change, tmp_path):
    found = grader.grade(write(changed(solved("01"), change), tmp_path / "one.ipynb"))
    assert found.points == found.possible and not found.error, found


NOT_NOTEBOOKS = {
    "empty": "",
    "text": "I did not do it, sorry.",
    "a list": "[1, 2]",
    "without cells": json.dumps({"nbformat": 3, "worksheets": []}),
    "odd cells": json.dumps({"cells": [None, 3, {"source": {"a": 1}, "metadata": []}]}),
    "nested": "[" * 100_000,
    "in R": json.dumps({"cells": [], "metadata": {"kernelspec": {"language": "R"}}}),
    "another notebook": json.dumps({"cells": [{"cell_type": "code", "source": "1"}]}),
}


@pytest.mark.parametrize("name", NOT_NOTEBOOKS)
def test_what_is_not_a_notebook_is_told(grader, name, tmp_path):
    found = grader.grade(write(NOT_NOTEBOOKS[name], tmp_path / "one.ipynb"))
    assert found.error and found.points == 0


def test_a_class_is_graded_whatever_some_of_it_do_and_at_little_cost(grader, tmp_path):
    """Thirty submissions, four of them hostile; our own share of the time is small."""
    bad = ["os._exit", "an endless loop in the cell", "a fork bomb", "kills its parents"]
    paths = []
    for k in range(30):
        number = f"0{1 + k % 7}"
        book = ATTACKS[bad[k // 8]] if k % 8 == 4 else solved(number)
        paths.append(write(book, tmp_path / f"{k:02d}.ipynb"))
    paths.append(write("nothing", tmp_path / "none.ipynb"))
    grades = grade_all(grader, paths)
    assert [bool(g.error) for g in grades] == [False] * 30 + [True]
    good = [g for k, g in enumerate(grades[:30]) if k % 8 != 4]
    assert all(g.points == g.possible for g in good)
    ours = sorted(g.seconds - g.own_seconds for g in good)
    assert ours[len(ours) // 2] < 1.5, ours


def test_there_are_walls_where_the_system_has_them(grader, tmp_path):
    """No network, and no other process to be seen; skipped where that cannot be had."""
    probe = (
        "import os, socket\n"
        "seen = [p for p in os.listdir('/proc') if p.isdigit()]\n"
        "def affine_step(noise, s, t):\n"
        "    try:\n        socket.create_connection(('127.0.0.1', PORT), 1)\n"
        "    except OSError:\n        net = 0\n    else:\n        net = 1\n"
        "    raise RuntimeError(f'net {net}, processes {len(seen)}, user {os.getuid()}')"
    )
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    probe = probe.replace("PORT", str(server.getsockname()[1]))
    book = solved("01", {"01-step": probe})
    found = grader.grade(write(book, tmp_path / "one.ipynb"))
    server.close()
    if "network" not in found.walls:
        pytest.skip("this system allows no namespaces of one's own")
    reason = next(v.reason for v in found.verdicts if v.id == "01-step")
    assert "net 0, processes 1," in reason
    assert os.geteuid() != 0 or "user 0" not in reason


def test_the_release_says_what_the_grader_expects(grader):
    assert set(made("01").by_hand) == {"01-written"}
