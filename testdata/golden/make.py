#!/usr/bin/env python3
"""Golden values for the graph models, the multi-modal models, the contrastive loss and a few operators, computed by PyTorch, and of metrics, by numpy.

    python3 testdata/golden/make.py            write the JSON files beside this script
    python3 testdata/golden/make.py --check    compute them again and compare with the files

Every value is float64. The same computation in float32 gives `error32`, the error a plain float32 implementation
makes: tests allow a float32 engine twice that. README.md has the formulas and the file format.
"""

import argparse
import json
import math
import pathlib
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True  # no __pycache__ among the golden files

from cases import ADAGRAD, ADAM, ADAMW, MODELS, SGD, SHAPES
from infonce import info_nce_cases
from metrics import metric_cases
from models import golden_case
from multimodal import check_initial_cosines, multimodal_case
from multimodal_cases import MULTIMODAL
from ops import op_cases

HERE = pathlib.Path(__file__).resolve().parent


def all_files():
    """Yields (file name, content)."""
    seed = 1000
    for model in MODELS:
        for shape in SHAPES:
            yield f"{model}-{shape}.json", golden_case(f"{model}-{shape}", model, ADAM, shape, seed)
            seed += 100
    for options in (SGD, ADAMW, ADAGRAD):
        name = f"bpr-{options['name']}-u23"
        yield f"{name}.json", golden_case(name, "bpr", options, "u23", seed)
        seed += 100
    check_initial_cosines(seed)
    for name in MULTIMODAL:
        seed += 100
        yield f"multimodal/{name}.json", multimodal_case(name, seed)
    yield "infonce.json", info_nce_cases()
    yield "ops.json", op_cases()
    yield "metrics.json", metric_cases()


def encode(value, indent=""):
    """JSON with a line per field and per case, lists of numbers on one line; floats by their shortest exact form."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        body = ",\n".join(f"{inner}{json.dumps(key)}: {encode(item, inner)}" for key, item in value.items())
        return "{\n" + body + "\n" + indent + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(inner + encode(item, inner) for item in value) + "\n" + indent + "]"
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def differences(old, new, path=""):
    """Where two contents differ by more than 1e-12 of a tensor's largest element. error32 may differ by machine."""
    if isinstance(new, dict) and isinstance(old, dict) and old.keys() == new.keys():
        for key in new:
            if key not in ("error32", "bound32"):
                yield from differences(old[key], new[key], f"{path}/{key}")
    elif isinstance(new, list) and isinstance(old, list) and len(old) == len(new):
        if all(isinstance(x, float) for x in old + new) and new:
            old, new = np.array(old), np.array(new)
            if np.abs(old - new).max() > 1e-12 * max(np.abs(new).max(), 1e-300):
                yield f"{path}: differs by {np.abs(old - new).max():.3g}"
        else:
            for k, pair in enumerate(zip(old, new)):
                yield from differences(*pair, f"{path}[{k}]")
    elif isinstance(new, float) and isinstance(old, float):
        if not math.isclose(old, new, rel_tol=1e-12):
            yield f"{path}: {old} became {new}"
    elif old != new:
        yield f"{path}: differs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.sparse.check_sparse_tensor_invariants.enable()
    failed, names, size = False, set(), 0
    for name, content in all_files():
        text, path = encode(content) + "\n", HERE / name
        names.add(name)
        size += len(text)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            continue
        old = path.read_text() if path.exists() else "null"
        found = [] if old == text else list(differences(json.loads(old), json.loads(text)))
        failed |= bool(found)
        verdict = "identical" if old == text else "equal within 1e-12" if not found else "DIFFERENT"
        print(f"{name}: {verdict}", *found[:5], sep="\n  ")
    for stray in sorted({path.relative_to(HERE).as_posix() for path in HERE.rglob("*.json")} - names):
        print(f"{stray}: not written by this script")
        failed = True
    print(f"{len(names)} files, {size} bytes, torch {torch.__version__}, numpy {np.__version__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
