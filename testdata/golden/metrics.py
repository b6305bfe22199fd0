"""Ranking metrics of a score matrix with ties, from their definitions."""

import numpy as np

try:  # a second opinion, where it is installed
    from sklearn.metrics import average_precision_score, ndcg_score
    from sklearn.metrics.pairwise import cosine_similarity
except ImportError:
    ndcg_score = None

CUTOFFS = (1, 5, 20, 80)  # the last is beyond the catalogue
LEVELS = 8                # of the scores, so that most of them tie


def rank(scores, masked, ties):
    """The items that are not masked, best first; of equal scores the smaller key is first."""
    order = np.lexsort((ties, -scores))
    return order[~masked[order]]


def accuracy(top, relevant, k):
    """The metrics of one user. top: the ranking; relevant [I] of bool."""
    hit = np.zeros(k)
    hit[:min(k, len(top))] = relevant[top[:k]]
    targets = int(relevant.sum())
    discount = 1 / np.log2(np.arange(2, k + 2))
    precision = np.cumsum(hit) / np.arange(1, k + 1)
    first = np.flatnonzero(hit)
    return {
        "Recall": hit.sum() / targets,
        "NDCG": (hit * discount).sum() / discount[:min(k, targets)].sum(),
        "Precision": hit.sum() / k,
        "HitRate": float(hit.any()),
        "MRR": 1 / (first[0] + 1) if len(first) else 0.0,
        "MAP": (hit * precision).sum() / min(k, targets),
    }


def beyond(top, train, k):
    """Popularity, Novelty and Diversity of one user's list."""
    top = top[:k]
    degree = train.sum(0)
    if len(top) == 0:
        return {"Popularity": 0.0, "Novelty": 0.0, "Diversity": 0.0}
    share = np.maximum(degree, 1) / (train.sum(1) > 0).sum()
    columns = train[:, top] / np.sqrt(np.maximum(degree[top], 1))
    cosine = columns.T @ columns
    if ndcg_score:
        assert np.allclose(cosine, cosine_similarity(train[:, top].T), atol=1e-12)
    pairs = len(top) * (len(top) - 1)
    return {
        "Popularity": degree[top].mean(),
        "Novelty": -np.log2(share[top]).mean(),
        "Diversity": 1 - (cosine.sum() - np.trace(cosine)) / pairs if pairs else 0.0,
    }


def spread(lists, k, items):
    """Coverage and Gini of all lists: Gini by the mean difference of all pairs of items."""
    counts = np.bincount(np.concatenate([top[:k] for top in lists]), minlength=items)
    return {"Coverage": (counts > 0).mean(),
            "Gini": np.abs(counts[:, None] - counts[None]).sum() / (2 * items * counts.sum())}


def second_opinion(top, relevant, scores):
    """scikit-learn on the whole ranking of a user: its metrics take ties their own way, so it is given the ranks as scores."""
    if ndcg_score is None or len(top) < 2:
        return
    by_rank = np.arange(len(top), 0, -1.0)
    hits, n = relevant[top], len(top)
    if not hits.any() or relevant.sum() > hits.sum():  # a masked target is a miss here, and unknown there
        return
    mine = accuracy(top, relevant, n)
    assert abs(mine["MAP"] - average_precision_score(hits, by_rank)) < 1e-12  # min(n, T) = T
    for k in CUTOFFS:
        assert abs(accuracy(top, relevant, k)["NDCG"] - ndcg_score([hits.astype(float)], [by_rank], k=k)) < 1e-12


def item_groups(train, keys):
    """Ten groups of equally many interactions: an item is where the middle of its own falls. 0: no interaction."""
    degree = train.sum(0).astype(int)
    order = np.lexsort((keys, degree))
    middle = 2 * np.cumsum(degree[order]) - degree[order]
    group = np.empty(len(degree), int)
    group[order] = np.where(degree[order] > 0, 1 + 10 * middle // (2 * degree.sum()), 0)
    return group


def case(name, seed, users, items, masks):
    rng = np.random.Generator(np.random.PCG64(seed))
    appeal = 1 / np.arange(1, items + 1) ** .7  # a few popular items and a tail
    draw = lambda mean: rng.random((users, items)) < np.minimum(mean * items * appeal / appeal.sum(), .9)
    train, valid = draw(.15), draw(.03)
    targets = draw(.08) & ~train | (rng.random((users, items)) < .01)  # a few targets are masked
    train[:, -3:] = False      # cold items,
    train[1] = False           # a cold user,
    train[2], valid[2] = True, False  # a user with nothing left to rank,
    targets[3] = False         # one without targets
    targets[1, :2] = targets[2, 4] = targets[1, -1] = True
    units = rng.integers(0, LEVELS, (users, items))
    units[4] = 3               # all alike
    units[5] += items - np.arange(items)
    ties = rng.permutation(items)
    keys = rng.permutation(items)

    masked = np.zeros((users, items), bool)
    for mask in masks:
        masked |= {"train": train, "valid": valid}[mask]
    rows = [u for u in range(users) if targets[u].any()]
    lists = [rank(units[u] / LEVELS, masked[u], ties) for u in rows]
    for u, top in zip(rows, lists):
        second_opinion(top, targets[u], units[u])
    per_user, totals = {}, {}
    for k in CUTOFFS:
        each = [accuracy(top, targets[u], k) | beyond(top, train.astype(float), k) for u, top in zip(rows, lists)]
        for kind in each[0]:
            per_user[f"{kind}@{k}"] = [float(e[kind]) for e in each]
            totals[f"{kind}@{k}"] = float(np.mean(per_user[f"{kind}@{k}"]))
        totals |= {f"{kind}@{k}": float(v) for kind, v in spread(lists, k, items).items()}
    group = item_groups(train, keys)
    return {
        "name": name, "seed": seed, "users": users, "items": items, "cutoffs": list(CUTOFFS), "masks": list(masks),
        "inputs": {"scores": {"shape": [users, items], "divisor": LEVELS, "data": units.ravel().tolist()},
                   "ties": ties.tolist(), "group_keys": keys.tolist(),
                   **{key: [np.flatnonzero(row).tolist() for row in x] for key, x in (("train", train), ("valid", valid), ("targets", targets))}},
        "outputs": {"rows": rows, "totals": totals, "per_user": per_user, "groups": group.tolist(),
                    "group_recall": {f"Recall@{k}": [float(np.mean([np.sum(targets[u][top[:k]] & (group[top[:k]] == g)) / targets[u].sum()
                                                                    for u, top in zip(rows, lists)])) for g in range(11)] for k in CUTOFFS}},
    }


def metric_cases():
    return {"cases": [case("masked-train", 8000, 24, 60, ("train",)), case("masked-train-valid", 8100, 17, 41, ("train", "valid")),
                      case("unmasked", 8200, 12, 30, ())]}
