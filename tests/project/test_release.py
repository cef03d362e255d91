"""A release is rehearsed: what agrees, what the archives hold, and that complaints are made."""

import shutil
from pathlib import Path

import pytest
import release

ROOT = Path(__file__).parents[2]
CODE = ("caufvae_lite/__init__.py", "caufvae_lite/checkpoints.py")


@pytest.fixture
def root(tmp_path):
    """A copy of the files that must agree, with the date of a release."""
    for name in ("CHANGELOG.md", "CITATION.cff", *CODE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    edit(tmp_path, "CHANGELOG.md", "(unreleased)", "(2027-01-31)")
    cited = (tmp_path / "CITATION.cff").read_text()
    if "date-released" not in cited:
        (tmp_path / "CITATION.cff").write_text(cited + 'date-released: "2027-01-31"\n')
    return tmp_path


def edit(root, name, old, new):
    path = root / name
    path.write_text(path.read_text().replace(old, new, 1))


def test_version_contract_citation_and_changelog_agree():
    assert release.disagreements() == []


def test_a_release_has_a_date_and_a_tag_of_its_own(root):
    tag = f"v{release.version()}"
    assert release.disagreements(root, tag) == []
    (said,) = release.disagreements(root, "v9.9.9")
    assert "v9.9.9" in said


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("CITATION.cff", "version: 0", "version: 7", "CITATION.cff has 7"),
        ("CHANGELOG.md", "## 0", "## 7", "begins with 7"),
        ("CHANGELOG.md", "contract 1", "contract 7", "contract 7"),
        ("CHANGELOG.md", "2027-01-31", "2027-02-01", "CITATION.cff 2027-01-31"),
        ("CHANGELOG.md", "2027-01-31", "soon", "a release has a date"),
        ("CHANGELOG.md", "## ", "# ", "no heading"),
    ],
)
def test_every_disagreement_is_named(root, name, old, new, said):
    edit(root, name, old, new)
    assert any(said in line for line in release.disagreements(root, f"v{release.version()}"))


def test_archives_are_complete_and_clean():
    shipped = ["manifest.json", "checkpoints/a.safetensors"]
    wheel = {f"caufvae_lite/{n}" for n in release.PACKAGE}
    wheel |= {f"caufvae_lite/_data/{n}" for n in shipped}
    wheel |= {f"c-1.dist-info/{n}" for n in ("METADATA", "RECORD", "licenses/LICENSE")}
    assert release.complaints_of_wheel(wheel, shipped) == []
    (lacks,) = release.complaints_of_wheel(wheel - {"caufvae_lite/py.typed"}, shipped)
    assert lacks == "the wheel lacks caufvae_lite/py.typed"
    for strange in ("tests/test_a.py", "caufvae_lite/__pycache__/a.pyc"):
        (said,) = release.complaints_of_wheel(wheel | {strange}, shipped)
        assert said == f"the wheel should not hold {strange}"

    sdist = {f"c-1/caufvae_lite/{n}" for n in release.PACKAGE}
    sdist |= {f"c-1/data/{n}" for n in shipped}
    sdist |= {f"c-1/{n}" for n in (*release.BESIDE, *(f"{f}/a" for f in release.FOLDERS))}
    assert release.complaints_of_sdist(sdist, shipped) == []
    (lacks,) = release.complaints_of_sdist(sdist - {"c-1/LICENSE"}, shipped)
    assert lacks == "the sdist lacks LICENSE"
    for strange in ("build/a", ".venv/b", "data/results/a.lock"):
        assert release.complaints_of_sdist(sdist | {f"c-1/{strange}"}, shipped)
