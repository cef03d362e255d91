import numpy as np
import pytest
import torch

from caufvae_lite.interventions import columns

NODES = ("a", "b", "c")
LIKE = torch.zeros(4, 3, dtype=torch.float64)


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_intervention_sets_no_column(nothing):
    assert columns(nothing, NODES, LIKE) == {}


@pytest.mark.parametrize(
    "value",
    [[1, 2, 3, 4], (1.0, 2.0, 3.0, 4.0), np.arange(1, 5), torch.arange(1, 5)],
    ids=["list", "tuple", "numpy", "torch"],
)
def test_one_value_a_row_in_any_container(value):
    found = columns({"c": value}, NODES, LIKE)
    assert found.keys() == {2}
    assert found[2].dtype == LIKE.dtype
    assert found[2].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("value", [7, 7.0, np.float32(7), torch.tensor(7.0)])
def test_one_value_for_all_rows(value):
    assert columns({"b": value}, NODES, LIKE)[1].tolist() == [7.0] * 4


def test_several_factors_at_once():
    found = columns({"c": 1.0, "a": 2.0}, NODES, LIKE)
    assert {i: v[0].item() for i, v in found.items()} == {2: 1.0, 0: 2.0}


def test_no_rows_take_one_value():
    assert columns({"a": 1.0}, NODES, LIKE[:0])[0].shape == (0,)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ({"zebra": 1.0}, "zebra"),
        ({"a": [1.0, 2.0]}, "4 rows"),
        ({"a": torch.ones(4, 1)}, r"\(4, 1\)"),
        ({"a": float("nan")}, "NaN"),
        ({"a": [1.0, float("inf"), 1.0, 1.0]}, "infinite"),
    ],
)
def test_wrong_values_are_named(do, message):
    with pytest.raises(ValueError, match=message):
        columns(do, NODES, LIKE)


@pytest.mark.parametrize("do", ["a", [("a", 1.0)], 3])
def test_not_a_mapping(do):
    with pytest.raises(TypeError, match="mapping"):
        columns(do, NODES, LIKE)
