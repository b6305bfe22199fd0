"""The multi-modal models' golden cases: hyper-parameters, and the inputs of five training steps."""

from dataclasses import dataclass, replace

import numpy as np

from cases import ADAM, SHAPES, STEPS, Shape, build

FEATURE_DIMS = {"audio": 3, "image": 7, "text": 11}
MODALITIES = {"u7": ["image"], "u23": ["image", "text"], "u40": ["audio", "image", "text"]}  # in the order of names
SIMILARITY_MARGIN = 1e-5  # between an item's last neighbour and the next item: float32 must choose the same

_BM3 = {"readout": "0..L", "reduce": "mean", "dropout": 0.5, "cl": 2.0, "reg": 0.1, "align_to": "item",
        "freeze_features": False}
# reg is larger than the papers', so that a wrong term shows.
_VBPR = {"reduce": "mean", "reg": 1e-2, "freeze_features": True}
_FREEDOM = {"readout": "0..L", "reduce": "mean", "reg": 0.1, "prune": 0.5, "neighbours": 3, "item_layers": 1,
            "freeze_features": False}
_MIX = {"u7": {"image": 1.0}, "u23": {"image": 0.1, "text": 0.9}, "u40": {"audio": 0.2, "image": 0.3, "text": 0.5}}

# name -> model, shape, hyper-parameters
MULTIMODAL = {
    "bm3-u7": ("bm3", "u7", _BM3),
    "bm3-u23": ("bm3", "u23", _BM3 | {"dropout": 0.3}),
    "bm3-u40": ("bm3", "u40", _BM3 | {"reg": 0.01}),
    "bm3-frozen-u23": ("bm3", "u23", _BM3 | {"freeze_features": True}),
    "bm3-user-aligned-u23": ("bm3", "u23", _BM3 | {"align_to": "user"}),
}
MULTIMODAL |= {f"vbpr-{shape}": ("vbpr", shape, _VBPR) for shape in SHAPES}
MULTIMODAL |= {f"freedom-{shape}": ("freedom", shape, _FREEDOM | {"mix": _MIX[shape]}) for shape in SHAPES}


@dataclass(frozen=True)
class MultimodalCase:
    """Inputs of one golden run. Ids in batches are -1 on pads; nodes are the users followed by the items.

    `axes` has the axes of every table by name: two axes of one name are permuted alike."""
    name: str
    model: str
    seed: int
    shape: Shape
    modalities: list   # names, ascending
    hyper: dict
    edges: np.ndarray  # [E, 2] user, item
    tables: dict       # name -> array: the parameters, and the features also where they are frozen
    axes: dict         # name -> names of the array's axes
    batches: list      # STEPS of {user, pos[, neg]: [B] ints, weight: [B]}
    masks: dict        # BM3: "user", "item" or modality -> [STEPS, rows, d] of 0 and 1
    kept: list         # FREEDOM: STEPS of edge indices
    neighbours: dict   # FREEDOM: modality -> [I, k] items, the most similar first

    @property
    def trained(self):
        frozen = self.hyper["freeze_features"]
        return [name for name in self.tables if not (frozen and name.startswith("features/"))]


def draw(name, seed):
    """Draws a case: graph, embeddings and batches as for the other models, then what only these models have."""
    model, shape_name, hyper = MULTIMODAL[name]
    shape, modalities = SHAPES[shape_name], MODALITIES[shape_name]
    if model != "bm3":
        shape = replace(shape, layers={"vbpr": 0, "freedom": 2}[model])
    base = build(name, {"contrast": "none", "reduce": "mean"}, ADAM, shape, seed)
    rng = np.random.Generator(np.random.PCG64(seed + 50))
    u, i, d = shape.users, shape.items, shape.dim
    table = lambda scale, *size: np.clip(np.rint(rng.standard_normal(size) * scale * 1024), -4095, 4095) / 1024

    features = {m: table(1.0, i, FEATURE_DIMS[m]) for m in modalities}
    if model != "freedom":  # there, ties and zero rows would leave the neighbours open
        for x in features.values():
            x[2], x[i - 1] = x[1], 0
    tables, axes = {}, {}

    def add(key, names, x):
        tables[key], axes[key] = x, names

    if model == "vbpr":
        user = table(0.3, u, 2 * d)
        user[2] = user[1]
        add("user", ("user", "twice dim"), user)
        add("item", ("item", "dim"), base.item)
        add("transform/weight", ("features", "dim"), table(0.3, sum(FEATURE_DIMS[m] for m in modalities), d))
        add("transform/bias", ("dim",), table(0.3, d))
    else:
        add("embedding", ("node", "dim"), np.concatenate([base.user, base.item]))
    if model == "bm3":
        add("predictor/weight", ("dim", "dim"), table(0.3, d, d))
        add("predictor/bias", ("dim",), table(0.3, d))
    for m in modalities:
        add(f"features/{m}", ("item", m), features[m])
        if model != "vbpr":
            add(f"transform/{m}/weight", (m, "dim"), table(0.3, FEATURE_DIMS[m], d))
            add(f"transform/{m}/bias", ("dim",), table(0.3, d))

    batches, masks, kept, neighbours = base.batches, {}, [], {}
    if model == "bm3":
        batches = [{key: x for key, x in batch.items() if key != "neg"} for batch in batches]
        for key, n in ({"user": u, "item": i} | dict.fromkeys(modalities, i)).items():
            masks[key] = (rng.random((STEPS, n, d)) >= hyper["dropout"]).astype(int)
        masks["item"][0, batches[0]["pos"][2]] = 0  # a target of which nothing is left: cos is 0
    if model == "freedom":
        degree = lambda ids: np.bincount(ids)[ids]
        chance = 1 / np.sqrt(degree(base.edges[:, 0]) * degree(base.edges[:, 1]))
        size = int(len(base.edges) * (1 - hyper["prune"]))
        kept = [np.sort(rng.choice(len(base.edges), size, replace=False, p=chance / chance.sum())) for _ in range(STEPS)]
        neighbours = {m: nearest(x, hyper["neighbours"]) for m, x in features.items()}
        if any(lists is None for lists in neighbours.values()):
            return draw(name, seed + 1)
    return MultimodalCase(name, model, seed, shape, modalities, hyper, base.edges, tables, axes, batches, masks, kept,
                          neighbours)


def nearest(x, k):
    """The k rows most similar to each row by cosine, itself first: [n, k]. None where the choice is too close to call."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    similarity = unit @ unit.T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k + 1]
    ranked = np.take_along_axis(similarity, order, 1)
    if (ranked[:, :-1] - ranked[:, 1:]).min() < SIMILARITY_MARGIN:
        return None
    assert (order[:, 0] == np.arange(len(x))).all()
    return order[:, :k]


def reorder(case, rng):
    """The same case with all ids, batch rows and columns permuted, and the map back for its outputs.

    Only the order of sums differs, so float32 runs of it show how much of an error is luck."""
    shape = case.shape
    to = {"user": rng.permutation(shape.users), "item": rng.permutation(shape.items), "dim": rng.permutation(shape.dim)}
    to |= {m: rng.permutation(FEATURE_DIMS[m]) for m in case.modalities}
    to["node"] = np.concatenate([to["user"], shape.users + to["item"]])
    to["twice dim"] = np.concatenate([to["dim"], shape.dim + to["dim"]])
    starts = np.cumsum([0] + [FEATURE_DIMS[m] for m in case.modalities])
    to["features"] = np.concatenate([start + to[m] for start, m in zip(starts, case.modalities)])

    def moved(x, axes):  # the last len(axes) axes
        y = np.empty_like(x)
        y[(..., *np.ix_(*(to[axis] for axis in axes)))] = x
        return y

    def moved_batch(batch):
        order = rng.permutation(shape.batch)
        ids = lambda key: np.where(batch[key] >= 0, to["user" if key == "user" else "item"][batch[key]], -1)
        return {key: (x if key == "weight" else ids(key))[order] for key, x in batch.items()}

    def moved_lists(lists):
        y = np.empty_like(lists)
        y[to["item"]] = to["item"][lists]
        return y

    other = replace(case, edges=np.stack([to["user"][case.edges[:, 0]], to["item"][case.edges[:, 1]]], 1),
                    tables={key: moved(x, case.axes[key]) for key, x in case.tables.items()},
                    batches=[moved_batch(batch) for batch in case.batches],
                    masks={key: moved(x, ("user" if key == "user" else "item", "dim")) for key, x in case.masks.items()},
                    neighbours={m: moved_lists(lists) for m, lists in case.neighbours.items()})
    axes = case.axes | {"grad_" + key: names for key, names in case.axes.items()} | {"scores": ("user", "item")}

    def back(out):
        place = lambda key: np.ix_(*(to[axis] for axis in axes[key]))
        return {key: x[place(key)] if key in axes else x for key, x in out.items()}

    return other, back
