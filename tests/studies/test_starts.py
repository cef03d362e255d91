"""Which first weights lead astray, and what keeps them from it."""

import numpy as np
import torch

from caufvae_lite.studies import core, starts
from caufvae_lite.studies.results import over_seeds, read_results

LENGTH = {"measure": "r2", "factor": "shadow_length"}


def test_only_the_named_part_comes_from_the_bad_seed(monkeypatch):
    world = core.world_of(starts.WORLD, 16)
    bad = core.build(core.MAIN, starts.BAD, world).state_dict()
    own = core.build(core.MAIN, 0, world).state_dict()
    for name, parts in starts.PARTS.items():
        found = starts.build((name, starts.WORLD, 0), world)
        assert found.supervision == core.CORE_SUPERVISION
        for key, value in found.state_dict().items():
            source = bad if key.split(".")[0] in parts else own
            assert torch.equal(value, source[key]), (name, key)
    strong = starts.build((starts.STRONG, starts.WORLD, 0), world)
    assert (
        strong.supervision == 180
        and starts.configuration((starts.STRONG, starts.WORLD, 0))["supervision"] == 180
    )
    assert all(torch.equal(v, own[k]) for k, v in strong.state_dict().items())


def test_keys_leave_out_the_bad_seed_where_it_would_be_swapped_with_itself():
    keys = starts.keys(range(20))
    assert sum(name == starts.STRONG for name, _, _ in keys) == 20
    for part in starts.PARTS:
        seeds = [seed for name, _, seed in keys if name == part]
        assert seeds == [0, 1, 3, 4]


def test_twenty_first_weights_with_the_strong_supervision_are_all_good():
    """What the docstring says, by the stored tables."""
    rows = read_results(starts.STUDY.path)
    length = over_seeds(rows, **LENGTH)
    dB = over_seeds(rows, measure="psnr", factor="")
    good = length[starts.STRONG].dropna(), dB[starts.STRONG].dropna()
    assert len(good[0]) == 20 and good[0].min() >= 0.985 and good[1].min() >= 38
    stored = read_results(core.STUDY.path)
    stored = stored[(stored["world"] == starts.WORLD) & (stored["model"] == core.MAIN)]
    weak = over_seeds(stored, **LENGTH)[core.MAIN]
    assert list(weak.index[weak < 0.98]) == [starts.BAD]


def test_it_is_the_decoder():
    rows = read_results(starts.STUDY.path)
    length = over_seeds(rows, **LENGTH)
    decoder, others = (length[name].dropna() for name in starts.PARTS)
    assert len(decoder) == len(others) == 4
    assert decoder.max() < 0.98 < 0.985 < others.min(), (decoder, others)
    assert np.isfinite(rows["value"]).all()
