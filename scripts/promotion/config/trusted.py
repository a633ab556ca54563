"""Names of types and functions that no policy may trust in a saved model: they run, load or reach something else.

Where a name is in the standard library or in a package of this list, `trusted_types` may not have it, nor where another
package passes such a thing on under its own name: what looks so is refused here, and what is so when the answering
process looks it up (`of`). It cannot be complete: what else a name does is for the code owners of promotion.yaml to
know. Imports the standard library alone, because that process has nothing else of this project.
"""

import functools
import re
import sys

# Of the standard library only these may be trusted: they hold values and run nothing by themselves.
HARMLESS = frozenset(
    {
        "builtins.complex",
        "builtins.frozenset",
        "builtins.range",
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "functools.partial",
        "types.SimpleNamespace",
        "uuid.UUID",
    }
)
# Packages whose functions load, download, compile or run what they are given: never a part of a model.
NEVER = frozenset(
    """
    IPython _pytest cffi cloudpickle conda Cython dask dill distutils docker fabric fsspec invoke ipykernel joblib
    jupyter loky mlflow notebook numba paramiko pip pkg_resources promotion ptyprocess pexpect pytest ray requests sh
    setuptools skops smart_open sqlalchemy urllib3 virtualenv wheel
    """.split()  # noqa: SIM905
)
NEVER_BELOW = (
    "numpy.ctypeslib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.lib",
    "numpy.testing",
    "pandas.core.computation",
    "pandas.io",
    "scipy.io",
    "scipy.weave",
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.utils._testing",
    "torch.hub",
)
NEVER_CALLED = re.compile(
    r"(?:numpy|pandas)(?:\.\w+)*\.(?:load\w*|save\w*|fromfile|tofile|genfromtxt|memmap|open_memmap|DataSource|eval|query"
    r"|read_\w+|to_\w+|ExcelFile|ExcelWriter|HDFStore|apply_along_axis|vectorize|frompyfunc|fromfunction|fromregex)"
)

# A package passes these modules on as `package.os`, and these functions as `package.system`.
PASSED_ON = {"builtins", "ctypes", "importlib", "marshal", "nt", "os", "pickle", "posix", "pty", "runpy", "shutil"}
PASSED_ON |= {"socket", "subprocess", "sys"}
CALLS = re.compile(
    r"system|popen\w*|Popen|exec\w*|eval|compile|spawn\w*|posix_spawnp?|fork|forkpty|startfile|__import__|import_module"
    r"|check_output|check_call|getoutput|getstatusoutput|getattr|setattr|delattr|attrgetter|methodcaller|globals|locals"
    r"|breakpoint|Unpickler|CDLL|PyDLL|rmtree|unlink"
)


def forbidden(name: str) -> bool:
    """Whether a name may never be trusted, whatever a policy says."""
    if name in HARMLESS:
        return False
    top, *parts = name.split(".")
    below = any(name == prefix or name.startswith(prefix + ".") for prefix in NEVER_BELOW)
    passed = bool(PASSED_ON.intersection(parts)) or (bool(parts) and CALLS.fullmatch(parts[-1]) is not None)
    never = top in sys.stdlib_module_names or top in NEVER
    return never or below or passed or NEVER_CALLED.fullmatch(name) is not None


def of(found: object) -> str:
    """Return the name under which an object was defined, whatever name led to it; that of its class for an instance."""
    while isinstance(found, functools.partial):
        found = found.func
    defined = found if hasattr(found, "__qualname__") and getattr(found, "__module__", None) else type(found)
    return f"{defined.__module__}.{defined.__qualname__}"
