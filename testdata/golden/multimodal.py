"""BM3, VBPR and FREEDOM: losses, gradients and five steps of Adam."""

import numpy as np
import torch
import torch.nn.functional as F

from cases import ADAM, STEPS, Shape
from models import normalised_graph, optimiser, propagate, rows
from multimodal_cases import FEATURE_DIMS, MULTIMODAL, MultimodalCase, draw, reorder
from tensors import REORDERINGS, fixed_point, output

NO_GRADIENT = 1e-15  # in float64, an upper bound for a gradient that is 0 on paper

FORMULAS = {
    "bm3": {"reconstruction": "sum_b w_b {[1 - cos(P u_a, i~_b)] + [1 - cos(P i_b, u~_a)]}",
            "alignment": "sum_m sum_b w_b [1 - cos(P t_m_b, i~_b)]",
            "masking": "sum_m sum_b w_b [1 - cos(P t_m_b, t_m~_b)]",
            "l2": "(|u|_F + |i|_F)/I, norms of the whole tables, not squared",
            "total": "reconstruction + cl (alignment + masking) + reg l2"},
    "vbpr": {"bpr": "sum_b w_b softplus(u_b.n_b - u_b.p_b)",
             "l2": "sum_b w_b (|u_b|^2 + |p_b|^2 + |n_b|^2)/2 over the whole vectors that BPR scores",
             "total": "bpr + reg l2"},
    "freedom": {"bpr": "sum_b w_b softplus(u_b.n_b - u_b.p_b)",
                "feature_bpr": "sum_m sum_b w_b softplus(u_b.t_m_n - u_b.t_m_p)",
                "total": "bpr + reg feature_bpr"},
}


def one_minus_cosine(x, y, weight):
    return (weight * (1 - (F.normalize(x, dim=-1) * F.normalize(y, dim=-1)).sum(-1))).sum()


def bpr(user, pos, neg, weight):
    return (weight * F.softplus((user * neg).sum(-1) - (user * pos).sum(-1))).sum()


def linear(x, tables, name):
    return x @ tables[name + "/weight"] + tables[name + "/bias"]


def readout(case, tables, edges, degree_offset=0.0):
    """mean(E_0..E_L) of the users and of the items."""
    graph = normalised_graph(case.shape, edges, tables["embedding"].dtype)
    if degree_offset:  # the reference's D + 1e-7, from 1/d
        index, n = graph.indices(), graph.shape[0]
        degree = torch.bincount(index[0], minlength=n)[index].to(graph.dtype)
        graph = torch.sparse_coo_tensor(index, (degree + degree_offset).rsqrt().prod(0), graph.shape, is_coalesced=True)
    mean = torch.stack(propagate(tables["embedding"], [graph] * case.shape.layers)).mean(0)
    return mean.split([case.shape.users, case.shape.items])


def bm3_terms(case, step, tables, degree_offset=0.0):
    """Each 1 - cos by loss part, and what the scores and the norms are of."""
    hyper, dtype = case.hyper, tables["embedding"].dtype
    user, item = readout(case, tables, case.edges, degree_offset)
    item = item + tables["embedding"][case.shape.users:]
    views = {m: linear(tables[f"features/{m}"], tables, f"transform/{m}") for m in case.modalities}
    target = {key: x.detach() * torch.as_tensor(case.masks[key][step]).to(dtype) / (1 - hyper["dropout"])
              for key, x in ({"user": user, "item": item} | views).items()}
    predict = lambda x: linear(x, tables, "predictor")

    batch = case.batches[step]
    a, b, weight = batch["user"], batch["pos"], torch.as_tensor(batch["weight"]).to(dtype)
    aligned = rows(target["user"], a) if hyper["align_to"] == "user" else rows(target["item"], b)
    terms = {"reconstruction": {"user": one_minus_cosine(predict(rows(user, a)), rows(target["item"], b), weight),
                                "item": one_minus_cosine(predict(rows(item, b)), rows(target["user"], a), weight)},
             "alignment": {m: one_minus_cosine(predict(rows(t, b)), aligned, weight) for m, t in views.items()},
             "masking": {m: one_minus_cosine(predict(rows(t, b)), rows(target[m], b), weight) for m, t in views.items()}}
    return terms, user, item, predict


def bm3(case, step, tables, degree_offset=0.0):
    """Loss parts without their factors, with the total, and the scores of all pairs."""
    terms, user, item, predict = bm3_terms(case, step, tables, degree_offset)
    parts = {part: sum(of.values()) for part, of in terms.items()}
    parts["l2"] = (user.norm() + item.norm()) / case.shape.items
    parts["total"] = parts["reconstruction"] + case.hyper["cl"] * (parts["alignment"] + parts["masking"]) \
        + case.hyper["reg"] * parts["l2"]
    return parts, predict(user) @ predict(item).T


def vbpr(case, step, tables):
    batch = case.batches[step]
    weight = torch.as_tensor(batch["weight"]).to(tables["item"].dtype)
    features = torch.cat([tables[f"features/{m}"] for m in case.modalities], 1)
    items = torch.cat([tables["item"], linear(features, tables, "transform")], 1)
    u, p, n = rows(tables["user"], batch["user"]), rows(items, batch["pos"]), rows(items, batch["neg"])
    parts = {"bpr": bpr(u, p, n, weight), "l2": sum((weight * x.square().sum(-1)).sum() for x in (u, p, n)) / 2}
    parts["total"] = parts["bpr"] + case.hyper["reg"] * parts["l2"]
    return parts, tables["user"] @ items.T


def freedom(case, step, tables):
    hyper, shape, batch = case.hyper, case.shape, case.batches[step]
    dtype = tables["embedding"].dtype
    similar = torch.zeros(shape.items, shape.items, dtype=dtype)
    for m, lists in case.neighbours.items():
        similar.scatter_add_(1, torch.as_tensor(lists), torch.full(lists.shape, hyper["mix"][m] / lists.shape[1], dtype=dtype))
    residual = similar @ tables["embedding"][shape.users:]
    user, item = readout(case, tables, case.edges[case.kept[step]])
    item = item + residual

    weight = torch.as_tensor(batch["weight"]).to(dtype)
    u = rows(user, batch["user"])
    on = lambda x: bpr(u, rows(x, batch["pos"]), rows(x, batch["neg"]), weight)
    parts = {"bpr": on(item), "feature_bpr": sum(on(linear(tables[f"features/{m}"], tables, f"transform/{m}"))
                                                 for m in case.modalities)}
    parts["total"] = parts["bpr"] + hyper["reg"] * parts["feature_bpr"]
    user, item = readout(case, tables, case.edges)  # scores are made with all edges
    return parts, user @ (item + residual).T


MODELS = {"bm3": bm3, "vbpr": vbpr, "freedom": freedom}


def train(case, dtype, **options):
    """Five steps. Returns the outputs by name, as float64 arrays."""
    tables = {key: torch.tensor(x, dtype=dtype, requires_grad=key in case.trained) for key, x in case.tables.items()}
    update = optimiser(ADAM, [tables[key] for key in case.trained])
    out, totals = {}, []
    for step in range(STEPS):
        update.zero_grad()
        parts, scores = MODELS[case.model](case, step, tables, **options)
        parts["total"].backward()
        totals.append(parts["total"])
        if step == 0:
            out |= parts | {"scores": scores} | {"grad_" + key: tables[key].grad.clone() for key in case.trained}
        update.step()
    out |= {"totals": torch.stack(totals)} | {key: tables[key] for key in case.trained}
    return {key: value.detach().double().numpy() for key, value in out.items()}


def multimodal_case(name, seed):
    """A case and its outputs as JSON values."""
    case = draw(name, seed)
    value = train(case, torch.float64)
    runs = [train(case, torch.float32)]
    rng = np.random.Generator(np.random.PCG64(case.seed))
    for _ in range(REORDERINGS):
        other, back = reorder(case, rng)
        runs.append(back(train(other, torch.float32)))
        again = back(train(other, torch.float64))
        assert all(np.allclose(again[key], value[key], rtol=1e-9, atol=1e-12) for key in value), name
    if case.model == "bm3":
        check_degree_offset(case, value)
    left_out = {"scores"} if case.shape.users == 40 else set()  # of the largest files
    if case.model == "freedom":
        left_out |= settle_biases(case, value)

    shape = case.shape
    inputs = {"edges": case.edges.tolist(), "tables": {key: fixed_point(x, 1024) for key, x in case.tables.items()},
              "batches": [{key: x.tolist() for key, x in batch.items()} for batch in case.batches]}
    if case.masks:
        inputs["masks"] = {key: fixed_point(x, 1) for key, x in case.masks.items()}
    if case.kept:
        inputs["kept"] = [kept.tolist() for kept in case.kept]
        inputs["neighbours"] = {m: lists.tolist() for m, lists in case.neighbours.items()}
    return {"name": name, "model": case.model, "seed": case.seed, "steps": STEPS, "users": shape.users,
            "items": shape.items, "dim": shape.dim, "batch": shape.batch, "layers": shape.layers,
            "modalities": {m: FEATURE_DIMS[m] for m in case.modalities}, "hyper": case.hyper, "optimiser": ADAM,
            "formulas": FORMULAS[case.model], "inputs": inputs,
            "outputs": {key: output(x, [run[key] for run in runs]) for key, x in value.items() if key not in left_out}}


def settle_biases(case, value):
    """Sets the gradients of FREEDOM's biases to 0, which they are on paper: u.(t_n - t_p) has no bias in it.

    Returns the names of the biases: Adam divides what rounding leaves of their gradients by itself, so five steps end anywhere."""
    names = {f"transform/{m}/bias" for m in case.modalities}
    for name in names:
        assert np.abs(value["grad_" + name]).max() < NO_GRADIENT, name
        value["grad_" + name] = np.zeros_like(value["grad_" + name])
    return names


def check_degree_offset(case, value):
    """The reference's D + 1e-7 must move no output by more than 1e-7 of its largest element."""
    other = train(case, torch.float64, degree_offset=1e-7)
    for key, x in value.items():
        moved = np.abs(other[key] - x).max() / np.abs(x).max()
        assert moved < 1e-7, f"{case.name}: a degree that is larger by 1e-7 moves {key} by {moved:.2g} of its largest element"


def check_initial_cosines(seed):
    """At the initial values, and at a size that is in use, no projection knows its target yet: every 1 - cos is near 1."""
    rng = np.random.Generator(np.random.PCG64(seed))
    shape, dims = Shape(300, 200, 64, 256, 1, 0.05), {"image": 128, "text": 384}
    u, i, d = shape.users, shape.items, shape.dim
    uniform = lambda a, b: rng.uniform(-1, 1, (a, b)) * np.sqrt(6 / (a + b))  # Xavier's, as the next
    normal = lambda a, b: rng.standard_normal((a, b)) * np.sqrt(2 / (a + b))
    bias = lambda fan_in: rng.uniform(-1, 1, d) / np.sqrt(fan_in)
    tables = {"embedding": np.concatenate([uniform(u, d), uniform(i, d)]),
              "predictor/weight": normal(d, d), "predictor/bias": bias(d)}
    for m, n in dims.items():
        tables |= {f"features/{m}": rng.standard_normal((i, n)),
                   f"transform/{m}/weight": normal(n, d), f"transform/{m}/bias": bias(n)}
    edges = np.argwhere(rng.random((u, i)) < shape.density)
    pairs = edges[rng.integers(0, len(edges), shape.batch)]
    hyper = MULTIMODAL["bm3-u23"][2] | {"dropout": 0.5}
    masks = {key: rng.integers(0, 2, (1, n, d)) for key, n in ({"user": u, "item": i} | dict.fromkeys(dims, i)).items()}
    case = MultimodalCase("initial", "bm3", seed, shape, list(dims), hyper, edges, tables, {},
                          [{"user": pairs[:, 0], "pos": pairs[:, 1], "weight": np.full(shape.batch, 1 / shape.batch)}],
                          masks, [], {})
    terms, *_ = bm3_terms(case, 0, {key: torch.as_tensor(x) for key, x in tables.items()})
    for part, of in terms.items():
        for key, x in of.items():
            assert abs(x.item() - 1) < 0.4, f"{part} of {key} is {x.item():.3f} at the initial values, not near 1"
    return {f"{part} {key}": x.item() for part, of in terms.items() for key, x in of.items()}
