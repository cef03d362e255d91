r"""A causal flow with a gate on every edge, which says how much that edge is needed.

Each edge j → i of a super-graph gets a gate g_ij ≥ 0 that multiplies what mechanism i reads of
z_j. Flow and gates minimise −log p(z) + λ Σ g_ij, with λ rising from the first value of
`PENALTIES` to its last. An edge's *strength* is the λ that shuts its gate. This gives a ranking
and no threshold (the path of Lemhadri et al., LassoNet, 2021).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from caufvae_lite.discovery.held_out import HIDDEN, LOG_SCALE, standardised
from caufvae_lite.flow import CausalFlow
from caufvae_lite.graph import CausalGraph

PENALTIES = (1e-2, 3.0)  # λ, nats per unit of gate: the first costs nothing, the last shuts all
WARM_UP, RISING = 150, 400  # full-batch steps with λ = 0, and with λ rising
# Weight decay keeps the other weights small: large ones could make up for a small gate.
RATE, WEIGHT_DECAY = 1e-2, 0.1


class Gates(nn.Module):
    """A parametrisation of a mechanism's first layer: every parent's row times its gate."""

    def __init__(self, parents: int):
        super().__init__()
        self.open = nn.Parameter(torch.ones(parents))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.open.unsqueeze(-1)


def gated_flow(graph: CausalGraph) -> tuple[CausalFlow, dict[str, nn.Parameter]]:
    """A flow over a super-graph, and the gates ``(p,)`` of each factor's p parents, all 1."""
    flow = CausalFlow(graph, (HIDDEN, HIDDEN), LOG_SCALE)
    gates: dict[str, nn.Parameter] = {}
    for node in graph.nodes:
        if parents := graph.parents(node):
            parametrisation = Gates(len(parents))
            weights = flow.mechanisms[node].weights
            parametrize.register_parametrization(weights, "0", parametrisation)
            gates[node] = parametrisation.open
    return flow, gates


def learn_gates(
    factors: Tensor, super_graph: CausalGraph, seed: int = 0
) -> tuple[CausalFlow, Tensor]:
    """Fit flow and gates to all rows of ``(n, d)`` factors (NaN is missing) while λ rises.

    Returns the flow at the last λ, and the strengths ``(d, d)``, where ``[j, i]`` is that of
    j → i. The first weights follow ``seed``.
    """
    x = standardised(factors, super_graph)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow, named = gated_flow(super_graph)
    gates: list[Tensor] = list(named.values())
    strength = torch.zeros(len(super_graph), len(super_graph))
    if not gates:
        return flow, strength
    others = [p for p in flow.parameters() if all(p is not gate for gate in gates)]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": gates, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY)
    last_open = torch.zeros(len(super_graph.edges))  # λ
    low, high = PENALTIES
    for step in range(WARM_UP + RISING):
        penalty = 0.0 if step < WARM_UP else low * (high / low) ** ((step - WARM_UP) / RISING)
        loss = -flow.node_log_prob(x).sum() / len(x)
        loss = loss + penalty * torch.stack([gate.sum() for gate in gates]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for gate in gates:
                gate.clamp_(min=0)
            size = torch.cat(gates)
        last_open[size > 0] = penalty
    # The gates that are still open all have the last λ; their size decides between them. Gates
    # come effect by effect, as the edges do in the transposed matrix.
    edges = torch.tensor(super_graph.adjacency.T)
    strength.T[edges] = last_open + low * 1e-3 * size
    return flow, strength
