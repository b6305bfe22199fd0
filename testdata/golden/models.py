"""BPR-MF, LightGCN, SGL, SimGCL and XSimGCL: losses, gradients and five optimiser steps."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from cases import MODELS, SHAPES, STEPS, build, reorder, unique_ids
from tensors import REORDERINGS, fixed_point, output

SIGN_MARGIN = 2e-6  # the noise models' smallest |E|: float32 must see the same signs

FORMULAS = {
    "bpr": "sum_b w_b softplus(u_b.n_b - u_b.p_b)",
    "l2/ego": "sum_b w_b (|u_b|^2 + |p_b|^2 + |n_b|^2)/2 over rows of E0",
    "l2/final": "sum_b w_b (sum over l2_terms of |row_b|^2)/2 over rows of the embeddings that BPR scores",
    "ssl/all": "sum_b w_b [lse over ALL users j of cos(v1_ub, v2_j)/tau - cos(v1_ub, v2_ub)/tau] + the same over items",
    "ssl/batch": "sum_k q_k [lse over unique users j of cos(v1_k, v2_j)/tau - cos(v1_k, v2_k)/tau], q = 1/#unique, "
                 "+ the same over unique positive items",
    "ssl/batch-merged": "sum_k q_k [lse over j of cos(v1_k, v2_j)/tau - cos(v1_k, v2_k)/tau], k and j over the unique "
                        "users followed by the unique positive items, q = 1/(#users + #items)",
}


def rows(x, ids):
    """x[ids], zero where the id is -1."""
    ids = torch.as_tensor(ids)
    return torch.where((ids >= 0)[:, None], x[ids.clamp(min=0)], torch.zeros((), dtype=x.dtype))


def normalised_graph(shape, edges, dtype):
    """D^-1/2 A D^-1/2 of the bipartite graph, 1/sqrt(0) = 0: sparse [U+I, U+I]."""
    n = shape.users + shape.items
    ends = torch.as_tensor(edges) + torch.tensor([0, shape.users])
    source, target = torch.cat([ends, ends.flip(1)]).T
    degree = torch.bincount(source, minlength=n).to(dtype)
    scale = torch.where(degree > 0, degree.clamp(min=1).rsqrt(), torch.zeros((), dtype=dtype))
    return torch.sparse_coo_tensor(torch.stack([source, target]), scale[source] * scale[target], (n, n)).coalesce()


def propagate(e0, graphs, noise=None, eps=0.0, margins=None):
    """Layers E0..EL: E_k = A_k E_{k-1} [+ eps sign(E_k) normalise(noise_k), carried into the next layer]."""
    layers = [e0]
    for k, graph in enumerate(graphs):
        e = torch.sparse.mm(graph, layers[-1])
        if noise is not None:
            if margins is not None:
                linked = torch.unique(graph.indices()[0])  # other rows are exactly 0, and sign(0) = 0
                margins.append(e[linked].abs().min().item())
            e = e + eps * torch.sign(e) * F.normalize(noise[k], dim=-1)
        layers.append(e)
    return layers


def info_nce(x, y, index, weight, tau, absent=None):
    """sum_b w_b [lse_j cos(x_b, y_j)/tau - cos(x_b, y_index_b)/tau] over the columns j that are not absent."""
    x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    logits = x @ y.T / tau
    if absent is not None:
        logits = logits.masked_fill(absent[None, :], -math.inf)
    positive = (x * y[index.clamp(min=0)]).sum(-1) / tau
    return (weight * (torch.logsumexp(logits, -1) - positive)).sum()


def contrast(case, step, view1, view2):
    """The self-supervised part for the users' and the items' embeddings of two views."""
    hyper, batch = case.hyper, case.batches[step]
    dtype = view1[0].dtype
    if hyper["negatives"] == "all":
        weight = torch.as_tensor(batch["weight"]).to(dtype)
        sides = zip(view1, view2, (torch.as_tensor(batch["user"]), torch.as_tensor(batch["pos"])))
        return sum(info_nce(rows(x, ids), y, ids, weight, hyper["tau"]) for x, y, ids in sides)
    groups = []
    for x, y, (ids, weight) in zip(view1, view2, unique_ids(case, batch)):
        groups.append((rows(x, ids), rows(y, ids), torch.as_tensor(ids < 0), torch.as_tensor(weight).to(dtype)))
    if hyper["negatives"] == "batch-merged":
        groups = [tuple(torch.cat(parts) for parts in zip(*groups))]
    return sum(info_nce(x, y, torch.arange(len(x)), weight, hyper["tau"], absent) for x, y, absent, weight in groups)


def losses(case, step, user, item, margins=None):
    """Loss parts without their factors, the total, and the embeddings that BPR scores."""
    hyper, shape, batch, dtype = case.hyper, case.shape, case.batches[step], user.dtype
    first = int(hyper["readout"][0])
    e0 = torch.cat([user, item])
    split = lambda e: (e[:shape.users], e[shape.users:])
    readout = lambda layers: split(torch.stack(layers[first:]).mean(0))
    graph = lambda edges: normalised_graph(shape, edges, dtype)
    noise = None if case.noise is None else torch.as_tensor(case.noise[step]).to(dtype)

    clean = [graph(case.edges)] * case.depth
    parts, ssl = {}, None
    if hyper["contrast"] == "cross-layer":
        layers = propagate(e0, clean, noise[0], hyper["eps"], margins)
        final = readout(layers)
        ssl = contrast(case, step, final, split(layers[hyper["layer_cl"]]))
    else:
        final = readout(propagate(e0, clean))
        if hyper["contrast"] == "noise":
            views = [propagate(e0, clean, noise[v], hyper["eps"], margins) for v in range(2)]
        elif hyper["contrast"] == "views":
            views = [propagate(e0, [graph(case.edges[kept[min(k, len(kept) - 1)]]) for k in range(case.depth)])
                     for kept in case.views[step]]
        if hyper["contrast"] != "none":
            ssl = contrast(case, step, *map(readout, views))

    weight = torch.as_tensor(batch["weight"]).to(dtype)
    pick = lambda tables: {"user": rows(tables[0], batch["user"]), "pos": rows(tables[1], batch["pos"]),
                           "neg": rows(tables[1], batch["neg"])}
    scored = pick(final)
    penalised = pick((user, item)) if hyper["l2_rows"] == "ego" else scored
    margin = (scored["user"] * scored["neg"]).sum(-1) - (scored["user"] * scored["pos"]).sum(-1)
    parts["bpr"] = (weight * F.softplus(margin)).sum()
    parts["l2"] = sum((weight * penalised[term].square().sum(-1)).sum() for term in hyper["l2_terms"]) / 2
    parts["total"] = parts["bpr"] + hyper["reg"] * parts["l2"]
    if ssl is not None:
        parts["ssl"] = ssl
        parts["total"] = parts["total"] + hyper["lambda"] * ssl
    return parts, final


def optimiser(options, params):
    lr = options["lr"]
    betas = (options.get("beta1"), options.get("beta2"))
    match options["name"]:
        case "adam":
            return torch.optim.Adam(params, lr=lr, betas=betas, eps=options["eps"])
        case "adamw":
            return torch.optim.AdamW(params, lr=lr, betas=betas, eps=options["eps"],
                                     weight_decay=options["weight_decay"])
        case "sgd":
            return torch.optim.SGD(params, lr=lr, momentum=options["momentum"])
        case "adagrad":
            return torch.optim.Adagrad(params, lr=lr, eps=options["eps"])
    raise ValueError(options["name"])


def train(case, dtype, margins=None):
    """Five steps. Returns the outputs by name, as float64 arrays."""
    user = torch.tensor(case.user, dtype=dtype, requires_grad=True)
    item = torch.tensor(case.item, dtype=dtype, requires_grad=True)
    update = optimiser(case.optimiser, [user, item])
    out, totals = {}, []
    for step in range(STEPS):
        update.zero_grad()
        parts, final = losses(case, step, user, item, margins)
        parts["total"].backward()
        totals.append(parts["total"])
        if step == 0:
            out |= parts | {"final_user": final[0], "final_item": final[1],
                            "grad_user": user.grad.clone(), "grad_item": item.grad.clone()}
        update.step()
    out |= {"totals": torch.stack(totals), "user": user, "item": item}
    return {key: value.detach().double().numpy() for key, value in out.items()}


def golden_case(name, model, options, shape_name, seed):
    """A case and its outputs as JSON values. A case with a sign too close to call is drawn again."""
    shape = SHAPES[shape_name]
    while True:
        case, margins = build(name, MODELS[model], options, shape, seed), []
        value = train(case, torch.float64, margins)
        if not margins or min(margins) >= SIGN_MARGIN:
            break
        seed += 1
    runs = [train(case, torch.float32)]
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(REORDERINGS):
        other, back = reorder(case, rng)
        runs.append(back(train(other, torch.float32)))
        again = back(train(other, torch.float64))
        assert all(np.allclose(again[key], value[key], rtol=1e-9, atol=1e-12) for key in value), name

    batches = []
    for batch in case.batches:
        batch = dict(batch)
        if case.hyper.get("unique"):
            (batch["unique_user"], batch["unique_user_weight"]), (batch["unique_item"], batch["unique_item_weight"]) \
                = unique_ids(case, batch)
        batches.append({key: x.tolist() for key, x in batch.items()})
    inputs = {"edges": case.edges.tolist(), "user": fixed_point(case.user, 1024), "item": fixed_point(case.item, 1024),
              "batches": batches}
    if case.views:
        inputs["views"] = [[[kept.tolist() for kept in view] for view in step] for step in case.views]
    if case.noise is not None:
        inputs["noise"] = fixed_point(case.noise, 256)
    with_final = case.depth > 0 and shape_name != "u40"  # left out of the largest files
    shown = [key for key in value if with_final or not key.startswith("final")]
    formulas = {"bpr": FORMULAS["bpr"], "l2": FORMULAS["l2/" + case.hyper["l2_rows"]]}
    formulas["total"] = "bpr + reg l2"
    if "ssl" in value:
        formulas["ssl"] = FORMULAS["ssl/" + case.hyper["negatives"]]
        formulas["total"] = "bpr + lambda ssl + reg l2"
    return {"name": name, "model": model, "seed": seed, "steps": STEPS, "users": shape.users, "items": shape.items,
            "dim": shape.dim, "batch": shape.batch, "layers": case.depth, "hyper": case.hyper, "optimiser": options,
            "formulas": formulas, "inputs": inputs,
            "outputs": {key: output(value[key], [run[key] for run in runs]) for key in shown}}
