"""What a .skops file would build when it is loaded: every type and function, read without loading or importing.

A .skops file is a zip with schema.json, a tree of nodes that each name a loader, a module and a class.
skops' own audit trusts what the file's reader says; here each pair of loader and name must be known to be
data (known_types.txt), or be a name that a policy may trust. Whatever can call something by name is refused.
"""

import functools
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from promotion.config.trusted import HARMLESS
from promotion.errors import PromotionError
from promotion.frozen import strict_json

PROTOCOL = 2  # of skops' file format: older ones name functions elsewhere
MOST_SCHEMA_BYTES = 64 << 20
DEEPEST = 400  # levels of schema.json: an estimator within an estimator adds six
MOST_MEMBERS = 200_000
MOST_BYTES = 20 << 30
LARGEST_RATIO = 200  # uncompressed to compressed: skops itself compresses nothing
KNOWN_FILE = Path(__file__).with_name("known_types.txt")
NAME = re.compile(r"[A-Za-z_]\w{0,199}(\.[A-Za-z_]\w{0,199}){0,20}", re.ASCII)

# Loaders that build one kind of value only, and the names under which skops writes it.
FIXED = {
    "DictNode": ("builtins.dict", "collections.OrderedDict"),
    "DefaultDictNode": ("collections.defaultdict",),
    "ListNode": ("builtins.list",),
    "SetNode": ("builtins.set",),
    "TupleNode": ("builtins.tuple",),
    "BytesNode": ("builtins.bytes",),
    "BytearrayNode": ("builtins.bytearray",),
    "SliceNode": ("builtins.slice",),
    "MaskedArrayNode": ("numpy.ma.MaskedArray",),
    "DTypeNode": ("numpy.dtype",),
    "RandomStateNode": ("numpy.random.mtrand.RandomState",),
    "RandomGeneratorNode": ("numpy.random._generator.Generator",),
}
# Loaders whose names are looked up in known_types.txt, under this heading, and may be trusted by a policy.
LISTED = {
    "ObjectNode": "object",
    "FunctionNode": "function",
    "TypeNode": "type",
    "NdArrayNode": "array",
    "LossNode": "loss",
    "SparseMatrixNode": "sparse",
    "TreeNode": "tree",
    "PartialNode": "partial",
    "TupleNode": "tuple",
    "QuantileForestNode": "tree",
}
# Estimators of other libraries: what they hold beyond parameters is their own format's text, read by their own reader.
BOOSTERS = frozenset(
    """
    catboost.core.CatBoostClassifier catboost.core.CatBoostRanker catboost.core.CatBoostRegressor
    lightgbm.basic.Booster lightgbm.sklearn.LGBMClassifier lightgbm.sklearn.LGBMRanker lightgbm.sklearn.LGBMRegressor
    xgboost.core.Booster xgboost.sklearn.XGBClassifier xgboost.sklearn.XGBRanker xgboost.sklearn.XGBRegressor
    xgboost.sklearn.XGBRFClassifier xgboost.sklearn.XGBRFRegressor
    """.split()  # noqa: SIM905
)
BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


class Types(NamedTuple):
    """What a .skops file holds beyond plain values: `known` to be data only, and `others`. Sorted names."""

    known: tuple[str, ...]
    others: tuple[str, ...]


def skops_types(path: Path) -> Types:
    """Return the types of a .skops file; raise PromotionError for a file that no honest training makes."""
    known: set[str] = set()
    others: set[str] = set()
    try:
        schema = _schema(path)
        for node in _nodes(schema):
            kind, name = _named(node)
            (known if _is_known(kind, name) else others).add(name)
    except _Refused as refused:
        raise PromotionError(str(refused), file=path) from None
    return Types(tuple(sorted(known - others - {""})), tuple(sorted(others)))


def _is_known(kind: str | None, name: str) -> bool:
    """Whether a kind of node builds values only under this name."""
    plain = kind in ("object", "type") and name in (HARMLESS | BOOSTERS) and name != "functools.partial"
    return kind is None or plain or name in known_types().get(kind, ())


@functools.cache
def known_types() -> dict[str, frozenset[str]]:
    """Names that skops and we know to hold data only, by kind. known_types.txt: `kind module: name name ...`."""
    found: dict[str, set[str]] = {}
    for line in KNOWN_FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            head, _, names = line.partition(": ")
            kind, module = head.split(" ")
            found.setdefault(kind, set()).update(f"{module}.{name}" for name in names.split())
    return {kind: frozenset(names) for kind, names in found.items()}


class _Refused(Exception):
    """One sentence about a file."""


def _schema(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            _bounded(archive)
            text = archive.read("schema.json")
        return strict_json(text.decode("utf-8"), deepest=DEEPEST)
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise _Refused(f"not a readable .skops file ({str(error)[:100]}); train again") from None


def _bounded(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(members) > MOST_MEMBERS or len(set(names)) != len(names):
        raise _Refused(f"it holds more than {MOST_MEMBERS} members, or one twice")
    if sum(member.file_size for member in members) > MOST_BYTES:
        raise _Refused(f"it would unpack to more than {MOST_BYTES} bytes")
    for member in members:
        if not re.fullmatch(r"schema\.json|[\w-]{1,100}\.(npy|npz|bin)", member.filename):
            raise _Refused(f"it holds `{member.filename[:80]}`, which skops does not write")
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refused(f"its member {member.filename} is encrypted, or compressed in a way that skops does not use")
        if member.file_size > LARGEST_RATIO * max(member.compress_size, 1024):
            raise _Refused(f"its member {member.filename} unpacks to more than {LARGEST_RATIO} times its size")
        if member.filename == "schema.json" and member.file_size > MOST_SCHEMA_BYTES:
            raise _Refused(f"its schema.json is larger than {MOST_SCHEMA_BYTES >> 20} MiB")


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every node, wherever it stands: what skops would not look at is looked at all the same."""
    if not isinstance(schema, dict) or type(schema.get("protocol")) is not int or schema["protocol"] != PROTOCOL:
        raise _Refused(f"it is not of skops' protocol {PROTOCOL}; save it with the skops of requirements/train.txt")
    if "__loader__" not in schema:
        raise _Refused("its schema.json has no first node")
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if {"__loader__", "__class__", "__module__"} & set(value):
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _named(node: dict[str, Any]) -> tuple[str | None, str]:
    """Return (kind, name) of what a node builds; kind None where its loader builds plain values only."""
    loader = node.get("__loader__")
    parts = (node.get("__module__"), node.get("__class__"))
    if not isinstance(loader, str) or not all(isinstance(part, str) for part in parts):
        raise _Refused("a node of its schema.json names no loader, module or class")
    name = ".".join(map(str, parts))
    if loader == "JsonNode":
        return None, ""
    if not NAME.fullmatch(name):
        raise _Refused(f"it names {name[:80]!r}, which is no type")
    if loader == "RandomGeneratorNode":
        _bit_generator(node)
    if name in FIXED.get(loader, ()):
        return None, name
    if loader in LISTED:
        return LISTED[loader], name
    raise _Refused(f"it builds {name} by {loader[:40]}, which can call things by name; nothing may do that when loaded")


def _bit_generator(node: dict[str, Any]) -> None:
    try:
        name = strict_json(node["content"]["bit_generator"]["content"]["bit_generator"]["content"])
    except (KeyError, TypeError, ValueError):
        name = None
    if name not in BIT_GENERATORS:
        raise _Refused("it holds a random generator that NumPy does not have")
