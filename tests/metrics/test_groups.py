import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from caufvae_lite.metrics import group_accuracy


def cue_follower(common=480, rare=20):
    """Label and background agree in 96 % of the rows; half of one rare group is wrong."""
    truth = np.repeat([0, 1, 0, 1], [common, common, rare, rare])
    background = np.repeat([0, 1, 1, 0], [common, common, rare, rare])
    predicted = truth.copy()
    predicted[-rare // 2 :] = 0
    order = np.random.default_rng(0).permutation(len(truth))
    return truth[order], predicted[order], np.stack([truth, background], 1)[order]


def test_a_high_average_hides_a_group_at_one_half():
    truth, predicted, groups = cue_follower()
    found = group_accuracy(truth, predicted, groups)
    assert found["average"] == 0.99
    assert found["worst"] == 0.5
    assert found["accuracy"] == {(0, 0): 1, (0, 1): 1, (1, 0): 0.5, (1, 1): 1}
    assert found["sizes"] == {(0, 0): 480, (0, 1): 20, (1, 0): 20, (1, 1): 480}


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
def test_every_group_is_scikit_learns_accuracy_of_its_rows(seed, n):
    random = np.random.default_rng(seed)
    truth, predicted, groups = random.integers(-1, 3, (3, n))
    found = group_accuracy(truth, predicted, groups)
    expected = {
        int(g): accuracy_score(truth[groups == g], predicted[groups == g]) for g in set(groups)
    }
    assert found["accuracy"] == pytest.approx(expected)
    assert found["worst"] == min(found["accuracy"].values())
    assert found["average"] == pytest.approx(accuracy_score(truth, predicted))
    assert found["sizes"] == {int(g): int((groups == g).sum()) for g in set(groups)}


def test_names_of_groups_are_plain_ints():
    truth, predicted, groups = cue_follower()
    single = group_accuracy(truth, predicted, groups[:, 0])
    assert all(type(name) is int for name in single["accuracy"])
    one_column = group_accuracy(truth, predicted, groups[:, :1])
    assert one_column["accuracy"] == {(k,): v for k, v in single["accuracy"].items()}
    assert one_column["average"] == single["average"]
    assert group_accuracy(truth, predicted, groups == 1)["worst"] == 0.5  # booleans


def test_lists_torch_and_text_labels():
    truth, predicted, groups = cue_follower()
    expected = group_accuracy(truth, predicted, groups)
    tensors = (torch.as_tensor(a) for a in (truth, predicted, groups))
    assert group_accuracy(*tensors) == expected
    words = np.array(["bird", "fish"])
    assert group_accuracy(words[truth].tolist(), words[predicted], groups.tolist()) == expected


def test_what_cannot_be_scored_says_why():
    truth, predicted, groups = cue_follower()
    for wrong in (predicted[1:], predicted[:, None]):
        with pytest.raises(ValueError, match=r"truth .* and predicted"):
            group_accuracy(truth, wrong, groups)
    with pytest.raises(ValueError, match="n ≥ 1"):
        group_accuracy([], [], [])
    for wrong in (groups[1:], groups[None], groups[:, :0], 3):
        with pytest.raises(ValueError, match="groups must be"):
            group_accuracy(truth, predicted, wrong)
    with pytest.raises(ValueError, match="float64"):
        group_accuracy(truth, predicted, groups + 0.5)
