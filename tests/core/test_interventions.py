import numpy as np
import pytest
import torch

from caufvae_lite.graph import CausalGraph, class_nodes
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


# ------------------------------------------------------------------ categorical factors


CODED = ("pen", *class_nodes("digit", 3))


def test_a_class_sets_all_its_columns():
    found = columns({"digit": 1}, CODED, torch.zeros(2, 4))
    assert {k: v.tolist() for k, v in found.items()} == {1: [0, 0], 2: [1, 1], 3: [0, 0]}
    found = columns({"digit": torch.tensor([2, 0])}, CODED, torch.zeros(2, 4))
    assert {k: v.tolist() for k, v in found.items()} == {1: [0, 1], 2: [0, 0], 3: [1, 0]}


@pytest.mark.parametrize("wrong", [3, -1, 0.5])
def test_a_class_that_there_is_not(wrong):
    with pytest.raises(ValueError, match=rf"class of \[0, 1, 2\], got {wrong}"):
        columns({"digit": wrong}, CODED, torch.zeros(2, 4))


def test_one_column_of_a_class_may_still_be_set_by_its_own_name():
    found = columns({"digit=1": 0.5}, CODED, torch.zeros(2, 4))
    assert {k: v.tolist() for k, v in found.items()} == {2: [0.5, 0.5]}


def test_a_categorical_factor_affects_its_columns_and_their_effects():
    graph = CausalGraph((*CODED, "ink"), [("pen", "ink"), ("digit=2", "ink")])
    assert graph.affected(["digit"]) == (*CODED[1:], "ink")
    assert graph.affected(["pen"]) == ("pen", "ink")
