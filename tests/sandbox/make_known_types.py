"""Make scripts/promotion/sandbox/known_types.txt from the installed skops and scikit-learn.

    python tests/sandbox/make_known_types.py > scripts/promotion/sandbox/known_types.txt

What skops loads without being told to trust it, and a few more that hold values only.
"""

import textwrap
from collections import defaultdict

HEAD = """\
# Types and functions that hold or compute values and run nothing else, by the kind of node that builds them in a
# .skops file. Made by: python tests/sandbox/make_known_types.py
"""
# Not in skops' list, though there is nothing in them but values.
OBJECTS = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.utils._bunch.Bunch",
)


def kinds() -> dict[str, set[str]]:
    """Names by kind."""
    import numpy as np
    import scipy.sparse
    from skops.io import _sklearn as sklearn_nodes
    from skops.io import _trusted_types as skops
    from skops.io._utils import get_type_name

    sparse = [getattr(scipy.sparse, f"{form}_{kind}") for form in ("csr", "csc", "coo") for kind in ("matrix", "array")]
    return {
        "object": {*skops.SKLEARN_ESTIMATOR_TYPE_NAMES, *skops.SKLEARN_INTERNAL_TYPE_NAMES, *OBJECTS},
        "function": {*skops.NUMPY_UFUNC_TYPE_NAMES, *skops.SCIPY_UFUNC_TYPE_NAMES},
        "type": {*skops.PRIMITIVE_TYPE_NAMES, *skops.CONTAINER_TYPE_NAMES, *skops.NUMPY_DTYPE_TYPE_NAMES},
        "array": {get_type_name(np.ndarray), *skops.NUMPY_DTYPE_TYPE_NAMES},
        "loss": {get_type_name(loss) for loss in sklearn_nodes.ALLOWED_LOSSES},
        "sparse": {get_type_name(kind) for kind in sparse},
    }


def text() -> str:
    """The whole file."""
    lines = []
    for kind, names in kinds().items():
        modules = defaultdict(list)
        for name in sorted(names):
            module, _, last = name.rpartition(".")
            modules[module].append(last)
        for module, found in modules.items():
            head = f"{kind} {module}: "
            lines += [head + part for part in textwrap.wrap(" ".join(found), 118 - len(head))]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(text(), end="")
