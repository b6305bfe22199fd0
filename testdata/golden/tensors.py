"""Tensors as JSON values, and the error of a float32 computation."""

import numpy as np

ROUNDING32 = 2.0**-24  # the error of a correctly rounded float32
REORDERINGS = 40       # float32 runs on permuted inputs: with 4, the largest was up to 4 times too small


def tensor(x):
    x = np.asarray(x, dtype=np.float64)
    return {"shape": list(x.shape), "data": x.ravel().tolist()}


def fixed_point(x, divisor):
    """A tensor as integers: its elements are data/divisor, exactly."""
    units = np.rint(x * divisor).astype(int)
    assert (units / divisor == x).all()
    return {"shape": list(x.shape), "divisor": divisor, "data": units.ravel().tolist()}


def output(value, runs32):
    """A float64 tensor with the errors of float32 runs, the first of which is in the stated order."""
    assert np.isfinite(value).all()
    largest = float(np.abs(value).max()) or 1.0
    errors = [float(np.abs(run - value).max()) / largest for run in runs32]
    return tensor(value) | {"error32": errors[0], "bound32": max(errors + [ROUNDING32])}
