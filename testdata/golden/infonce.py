"""InfoNCE alone: both seed forms, biased and absent columns, dot products."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tensors import REORDERINGS, fixed_point, output


def row_losses(form, x, y, index, tau, normalise, bias, bias_positive):
    """Per-row loss [B] in one of the seed forms, or in the form that never overflows ("stable")."""
    if normalise:
        x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    logits, at = x @ y.T / tau, index.clamp(min=0)
    positive = (x * y[at]).sum(-1) / tau
    if bias is not None:
        logits = logits + bias
        positive = positive + bias[at] if bias_positive else positive
    if form == "A":
        return torch.logsumexp(logits - positive[:, None], -1)
    if form == "B":
        return -torch.log(torch.exp(positive) / torch.exp(logits).sum(-1))
    return torch.logsumexp(logits, -1) - positive


def info_nce_outputs(form, case, dtype, x, y, index, weight, bias, absent):
    x, y = (torch.tensor(m, dtype=dtype, requires_grad=True) for m in (x, y))
    index, column_bias = torch.as_tensor(index), None
    if bias is not None:
        bias = torch.tensor(bias, dtype=dtype, requires_grad=True)
        column_bias = bias.masked_fill(torch.as_tensor(absent), -math.inf)
    loss = row_losses(form, x, y, index, case["tau"], case["normalise"], column_bias, case["bias_positive"])
    loss = torch.where(index >= 0, loss, torch.zeros((), dtype=dtype))
    value = (torch.as_tensor(weight).to(dtype) * loss).sum()
    value.backward()
    out = {"rows": loss, "value": value, "grad_x": x.grad, "grad_y": y.grad}
    if bias is not None:
        out["grad_bias"] = bias.grad
    return {key: t.detach().double().numpy() for key, t in out.items()}


def info_nce_case(name, form, seed, sizes, tau, normalise=True, scale=1.0, bias="none", bias_positive=False,
                  all_pads=False):
    """sizes is (B, N, d). Form A: N columns, sum; form B: the batch is its own columns (N = B), mean."""
    rng = np.random.Generator(np.random.PCG64(seed))
    b, n, d = sizes
    assert form == "A" or n == b
    draw = lambda k: np.rint(rng.standard_normal((k, d)) * scale * 256) / 256
    index = np.arange(b) if form == "B" else rng.integers(0, n - 2, b)
    x, y = draw(b), draw(n)
    if form == "A":
        index[1] = index[0]                     # a duplicate in the batch
        if index[2] == index[0]:
            index[2] = (index[0] + 1) % (n - 2)
    else:
        y[1] = y[0]
    x[1] = x[0]
    y[index[0]] = 2 * x[0]                      # cosine 1
    if form == "B":
        y[1] = y[0]                             # a tie of two columns, both of cosine 1 with both rows
    y[index[2]] = -x[2] / 2                     # cosine -1
    y[n - 2] = y[index[2]]                      # a tie with a positive
    pads = np.arange(b) if all_pads else np.array([b - 1])
    index[pads] = -1
    real = max(1, b - len(pads))
    weight = np.where(index >= 0, 1.0 if form == "A" else 1.0 / real, 0.0)
    column_bias, absent = None, np.zeros(n, bool)
    if form == "B":
        absent[pads] = True
    if bias != "none":
        column_bias = np.zeros(n)
        if bias == "logq":                      # logQ of -20, +20 and in between: the bias is its negative
            column_bias[:] = np.rint(rng.standard_normal(n) * 256) / 64
            column_bias[[0, n - 1]], column_bias[n - 2] = 20, -20
        else:
            free = np.setdiff1d(np.arange(n), index)
            absent[free[:len(free) // 2]] = True
            absent[index[0]] = not bias_positive  # a positive need not be among the columns
    if absent.any() and column_bias is None:
        column_bias = np.zeros(n)
    case = {"name": name, "form": form, "seed": seed, "tau": tau, "normalise": normalise,
            "bias_positive": bias_positive, "reduce": "sum" if form == "A" else "mean"}
    args = (x, y, index, weight, column_bias, absent)
    value = info_nce_outputs("stable", case, torch.float64, *args)
    literal = info_nce_outputs(form, case, torch.float64, *args)
    in_range = form == "A" or normalise
    for key in value if in_range else ():  # the seed's own expression, where float64 can hold it
        assert np.allclose(literal[key], value[key], rtol=1e-11, atol=1e-11 / tau), (name, key)
    seed32 = info_nce_outputs(form, case, torch.float32, *args)

    runs = [info_nce_outputs("stable", case, torch.float32, *args)]
    for _ in range(REORDERINGS):
        row, column, axis = rng.permutation(b), rng.permutation(n), rng.permutation(d)
        place = np.argsort(column)  # new position of each old column
        other = (x[row][:, axis], y[column][:, axis], np.where(index >= 0, place[index], -1)[row], weight[row],
                 None if column_bias is None else column_bias[column], absent[column])
        out = info_nce_outputs("stable", case, torch.float32, *other)
        back_row, back_axis = np.argsort(row), np.argsort(axis)
        out |= {"rows": out["rows"][back_row], "grad_x": out["grad_x"][back_row][:, back_axis],
                "grad_y": out["grad_y"][place][:, back_axis]}
        if column_bias is not None:
            out["grad_bias"] = out["grad_bias"][place]
        runs.append(out)

    inputs = {"x": fixed_point(x, 512), "y": fixed_point(y, 512), "index": index.tolist(), "weight": weight.tolist()}
    if column_bias is not None:
        inputs |= {"bias": column_bias.tolist(), "absent": absent.astype(int).tolist()}
    return case | {"seed_form_finite_in_float32": bool(all(np.isfinite(v).all() for v in seed32.values())),
                   "inputs": inputs,
                   "outputs": {key: output(value[key], [run[key] for run in runs]) for key in value}}


def info_nce_cases():
    cases, small, odd = [], (6, 11, 5), (11, 23, 17)
    add = lambda *args, **options: cases.append(info_nce_case(*args, **options))
    seed = 5000
    for tau in (0.2, 0.1, 0.05, 0.02, 0.01):
        for tag, (b, n, d) in (("small", small), ("odd", odd)):
            add(f"A-{tag}-tau{tau}", "A", seed, (b, n, d), tau)
            add(f"B-{tag}-tau{tau}", "B", seed + 1, (b, b, d), tau)
            seed += 2
    for tau in (0.2, 0.01):
        for included in (False, True):
            suffix = f"tau{tau}-positive-{'biased' if included else 'plain'}"
            add(f"A-logq-{suffix}", "A", seed, small, tau, bias="logq", bias_positive=included)
            add(f"A-absent-{suffix}", "A", seed + 1, small, tau, bias="absent", bias_positive=included)
            seed += 2
    for tau, scale in ((1.0, 1.0), (0.2, 2.0), (0.05, 2.0)):  # logits up to about +-1000: past exp in float64
        add(f"A-dot-tau{tau}", "A", seed, odd, tau, normalise=False, scale=scale)
        add(f"B-dot-tau{tau}", "B", seed + 1, (11, 11, 17), tau, normalise=False, scale=scale)
        seed += 2
    add("A-dot-logq", "A", seed, odd, 1.0, normalise=False, scale=1.0, bias="logq", bias_positive=True)
    add("A-all-pads", "A", seed + 1, small, 0.2, all_pads=True)
    same = info_nce_forms_agree()
    return {"seed_forms_on_the_same_negatives": same, "cases": cases}


def info_nce_forms_agree():
    """Form A (sum) = n form B (mean) where both see the same columns: the two values, for the tests to compare."""
    rng = np.random.Generator(np.random.PCG64(4999))
    b, d, out = 8, 6, []
    x, y = (np.rint(rng.standard_normal((b, d)) * 256) / 256 for _ in range(2))
    index = torch.arange(b)
    for tau in (0.2, 0.1, 0.05, 0.02, 0.01):
        args = (torch.tensor(x), torch.tensor(y), index, tau, True, None, False)
        a, m = row_losses("A", *args).sum().item(), row_losses("B", *args).mean().item()
        assert math.isclose(a, b * m, rel_tol=1e-12)
        out.append({"tau": tau, "form_a_sum": a, "form_b_mean": m})
    return {"x": fixed_point(x, 512), "y": fixed_point(y, 512), "values": out}
