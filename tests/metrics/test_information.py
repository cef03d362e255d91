import math
import sys

import numpy as np
import pytest
import torch

from caufvae_lite.metrics.information import available, mic_tic

needs_fast_mine = pytest.mark.skipif(not available(), reason="fast-mine is not installed")

# Measured with minepy (alpha 0.6, c 15, mic_approx), six decimals: n → of y = x² and of noise
MINEPY = {
    200: ((1.0, 26.594087, 0.718759), (0.221841, None, 0.104865)),
    1000: ((1.0, 109.374284, 0.739015), (0.127553, None, 0.047761)),
    2000: ((1.0, 194.234010, 0.752845), (0.106040, None, 0.037625)),
}


def columns():
    random = np.random.default_rng(0)
    for n in MINEPY:
        x = random.uniform(-1, 1, n)
        yield n, x, x**2, random.uniform(-1, 1, n)


@needs_fast_mine
def test_minepys_values_to_all_their_decimals():
    for n, x, square, noise in columns():
        for y, expected in zip((square, noise), MINEPY[n], strict=True):
            found = mic_tic(x, y)
            for name, value in zip(("mic", "tic", "tic_normalised"), expected, strict=True):
                if value is not None:
                    assert found[name] == pytest.approx(value, abs=5.1e-7), (n, name)


@needs_fast_mine
def test_symmetric_and_blind_to_increasing_functions():
    _, x, _, noise = next(columns())
    y = x + 0.5 * noise
    found = mic_tic(x, y)
    assert 0.3 < found["mic"] < 0.95
    assert mic_tic(y, x) == pytest.approx(found)
    assert mic_tic(np.exp(3 * x), 5 + 2 * y**3) == pytest.approx(found)
    # the approximation fills its bins from the left, so a mirror image moves it a little
    assert mic_tic(x, -y) == pytest.approx(found, rel=0.005)
    assert mic_tic(torch.as_tensor(x), torch.as_tensor(y)) == found


@needs_fast_mine
def test_known_extremes():
    x = np.repeat([0, 1], 50)  # one bit, which every grid of k × l ≤ n^0.6 cells can see
    sizes = sum(k * m <= 100**0.6 for k in range(2, 100) for m in range(2, 100))
    assert mic_tic(x, 1 - x) == pytest.approx({"mic": 1, "tic": sizes, "tic_normalised": 1})
    three = np.repeat([0, 1, 2], 30)  # needs a grid of 3 × 3
    assert mic_tic(three, three)["mic"] == pytest.approx(1)
    assert mic_tic(x, np.ones(100)) == {"mic": 0, "tic": 0, "tic_normalised": 0}


def test_what_cannot_be_scored_says_why():
    x = np.arange(5.0)
    for wrong in (x[1:], x[:, None], x[None]):
        with pytest.raises(ValueError, match=r"must both be \(n,\)"):
            mic_tic(x, wrong)
    with pytest.raises(ValueError, match="n ≥ 2"):
        mic_tic([1.0], [1.0])
    for value in (math.nan, math.inf):
        for pair in ((x, np.where(x == 2, value, x)), (np.where(x == 2, value, x), x)):
            with pytest.raises(ValueError, match="finite"):
                mic_tic(*pair)


def test_without_fast_mine_the_error_says_what_to_install_and_why_it_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_mine", None)
    assert not available()
    x = np.arange(5.0)
    with pytest.raises(ImportError, match=r'pip install "caufvae-lite\[bench\]".*GPL-3'):
        mic_tic(x, x)
