#!/usr/bin/env python3
"""BM3 (Zhou et al., Bootstrap Latent Representations for Multi-modal Recommendation, WWW 2023) in plain PyTorch, for comparison.

    python3 bm3_torch.py --data FOLDER                   trains, evaluates every epoch, prints a line of JSON at the end
    python3 bm3_torch.py --data FOLDER --time-steps 200  times training steps only

FOLDER is MMRec's: NAME.inter (tab separated, columns userID, itemID, x_label: 0 train, 1 valid, 2 test) and one or more *_feat.npy, a row per item.
Rankings are full, over all items but the user's training items; the epoch with the best validation Recall@20 is reported on the test split.

Each step is what a careful user of PyTorch would write: fused Adam, the faster of the sparse formats for this matrix, a symmetric adjacency whose
backward pass multiplies by itself rather than by its transpose, and only the batch's rows, each once, transformed, projected and normalised.
With --threads 2 or more and other work on the machine, OMP_WAIT_POLICY=passive in the environment: threads that spin make a step ten times longer.
"""
import argparse
import json
import pathlib
import sys
import time
import warnings

import numpy
import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore", message="Sparse")  # CSR is in beta: it is what is fast
WARM_UP = 20  # steps that are not timed
TRAIN, VALID, TEST = 0, 1, 2


def read_interactions(folder):
    """Users, items and splits of all interactions."""
    paths = sorted(folder.glob("*.inter"))
    if len(paths) != 1:
        sys.exit(f"{folder}: {len(paths)} .inter files, want one")
    with open(paths[0], encoding="utf-8") as f:
        columns = f.readline().split()
        where = [columns.index(name) for name in ("userID", "itemID", "x_label")]
        return torch.from_numpy(numpy.loadtxt(f, delimiter="\t", usecols=where, dtype=numpy.int64).T.copy())


def read_features(folder, items):
    """{modality: [items, columns]} of the folder's NAME_feat.npy."""
    features = {}
    for path in sorted(folder.glob("*_feat.npy")):
        x = torch.from_numpy(numpy.load(path)).float().contiguous()
        if len(x) != items:
            sys.exit(f"{path}: {len(x)} rows for {items} items")
        features[path.name.removesuffix("_feat.npy")] = x
    if not features:
        sys.exit(f"{folder}: no *_feat.npy")
    return features


def fastest_format(a, columns):
    """The matrix as COO or CSR, whichever multiplies a [n, columns] table faster, and that format's name."""
    x, best = torch.randn(a.shape[1], columns), None
    for name, a in (("coo", a), ("csr", a.to_sparse_csr())):
        a @ x
        took = []
        for _ in range(5):
            start = time.perf_counter()
            a @ x
            took.append(time.perf_counter() - start)
        if best is None or min(took) < best[0]:
            best = (min(took), a, name)
    return best[1:]


def normalised_adjacency(user, item, users, items):
    """D^-1/2 A D^-1/2 of the bipartite graph, users first; rows without an edge are 0."""
    index = torch.stack([torch.cat([user, item + users]), torch.cat([item + users, user])])
    index = torch.unique(index, dim=1)
    degree = torch.bincount(index[0], minlength=users + items).clamp(min=1)
    value = (degree[index[0]] * degree[index[1]]).float().rsqrt()
    return torch.sparse_coo_tensor(index, value, (users + items, users + items)).coalesce()


class Symmetric(torch.autograd.Function):
    """A @ x for a symmetric A without a gradient of its own."""

    @staticmethod
    def forward(ctx, a, x):
        ctx.a = a
        return a @ x

    @staticmethod
    def backward(ctx, g):
        return None, ctx.a @ g


def one_minus_cosine(x, y):
    """Of rows that are normalised."""
    return 1 - (x * y).sum() / len(x)


class BM3(torch.nn.Module):
    def __init__(self, adjacency, users, features, options):
        super().__init__()
        self.a, self.users, self.options = adjacency, users, options
        items = adjacency.shape[0] - users
        self.user = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(users, options.dim)))
        self.item = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(items, options.dim)))
        self.predictor = torch.nn.Linear(options.dim, options.dim)
        self.features = torch.nn.ParameterDict(
            {m: torch.nn.Parameter(x, requires_grad=not options.freeze_features) for m, x in features.items()})
        self.transforms = torch.nn.ModuleDict({m: torch.nn.Linear(x.shape[1], options.dim) for m, x in features.items()})
        for layer in (self.predictor, *self.transforms.values()):
            torch.nn.init.xavier_normal_(layer.weight)

    def tables(self):
        """The propagated users, and items with a residual of their own."""
        x = total = torch.cat([self.user, self.item])
        for _ in range(self.options.layers):
            x = Symmetric.apply(self.a, x)
            total = total + x
        user, item = (total / (self.options.layers + 1)).split([self.users, len(self.item)])
        return user, item + self.item

    def loss(self, user_ids, item_ids):
        options = self.options
        predicted = lambda x: F.normalize(self.predictor(x))
        target = lambda x: F.normalize(F.dropout(x.detach(), options.dropout))
        user, item = self.tables()
        norms = (user.norm() + item.norm()) / len(item)
        users, a = user_ids.unique(return_inverse=True)
        items, b = item_ids.unique(return_inverse=True)
        u, i = user[users], item[items]
        item_target = target(i)[b]
        loss = one_minus_cosine(predicted(u)[a], item_target) + one_minus_cosine(predicted(i)[b], target(u)[a])
        for m, features in self.features.items():
            t = self.transforms[m](features[items])
            p = predicted(t)[b]
            loss = loss + options.cl * (one_minus_cosine(p, item_target) + one_minus_cosine(p, target(t)[b]))
        return loss + options.reg * norms

    @torch.no_grad()
    def scored(self):
        """Tables whose inner products are the scores."""
        user, item = self.tables()
        return self.predictor(user), self.predictor(item)


class Ranking:
    """Recall and NDCG of the users that have a target, training items left out of the lists."""

    def __init__(self, seen, wanted, cutoffs):
        self.seen, self.wanted, self.cutoffs = seen, wanted, cutoffs  # [users, items], True where there is an interaction
        self.rows = wanted.any(1).nonzero().flatten()

    @torch.no_grad()
    def measure(self, user, item):
        last = max(self.cutoffs)
        discount = 1 / torch.log2(torch.arange(2.0, last + 2))
        ideal = torch.cat([torch.zeros(1), discount.cumsum(0)])
        sums = {f"{name}@{k}": 0.0 for name in ("Recall", "NDCG") for k in self.cutoffs}
        for rows in self.rows.split(1024):
            scores = (user[rows] @ item.T).masked_fill_(self.seen[rows], -torch.inf)
            wanted = self.wanted[rows]
            hits = wanted.gather(1, scores.topk(last).indices).double()
            n = wanted.sum(1)
            for k in self.cutoffs:
                sums[f"Recall@{k}"] += (hits[:, :k].sum(1) / n).sum().item()
                sums[f"NDCG@{k}"] += ((hits[:, :k] * discount[:k]).sum(1) / ideal[n.clamp(max=k)]).sum().item()
        return {name: total / len(self.rows) for name, total in sums.items()}


def batches(user, item, size):
    """All pairs once, in random order."""
    for ids in torch.randperm(len(user)).split(size):
        yield user[ids], item[ids]


def step(model, optimiser, user_ids, item_ids):
    optimiser.zero_grad()
    loss = model.loss(user_ids, item_ids)
    loss.backward()
    optimiser.step()
    return loss.detach()


def time_steps(model, optimiser, train, options):
    """Median wall clock, and mean processor time of all threads: the latter stands where the machine has other work."""
    wall, cpu = [], []
    while len(wall) < WARM_UP + options.time_steps:
        for user_ids, item_ids in batches(*train, options.batch):
            if len(user_ids) < options.batch:
                continue  # an epoch's last batch
            start = time.perf_counter(), time.process_time()
            step(model, optimiser, user_ids, item_ids)
            wall.append(time.perf_counter() - start[0])
            cpu.append(time.process_time() - start[1])
    timed = slice(WARM_UP, WARM_UP + options.time_steps)
    return {"ms_per_step": round(numpy.median(wall[timed]) * 1e3, 3), "cpu_ms_per_step": round(numpy.mean(cpu[timed]) * 1e3, 3)}


def fit(model, optimiser, train, valid, test, options):
    """Trains until validation has not been better for `patience` epochs. Returns what is known of the best."""
    best, training, start = {"epoch": 0, "valid": {"Recall@20": -1.0}}, 0.0, time.perf_counter()
    for epoch in range(1, options.epochs + 1):
        began, losses = time.perf_counter(), []
        for user_ids, item_ids in batches(*train, options.batch):
            losses.append(step(model, optimiser, user_ids, item_ids))
        loss = torch.stack(losses).mean().item()
        training += time.perf_counter() - began
        if loss != loss:
            sys.exit(f"epoch {epoch}: the loss is not a number")
        tables = model.scored()
        found = valid.measure(*tables)
        better = found["Recall@20"] > best["valid"]["Recall@20"]
        if better:
            best = {"epoch": epoch, "valid": found, "test": test.measure(*tables)}
        print(f"epoch {epoch} loss {loss:.5f} valid Recall@20 {found['Recall@20']:.5f}{' *' if better else ''}", file=sys.stderr, flush=True)
        if epoch - best["epoch"] >= options.patience:
            break
    return best | {"epochs": epoch, "train_seconds": round(training, 1), "seconds": round(time.perf_counter() - start, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="MMRec folder")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--reg", type=float, default=0.1, help="factor of the norms")
    parser.add_argument("--dropout", type=float, default=0.5, help="of the targets")
    parser.add_argument("--cl", type=float, default=2.0, help="factor of alignment and masking")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--patience", type=int, default=20, help="evaluations without a better one that end the run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--k", type=int, nargs="+", default=[5, 10, 20, 50], help="cutoffs; 20, which selects, is always one")
    parser.add_argument("--freeze-features", action="store_true", help="features are constants, not parameters")
    parser.add_argument("--time-steps", type=int, default=0, metavar="N", help="time N training steps and end")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    user, item, label = read_interactions(options.data)
    users, items = int(user.max()) + 1, int(item.max()) + 1
    split = {s: (user[label == s], item[label == s]) for s in (TRAIN, VALID, TEST)}
    adjacency, layout = fastest_format(normalised_adjacency(*split[TRAIN], users, items), options.dim)
    model = BM3(adjacency, users, read_features(options.data, items), options)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=options.lr, fused=True)

    if options.time_steps:
        result = time_steps(model, optimiser, split[TRAIN], options)
    else:
        dense = lambda s: torch.zeros(users, items, dtype=torch.bool).index_put_(split[s], torch.tensor(True))
        seen, cutoffs = dense(TRAIN), sorted({20, *options.k})
        result = fit(model, optimiser, split[TRAIN], Ranking(seen, dense(VALID), cutoffs), Ranking(seen, dense(TEST), cutoffs), options)
    print(json.dumps({"model": "BM3", "torch": torch.__version__, "sparse": layout, "users": users, "items": items}
                     | {key: str(x) if key == "data" else x for key, x in vars(options).items()} | result))


if __name__ == "__main__":
    main()
