#!/usr/bin/env python3
"""PyTorch on the processor, on the inputs that kernelbench writes (-dump FOLDER), for comparison.

    python3 torch_cpu.py FOLDER          every case of the folder: checks the outputs against kernelbench's, times them, prints a line each
    python3 torch_cpu.py --serve         what kernelbench -torch starts: a line of JSON asks, a line answers

Each case is what a careful user of PyTorch would write: fused Adam, the faster of the sparse formats for this matrix, a symmetric adjacency whose
backward pass multiplies by itself rather than by its transpose, the loss in as few operators as there are. Threads are those of OMP_NUM_THREADS.
"""
import json
import os
import sys
import time
import warnings

import numpy
import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore", message="Sparse")  # CSR is in beta: it is what is fast
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
torch.set_num_threads(THREADS)
torch.manual_seed(1)


def adjacency(beg, end, col, rows, cols, x):
    """The matrix in the format that multiplies x fastest, and that format's name."""
    n = len(beg)
    ptr = torch.cat([beg, end[-1:]]).long()
    row = torch.repeat_interleave(torch.arange(n), ptr[1:] - ptr[:-1])
    val = rows[row] * cols[col.long()]
    shape = (n, len(cols))
    formats = {
        "csr int32": lambda: torch.sparse_csr_tensor(ptr.int(), col.int(), val, shape),
        "csr int64": lambda: torch.sparse_csr_tensor(ptr, col.long(), val, shape),
        "coo": lambda: torch.sparse_coo_tensor(torch.stack([row, col.long()]), val, shape).coalesce(),
    }
    best = None
    for name, make in formats.items():
        try:
            a = make()
            a @ x
            took = min(seconds(lambda: a @ x) for _ in range(3))
        except RuntimeError:  # a format that this build does not multiply
            continue
        if best is None or took < best[0]:
            best = (took, name, a)
    return best[2], best[1]


def seconds(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


class SpMM:
    def __init__(self, spec, x, beg, end, col, rows, cols):
        self.x = x
        self.a, self.note = adjacency(beg, end, col, rows, cols, x)

    def run(self):
        return self.a @ self.x

    def result(self):
        return [self.run()]


class InfoNCE:
    """Log-sum-exp of the scaled similarities, and the gradients of its weighted sum."""

    note = ""

    def __init__(self, spec, x, y, g):
        self.scale, self.g = spec["scale"], g
        self.x, self.y = x.requires_grad_(), y.requires_grad_()

    def run(self):
        self.x.grad = self.y.grad = None
        lse = torch.logsumexp((self.x * self.scale) @ self.y.T, 1)  # scales B x d numbers, and not B x N
        (self.g * lse).sum().backward()
        return lse

    def result(self):
        lse = self.run().detach()
        return [lse, self.x.grad, self.y.grad]


class Adam:
    note = "fused"

    def __init__(self, spec, p, m, v, g, *_):
        self.p = torch.nn.Parameter(p)
        self.p.grad = g
        self.m, self.v = m, v
        self.optimiser = torch.optim.Adam([self.p], lr=spec["lr"], betas=(spec["b1"], spec["b2"]), eps=spec["eps"], fused=True)
        self.optimiser.state[self.p] = {"step": torch.zeros(()), "exp_avg": m, "exp_avg_sq": v}

    def run(self):
        self.optimiser.step()

    def result(self):
        self.run()
        return [self.p.detach(), self.m, self.v]


class Ranking:
    note = ""

    def __init__(self, spec, users, items, ptr, seen):
        self.users, self.items, self.k = users, items, spec["k"]
        row = torch.repeat_interleave(torch.arange(len(users)), (ptr[1:] - ptr[:-1]).long())
        self.mask = (row, seen.long())

    def run(self):
        scores = self.users @ self.items.T
        scores[self.mask] = -torch.inf
        return torch.topk(scores, self.k)

    def result(self):
        return [self.run().indices.int()]


class Symmetric(torch.autograd.Function):
    """A @ x for a symmetric A without a gradient of its own."""

    @staticmethod
    def forward(ctx, a, x):
        ctx.a = a
        return a @ x

    @staticmethod
    def backward(ctx, g):
        return None, ctx.a @ g


class SimGCL:
    """A step of SimGCL as SELFRec has it: BPR on a clean pass, InfoNCE between two noisy ones over the batch's distinct users and items."""

    def __init__(self, spec, e, beg, end, col, scale, user, pos, neg):
        self.spec = spec
        self.first = e.clone()
        self.e = torch.nn.Parameter(e)
        self.a, self.note = adjacency(beg, end, col, scale, scale, e)
        self.user, self.pos, self.neg = user.long(), pos.long(), neg.long()
        self.start()

    def start(self):
        self.t = 0
        with torch.no_grad():
            self.e.copy_(self.first)
        self.optimiser = torch.optim.Adam([self.e], lr=self.spec["lr"], fused=True)

    def propagate(self, eps):
        x, layers = self.e, []
        for _ in range(self.spec["layers"]):
            x = Symmetric.apply(self.a, x)
            if eps is not None:
                x = x + torch.sign(x) * F.normalize(torch.rand_like(x), dim=-1) * eps
            layers.append(x)
        return torch.stack(layers, 1).mean(1)

    def contrast(self, x, y, ids):
        x, y = F.normalize(x[ids], dim=1), F.normalize(y[ids], dim=1)
        logits = (x / self.spec["tau"]) @ y.T  # SELFRec divides the product, which is larger
        return (torch.logsumexp(logits, 1) - logits.diagonal()).mean()

    def step(self, eps):
        at = self.t % len(self.user)
        self.t += 1
        u, p, n = self.user[at], self.pos[at], self.neg[at]
        z = self.propagate(None)
        zu, zp, zn = z[u], z[p], z[n]
        bpr = F.softplus((zu * (zn - zp)).sum(1)).mean()
        l2 = 0.5 * (zu.square().sum() + zp.square().sum()) / len(u)
        x, y = self.propagate(eps), self.propagate(eps)
        ssl = self.contrast(x, y, torch.unique(u)) + self.contrast(x, y, torch.unique(p))
        loss = bpr + self.spec["reg"] * l2 + self.spec["lambda"] * ssl
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return torch.stack([loss, bpr, l2, ssl]).detach()

    def run(self):
        self.step(self.spec["eps"])

    def result(self):
        """Losses of the first steps without noise: random numbers are each program's own."""
        self.start()
        out = torch.stack([self.step(0.0) for _ in range(self.spec["checked"])])
        self.start()
        return [out]


OPS = {"spmm": SpMM, "infonce": InfoNCE, "adam": Adam, "ranking": Ranking, "simgcl": SimGCL}


def load(folder):
    with open(os.path.join(folder, "case.json"), encoding="utf-8") as f:
        spec = json.load(f)
    inputs = [torch.from_numpy(numpy.load(os.path.join(folder, f"in{i}.npy"))) for i in range(spec["inputs"])]
    return spec, OPS[spec["op"]](spec, *inputs)


def clocked(case, times):
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        case.run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def serve():
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    folder, case = None, None
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            if ask["case"] != folder:
                case = None  # the last one's memory first
                _, case = load(ask["case"])
                folder = ask["case"]
            if "save" in ask:
                with torch.no_grad() if isinstance(case, (SpMM, Ranking)) else torch.enable_grad():
                    results = case.result()
                for i, t in enumerate(results):
                    numpy.save(f"{ask['save']}{i}.npy", numpy.ascontiguousarray(t.numpy()))
                answer = {"outputs": len(results), "note": case.note}
            else:
                answer = clocked(case, ask["times"])
        except Exception as e:  # kernelbench says it, and goes on
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


def alone(root):
    print(f"PyTorch {torch.__version__}, {THREADS} threads")
    for folder in sorted(os.path.join(root, name) for name in os.listdir(root)):
        if not os.path.exists(os.path.join(folder, "case.json")):
            continue
        spec, case = load(folder)
        worst = 0.0
        for i, got in enumerate(case.result()):
            want = torch.from_numpy(numpy.load(os.path.join(folder, f"out{i}.npy")))
            if spec["op"] == "ranking":  # scores that are equal but for rounding may change places
                worst = max(worst, (got != want).double().mean().item())
            else:
                worst = max(worst, ((got - want).abs().max() / want.abs().max()).item())
        case.run()
        times = sorted(clocked(case, 1)["wall"] for _ in range(9))
        print(f"{spec['kernel']:24} {spec['size']:32} {times[4] * 1e3:9.2f} ms  differs by {worst:.1e} of the largest  {case.note}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    elif len(sys.argv) == 2:
        alone(sys.argv[1])
    else:
        sys.exit(__doc__)
