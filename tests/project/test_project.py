"""The project's files agree with each other."""

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import caufvae_lite as cl
import notebooks
from caufvae_lite.studies import core

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def requirements() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return {
        r
        for r in (
            *project["dependencies"],
            *extras["notebooks"],
            *extras["bench"],
            *extras["images"],
            *extras["test"],
        )
        if not r.startswith("caufvae-lite")
    }


def split(requirement: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(>=[\d.]+)", requirement).groups()
    return name, bound


def test_conda_environment_equals_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {r for r in listed if isinstance(r, str)} - {"pip"}
    conda -= {"distributed>=2024.8"}  # what dask[distributed] adds
    conda |= {r for entry in listed if isinstance(entry, dict) for r in entry["pip"]} - {"-e ."}
    wanted = {CONDA_NAMES.get(name, name) + bound for name, bound in map(split, requirements())}
    assert conda == wanted | {"python>=3.11"}


def test_constraints_pin_every_requirement():
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints" / "ci.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    pinned = {name.lower() for name in pins}
    assert {split(r)[0].lower() for r in requirements()} <= pinned


def test_what_the_site_needs_is_pinned_too():
    """Of the extras docs and browser; a name's case and its _ or - do not count."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    pinned = {
        line.partition("==")[0].lower()
        for name in ("ci", "docs")
        for line in (ROOT / "constraints" / f"{name}.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    needed = {split(r)[0].lower() for extra in ("docs", "browser") for r in extras[extra]}
    assert needed <= pinned


@pytest.mark.parametrize("name", core.SHIPPED)
def test_shipped_checkpoint_loads_and_is_small(name):
    path = ROOT / "data" / "checkpoints" / f"{name}.safetensors"
    assert path.stat().st_size <= 2_000_000
    model = cl.load_pretrained(name)
    test = core.world_of(name).sample(64, seed=5)
    assert (cl.metrics.r2(test.factors, model.factors(test.images)) > 0.9).all()


def test_manifest_names_every_shipped_file():
    manifest = json.loads((ROOT / "data" / "manifest.json").read_text())
    files = [*ROOT.glob("data/checkpoints/*.safetensors"), *ROOT.glob("data/results/*.csv")]
    assert {f.relative_to(ROOT / "data").as_posix() for f in files} == set(manifest)
    for name, digest in manifest.items():
        assert hashlib.sha256((ROOT / "data" / name).read_bytes()).hexdigest() == digest


def test_pretrained_that_was_altered_is_refused(tmp_path, monkeypatch):
    from caufvae_lite import checkpoints

    (tmp_path / "checkpoints").mkdir()
    source = ROOT / "data" / "checkpoints" / "pendulum.safetensors"
    (tmp_path / "checkpoints" / "pendulum.safetensors").write_bytes(source.read_bytes() + b"x")
    (tmp_path / "manifest.json").write_text((ROOT / "data" / "manifest.json").read_text())
    monkeypatch.setattr(checkpoints, "data_folder", lambda: tmp_path)
    with pytest.raises(cl.CheckpointError, match="manifest"):
        cl.load_pretrained("pendulum")
    with pytest.raises(ValueError, match="there are"):
        cl.load_pretrained("no such model")


# ------------------------------------------------------------------------- where it opens

README = (ROOT / "README.md").read_text("utf-8")
SLUG = notebooks.current_slug()
FIFTH = "notebooks/05_interventions.ipynb"
OPENED = (
    f"https://colab.research.google.com/github/{SLUG}/blob/main/{FIFTH}",
    f"https://mybinder.org/v2/gh/{SLUG}/main?urlpath=lab/tree/{FIFTH}",
    f"https://kaggle.com/kernels/welcome?src=https://github.com/{SLUG}/blob/main/{FIFTH}",
)


def test_from_the_readme_to_a_running_05_it_is_one_click_and_run_all():
    assert (ROOT / FIFTH).is_file()
    for address in OPENED:
        assert f"]({address})" in README.partition("## The notebooks")[0]


def test_binder_installs_the_package_for_a_machine_without_a_gpu():
    folder = ROOT / ".binder"
    lines = [line for line in (folder / "requirements.txt").read_text().splitlines()
             if not line.startswith("#")]  # fmt: skip
    index, torch, ours = lines
    assert index.startswith("--extra-index-url ") and index.endswith("/whl/cpu")
    assert torch == "torch"  # before ours, and from the index of CPU builds
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.fullmatch(r"-e \.\[([\w,]+)\]", ours)[1].split(",")
    assert set(named) <= set(extras["optional-dependencies"])
    assert (folder / "runtime.txt").read_text() == "python-3.12\n"
