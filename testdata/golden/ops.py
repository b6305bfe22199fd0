"""Forward and backward of a few operators."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tensors import output, tensor


def masked(x, mask, fill):
    return x.masked_fill(mask == 0, fill)


def masked_softmax(x, mask):
    """Softmax over mask = 1; a row without any is 0 (PyTorch alone gives NaN)."""
    some = (mask != 0).any(-1, keepdim=True)
    return torch.where(some, torch.softmax(torch.where(some, masked(x, mask, -math.inf), x), -1),
                       torch.zeros((), dtype=x.dtype))


def matmul(transpose_a, transpose_b):
    return lambda a, b: (a.mT if transpose_a else a) @ (b.mT if transpose_b else b)


def op_case(name, op, forward, inputs, grad, options=None):
    """Forward and backward of one operator. Masks carry no gradient."""
    def run(dtype, flipped):
        turn = (lambda a: np.flip(a).copy()) if flipped else (lambda a: a)  # only the order of sums differs
        leaves = {key: torch.tensor(turn(a), dtype=dtype, requires_grad=key != "mask") for key, a in inputs.items()}
        y = forward(**leaves)
        y.backward(torch.tensor(turn(grad), dtype=dtype))
        out = {"y": y} | {f"grad_{key}": leaf.grad for key, leaf in leaves.items() if key != "mask"}
        return {key: turn(t.detach().double().numpy()) for key, t in out.items()}

    value, runs = run(torch.float64, False), [run(torch.float32, False), run(torch.float32, True)]
    return {"name": name, "op": op, "options": options or {},
            "inputs": {key: tensor(a) for key, a in (inputs | {"grad_y": grad}).items()},
            "outputs": {key: output(value[key], [r[key] for r in runs]) for key in value}}


def op_cases():
    rng = np.random.Generator(np.random.PCG64(7000))
    draw = lambda *dims: np.rint(rng.standard_normal(dims) * 256) / 256
    full = lambda *dims: rng.standard_normal(dims).astype(np.float32)  # all 24 bits: products must round
    normalise = lambda x: F.normalize(x, dim=-1, eps=1e-12)
    cases = []
    for r, d in ((1, 2), (4, 3), (9, 17)):
        x = draw(r, d)
        x[x == 0] = 1
        cases.append(op_case(f"normalise-{r}x{d}", "normalise_rows", normalise, {"x": x}, draw(r, d), {"eps": 1e-12}))
    # Below eps the gradient is grad_y / eps, about 1e12: alone, for it would hide ordinary rows in the maximum norm.
    x = draw(2, 5)
    x[0], x[1] = 0, np.float32(1e-13) * np.sign(x[1])
    cases.append(op_case("normalise-below-eps", "normalise_rows", normalise, {"x": x}, draw(2, 5), {"eps": 1e-12}))

    for b, n in ((1, 1), (5, 7), (8, 33)):
        x, mask = draw(b, n) * 4, (rng.random((b, n)) < 0.7).astype(float)
        mask[:, 0] = 1
        if b > 1:
            mask[1], mask[2] = 0, 0     # a row without columns, and one with a single column
            mask[2, 3] = 1
            x[3] = x[3, 0]              # all tied
            x[4, :2] = (90, -90)
        cases.append(op_case(f"softmax-masked-{b}x{n}", "masked_softmax", masked_softmax, {"x": x, "mask": mask},
                             draw(b, n)))
        lse = lambda x: torch.logsumexp(x, -1)
        x = draw(b, n) * 4
        if b > 1:
            x[1], x[2, 0], x[3] = x[1, 0], 1000, x[3] - 1000
        cases.append(op_case(f"logsumexp-{b}x{n}", "logsumexp", lse, {"x": x}, draw(b)))

    for tag, batch, m, k, n in (("2d", (), 3, 5, 4), ("batched", (3,), 4, 7, 5), ("rank4", (2, 3), 3, 4, 2)):
        for ta in (False, True):
            for tb in (False, True):
                a = full(*batch, *((k, m) if ta else (m, k)))
                b = full(*batch, *((n, k) if tb else (k, n)))
                cases.append(op_case(f"matmul-{tag}-{'t' if ta else 'n'}{'t' if tb else 'n'}", "matmul",
                                     matmul(ta, tb), {"a": a, "b": b}, full(*batch, m, n),
                                     {"transpose_a": ta, "transpose_b": tb}))
    return {"cases": cases}
