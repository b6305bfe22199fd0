"""The models' golden cases: hyper-parameters, and the inputs of five training steps."""

from dataclasses import dataclass, replace

import numpy as np

STEPS = 5


@dataclass(frozen=True)
class Shape:
    users: int
    items: int
    dim: int
    batch: int
    layers: int
    density: float


SHAPES = {
    "u7": Shape(7, 9, 5, 6, 2, 0.30),
    "u23": Shape(23, 31, 16, 16, 3, 0.15),
    "u40": Shape(40, 57, 24, 33, 2, 0.10),
}

ADAM = {"name": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
ADAMW = {"name": "adamw", "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9}
ADAGRAD = {"name": "adagrad", "lr": 0.01, "eps": 1e-10}

# reg is 1e-2 rather than the papers' 1e-4, so that a wrong L2 term is far above any tolerance.
_SGL = {"readout": "0..L", "reduce": "sum", "contrast": "views", "negatives": "all", "unique": False,
        "l2_rows": "ego", "l2_terms": ["user", "pos", "neg"], "reg": 1e-2, "lambda": 0.1, "tau": 0.2, "rho": 0.2}
MODELS = {
    "bpr": {"readout": "0", "reduce": "mean", "contrast": "none",
            "l2_rows": "ego", "l2_terms": ["user", "pos", "neg"], "reg": 1e-2},
    "lightgcn": {"readout": "0..L", "reduce": "mean", "contrast": "none",
                 "l2_rows": "ego", "l2_terms": ["user", "pos", "neg"], "reg": 1e-2},
    "sgl-ed": _SGL | {"augment": "ed"},
    "sgl-nd": _SGL | {"augment": "nd"},
    "sgl-rw": _SGL | {"augment": "rw"},
    "sgl-merged": _SGL | {"augment": "ed", "reduce": "mean", "negatives": "batch-merged", "unique": True,
                          "l2_rows": "final"},
    "simgcl": {"readout": "1..L", "reduce": "mean", "contrast": "noise", "negatives": "batch", "unique": True,
               "l2_rows": "final", "l2_terms": ["user", "pos"], "reg": 1e-2, "lambda": 0.5, "tau": 0.2, "eps": 0.1},
    "xsimgcl": {"readout": "1..L", "reduce": "mean", "contrast": "cross-layer", "negatives": "batch", "unique": True,
                "l2_rows": "final", "l2_terms": ["user", "pos"], "reg": 1e-2, "lambda": 0.2, "tau": 0.15,
                "eps": 0.2, "layer_cl": 1},
}


@dataclass(frozen=True)
class Case:
    """Inputs of one golden run. Ids in batches are -1 on pads; nodes are the users followed by the items."""
    name: str
    seed: int
    shape: Shape
    hyper: dict
    optimiser: dict
    edges: np.ndarray         # [E, 2] user, item
    user: np.ndarray          # [U, d]
    item: np.ndarray          # [I, d]
    batches: list             # STEPS of {user, pos, neg: [B] ints, weight: [B]}
    views: list               # [step][view][layer] -> edge indices; one entry of "layer" serves all layers
    noise: np.ndarray | None  # [STEPS, V, L, U+I, d] multiples of 1/256 in [0, 1)

    @property
    def depth(self):
        return 0 if self.hyper["readout"] == "0" else self.shape.layers


def build(name, hyper, optimiser, shape, seed):
    """Draws a case that holds what breaks implementations: see README.md, "What the data holds"."""
    rng = np.random.Generator(np.random.PCG64(seed))
    u, i, d = shape.users, shape.items, shape.dim
    linked = rng.random((u, i)) < shape.density
    for row in linked:
        row[rng.integers(0, i - 1)] = True
    linked[0, 1], linked[0, 2] = True, False    # user 0: item 1 against its tied twin, item 2
    linked[2] = linked[1]                       # users 1 and 2 share row and neighbours: tied after propagation
    linked[u - 1], linked[:, i - 1] = False, False  # degree 0
    edges = np.argwhere(linked)

    # Multiples of 1/1024: exact in float32, so that error32 measures the arithmetic and not the input's rounding.
    table = lambda n: np.clip(np.rint(rng.standard_normal((n, d)) * 0.3 * 1024), -1023, 1023) / 1024
    user, item = table(u), table(i)
    user[2], item[2] = user[1], item[1]

    batches = [draw_batch(rng, shape, linked, edges, step, hyper["reduce"]) for step in range(STEPS)]
    views = []
    if hyper["contrast"] == "views":
        per_layer = shape.layers if hyper["augment"] == "rw" else 1
        views = [[[draw_view(rng, hyper, shape, edges) for _ in range(per_layer)] for _ in range(2)]
                 for _ in range(STEPS)]
    noise = None
    if "eps" in hyper:
        passes = 2 if hyper["contrast"] == "noise" else 1
        noise = rng.integers(0, 256, (STEPS, passes, shape.layers, u + i, d)) / 256
    return Case(name, seed, shape, hyper, optimiser, edges, user, item, batches, views, noise)


def draw_batch(rng, shape, linked, edges, step, reduce):
    n = shape.batch
    chosen = edges[rng.integers(0, len(edges), n)]
    user, pos = chosen[:, 0].copy(), chosen[:, 1].copy()
    user[0:2], pos[0:2] = 0, 1                                  # the same interaction twice
    for row, twin in ((2, 1), (3, 2)):
        user[row], pos[row] = twin, rng.choice(np.flatnonzero(linked[twin]))
    neg = np.array([rng.choice(np.flatnonzero(~linked[k])) for k in user])
    neg[0], neg[1] = 2, shape.items - 1                         # a tie with the positive; an item of degree 0
    # Step 0 has its pads in between, the others at the end; step 1 has none.
    pads = (n // 6, 0, n // 4, 1, n // 2)[step]
    padded = 4 + rng.permutation(n - 4)[:pads] if step == 0 else np.arange(n - pads, n)
    weight = np.full(n, 1.0 if reduce == "sum" else 1.0 / (n - pads))
    user[padded] = pos[padded] = neg[padded] = -1
    weight[padded] = 0
    return {"user": user, "pos": pos, "neg": neg, "weight": weight}


def draw_view(rng, hyper, shape, edges):
    """Indices of the edges that a view keeps: exactly int(E (1-rho)) (ed, rw), or those without a dropped end (nd)."""
    rho = hyper["rho"]
    if hyper["augment"] != "nd":
        return np.sort(rng.permutation(len(edges))[:int(len(edges) * (1 - rho))])
    users = rng.permutation(shape.users)[:int(rho * shape.users)]
    items = rng.permutation(shape.items)[:int(rho * shape.items)]
    return np.flatnonzero(~np.isin(edges[:, 0], users) & ~np.isin(edges[:, 1], items))


def unique_ids(case, batch):
    """Distinct users and positives, ascending, padded with -1 to [B]; their weights are 1/n (merged: over both)."""
    size, lists = case.shape.batch, []
    for ids in (batch["user"], batch["pos"]):
        real = np.unique(ids[ids >= 0])
        lists.append(np.concatenate([real, np.full(size - len(real), -1)]))
    counts = [int((ids >= 0).sum()) for ids in lists]
    if case.hyper["negatives"] == "batch-merged":
        counts = [sum(counts)] * 2
    return [(ids, np.where(ids >= 0, 1.0 / n, 0.0)) for ids, n in zip(lists, counts)]


def reorder(case, rng):
    """The same case with other node ids, batch order and column order, and the map back for its outputs.

    Only the order of sums differs, so float32 runs of it show how much of an error is luck."""
    shape = case.shape
    to_user, to_item = rng.permutation(shape.users), rng.permutation(shape.items)
    to_node = np.concatenate([to_user, shape.users + to_item])
    column = rng.permutation(shape.dim)

    def moved(x, to):  # x [..., n, d]
        y = np.empty_like(x)
        y[..., to, :] = x[..., column]
        return y

    def moved_batch(batch):
        order = rng.permutation(shape.batch)
        ids = lambda key, to: np.where(batch[key] >= 0, to[batch[key]], -1)[order]
        return {"user": ids("user", to_user), "pos": ids("pos", to_item), "neg": ids("neg", to_item),
                "weight": batch["weight"][order]}

    other = replace(case, user=moved(case.user, to_user), item=moved(case.item, to_item),
                    edges=np.stack([to_user[case.edges[:, 0]], to_item[case.edges[:, 1]]], 1),
                    batches=[moved_batch(batch) for batch in case.batches],
                    noise=None if case.noise is None else moved(case.noise, to_node))
    back_column = np.argsort(column)

    def back(out):
        place = lambda key: to_user if key.endswith("user") else to_item
        return {key: x[place(key)][:, back_column] if x.ndim == 2 else x for key, x in out.items()}

    return other, back
