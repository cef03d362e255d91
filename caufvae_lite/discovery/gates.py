r"""A causal flow with a gate on every edge, which says how much that edge is needed.

Each edge j → i of a super-graph gets a gate g_ij ≥ 0 that multiplies what mechanism i reads of
z_j. Flow and gates minimise −log p(z) + λ Σ g_ij, with λ rising from the first value of
`PENALTIES` to its last. An edge's *strength* is the λ that shuts its gate. This gives a ranking
and no threshold (the path of Lemhadri et al., LassoNet, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from caufvae_lite.discovery.held_out import HIDDEN, LOG_SCALE, parent_columns, standardised
from caufvae_lite.flow import CausalFlow
from caufvae_lite.graph import CausalGraph
from caufvae_lite.mechanisms import evaluate

__all__ = ["PENALTIES", "GatedFlow", "Gates", "learn_gates"]

PENALTIES = (
    1e-2,
    3.0,
)  # λ, in nats a unit of gate: the first costs nothing, the last shuts all


class Gates(nn.Module):
    """A parametrisation of a mechanism's first layer: every parent's row times its gate."""

    def __init__(self, parents: int):
        super().__init__()
        self.open = nn.Parameter(torch.ones(parents))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.open.unsqueeze(-1)


class GatedFlow(CausalFlow):
    """A `CausalFlow` over a super-graph, with a gate on every edge (all start at 1)."""

    def __init__(
        self,
        graph: CausalGraph,
        hidden: Sequence[int] = (HIDDEN, HIDDEN),
        log_scale: tuple[float, float] = LOG_SCALE,
    ):
        super().__init__(graph, hidden, log_scale)
        self._gates: dict[str, Gates] = {}
        for node in graph.nodes:
            if graph.parents(node):
                self._gates[node] = Gates(len(graph.parents(node)))
                weights = self.mechanisms[node].weights
                parametrize.register_parametrization(weights, "0", self._gates[node])

    @property
    def gates(self) -> Tensor:
        """``(d, d)``; ``[j, i]`` is the gate of j → i, and 0 where the super-graph has none."""
        matrix = torch.zeros(len(self.graph), len(self.graph))
        for node, gate in self._gates.items():
            rows, column = parent_columns(self.graph, node), self.graph.index(node)
            matrix[rows, column] = gate.open.detach().to(matrix)
        return matrix

    def gate_parameters(self) -> list[nn.Parameter]:
        """One ``(p,)`` parameter for every node that has parents."""
        return [gate.open for gate in self._gates.values()]

    @torch.no_grad()
    def pruned(self, graph: CausalGraph) -> CausalFlow:
        """The plain flow over a sub-graph, its weights copied and its gates multiplied in.

        Where only shut gates are left out it is the same function.

        Raises:
            ValueError: ``graph`` has other nodes, or an edge that the super-graph has not.
        """
        extra = set(graph.edges) - set(self.graph.edges)
        if graph.nodes != self.graph.nodes or extra:
            raise ValueError(f"Not a sub-graph of the flow's: {sorted(extra) or graph.nodes}.")
        flow = CausalFlow(graph, self.hidden, self.log_scale)
        for node in graph.nodes:
            ours, theirs = self.mechanisms[node], flow.mechanisms[node]
            parents = self.graph.parents(node)
            if not parents:
                theirs.load_state_dict(ours.state_dict())
            elif graph.parents(node):
                kept = [parents.index(parent) for parent in graph.parents(node)]
                values = [ours.weights[0][kept], *ours.weights[1:], *ours.biases]
                for its, value in zip([*theirs.weights, *theirs.biases], values, strict=True):
                    its.copy_(value)
            else:  # No parent is left: what the network says of zeros becomes two numbers.
                nothing = ours.biases[0].new_zeros(1, len(parents))
                raw_scale, shift = evaluate([ours], [nothing])[0, 0]
                theirs.raw_scale.copy_(raw_scale)
                theirs.shift.copy_(shift)
        return flow


def learn_gates(
    factors: Tensor,
    super_graph: CausalGraph,
    seed: int = 0,
    *,
    warm_up: int = 150,
    steps: int = 400,
    lr: float = 1e-2,
    weight_decay: float = 0.1,
) -> tuple[GatedFlow, Tensor]:
    """Fit flow and gates to all rows while λ rises.

    Weight decay keeps the other weights small: large ones could make up for a small gate.

    Args:
        factors: ``(n, d)``; NaN is missing.
        super_graph: the edges that get a gate.
        seed: of the first weights.
        warm_up, steps: full-batch steps with λ = 0, and with λ rising.
        lr: learning rate of flow and gates.
        weight_decay: of all weights but the gates.

    Returns:
        the flow at the last λ, and the strengths ``(d, d)``.
    """
    x = standardised(factors, super_graph)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = GatedFlow(super_graph)
    strength = torch.zeros(len(super_graph), len(super_graph))
    gates = flow.gate_parameters()
    if not gates:
        return flow, strength
    mine = {id(gate) for gate in gates}
    others = [p for p in flow.parameters() if id(p) not in mine]
    groups: list[dict[str, Any]] = [
        {"params": others, "weight_decay": weight_decay},
        {"params": gates, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))
    low, high = PENALTIES
    for step in range(warm_up + steps):
        penalty = 0.0 if step < warm_up else low * (high / low) ** ((step - warm_up) / steps)
        loss = -flow.node_log_prob(x).sum() / len(x)
        loss = loss + penalty * torch.stack([gate.sum() for gate in gates]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for gate in gates:
                gate.clamp_(min=0)
        strength[flow.gates > 0] = penalty
    # The gates that are still open all have the last λ; their size decides between them.
    return flow, strength + low * 1e-3 * flow.gates
