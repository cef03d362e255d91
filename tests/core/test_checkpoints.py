import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from caufvae_lite import (
    CauFVAE,
    CausalGraph,
    CheckpointError,
    checkpoints,
    fit,
    load,
    load_pretrained,
    save,
)


@pytest.fixture
def model(new_model, diamond):
    return new_model(diamond, prior="label", extra_dims=1, supervision=7.5)


@pytest.fixture
def path(model, tmp_path):
    return save(model, tmp_path / "model.safetensors", seed=3)


def header_of(path):
    """The JSON header's text and where the tensors begin."""
    raw = path.read_bytes()
    stop = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:stop]), stop


def rewrite_header(path, change):
    """Put ``change(our own header)`` in its place, and write the file anew around it."""
    header, stop = header_of(path)
    ours = json.loads(header["__metadata__"]["caufvae_lite"])
    header["__metadata__"]["caufvae_lite"] = json.dumps(change(ours))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + path.read_bytes()[stop:])


def test_a_loaded_model_answers_bit_by_bit_the_same(model, path, pictures):
    again, images = load(path), pictures(4)
    do = {"left": 1.0, "middle": torch.linspace(0, 1, 4)}
    before, after = (m.counterfactual(images, do, samples=2, seed=0) for m in (model, again))
    assert torch.equal(before.images, after.images)
    assert torch.equal(before.factors, after.factors)
    labels = model.factors(images)
    for one, other in zip(
        model.loss(images, labels, torch.Generator().manual_seed(0)).values(),
        again.loss(images, labels, torch.Generator().manual_seed(0)).values(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_loaded_model_has_the_same_configuration_and_state(model, path):
    again = load(path)
    assert type(again) is type(model) and not again.training
    assert again.config() == model.config()
    assert again.graph == model.graph
    state, expected = again.state_dict(), model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[k], expected[k]) for k in state)


def test_saving_again_gives_the_same_bytes(model, path, tmp_path):
    other = save(load(path), tmp_path / "again.safetensors", seed=3)
    tensors, again = load_file(path), load_file(other)
    assert all(torch.equal(tensors[k], again[k]) for k in tensors)
    assert header_of(path)[0]["__metadata__"] == header_of(other)[0]["__metadata__"]


def test_double_precision_is_kept(new_model, diamond, tmp_path, pictures):
    model = new_model(diamond).double()
    again = load(save(model, tmp_path / "double.safetensors"))
    found = again.factors(pictures(3))
    assert found.dtype == torch.float64
    assert torch.equal(found, model.factors(pictures(3)))


def test_notes_are_kept(path):
    assert checkpoints.read_tensors(path)[1]["notes"] == {"seed": 3}


def test_saving_makes_folders_and_replaces(model, tmp_path, pictures):
    path = tmp_path / "new" / "folder" / "model.safetensors"
    assert save(model, path) == path
    with torch.no_grad():
        model.mean.add_(1)
    save(model, str(path))
    assert torch.equal(load(path).mean, model.mean)
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, share):
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load(path)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.999])
def test_a_flipped_byte_is_noticed(path, place):
    _, start = header_of(path)
    raw = bytearray(path.read_bytes())
    raw[start + int(place * (len(raw) - start))] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="sha256"):
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["config"].update(supervision=8.0),
        lambda h: h["config"]["graph"]["edges"].pop(),
        lambda h: h["notes"].update(seed=4),
        lambda h: h.update(contract="1.1"),
        lambda h: h.update(sha256="0" * 64),
    ],
    ids=["config", "graph", "notes", "contract", "sha256"],
)
def test_an_altered_header_is_noticed(path, change):
    def altered(ours):
        change(ours)
        return ours

    rewrite_header(path, altered)
    with pytest.raises(CheckpointError, match="sha256"):
        load(path)


def test_a_header_written_anew_but_unaltered_still_loads(path, model):
    rewrite_header(path, lambda ours: ours)
    assert load(path).config() == model.config()


@pytest.mark.parametrize("header", [{}, [], "text", 3, None], ids=repr)
def test_a_header_that_is_not_ours_is_refused(path, header):
    rewrite_header(path, lambda ours: header)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"caufvae_lite": "{not json"}])
def test_other_safetensors_are_refused(tmp_path, metadata):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(2)}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=r"other\.safetensors"):
        load(path)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    path = tmp_path / "text.safetensors"
    path.write_text("a pendulum, a lamp and a shadow " * 10)
    with pytest.raises(CheckpointError, match=r"text\.safetensors"):
        load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        load(tmp_path / "absent.safetensors")
    with pytest.raises(FileNotFoundError):
        load(tmp_path)


@pytest.mark.parametrize("name", ["model.pt", "model", "model.safetensors.bak"])
def test_another_suffix_is_refused(model, tmp_path, name):
    with pytest.raises(ValueError, match=r"\.safetensors"):
        save(model, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_or_a_newer_contract_is_refused(model, tmp_path, monkeypatch):
    path, tensors = tmp_path / "model.safetensors", model.state_dict()
    checkpoints.write_tensors(path, tensors, {"model": "Zebra", "config": model.config()})
    with pytest.raises(CheckpointError, match="Zebra"):
        load(path)
    monkeypatch.setattr(checkpoints, "CONTRACT_VERSION", "2.0")
    save(model, path)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"contract 2\.0"):
        load(path)


def test_a_training_checkpoint_is_not_a_model(new_model, small_data, tmp_path):
    path = tmp_path / "run.safetensors"
    model = new_model(small_data.graph)
    fit(model, small_data, epochs=1, device="cpu", progress=False, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"run\.safetensors"):
        load(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_partial(model, path, monkeypatch):
    before = path.read_bytes()

    original = Path.write_bytes

    def full_disk(self, data):
        original(self, data[:4])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    for target in (path, path.with_name("other.safetensors")):
        with pytest.raises(OSError, match="No space"):
            save(model, target)
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]
    assert path.read_bytes() == before


def test_notes_that_json_cannot_hold_leave_nothing_behind(model, tmp_path):
    with pytest.raises(TypeError):
        save(model, tmp_path / "model.safetensors", when=object())
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_pretrained_model_is_named():
    with pytest.raises(ValueError, match="zebra"):
        load_pretrained("zebra")


def test_a_saved_model_remembers_how_it_weighs_the_kl(tmp_path):
    graph = CausalGraph(["a", "b"], [("a", "b")])
    model = CauFVAE(graph, (1, 16, 16), kl_weight=0.03)
    loaded = load(save(model, tmp_path / "m.safetensors"))
    assert isinstance(loaded, CauFVAE) and loaded.kl_weight == 0.03
    images, labels = torch.rand(4, 1, 16, 16), torch.randn(4, 2)
    whole = CauFVAE(graph, (1, 16, 16))
    whole.load_state_dict(model.state_dict())
    terms = [m.loss(images, labels, torch.Generator().manual_seed(0)) for m in (model, whole)]
    assert terms[0]["kl"].item() == pytest.approx(0.03 * terms[1]["kl"].item(), rel=1e-5)
    for weight in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="kl_weight"):
            CauFVAE(graph, (1, 16, 16), kl_weight=weight)
