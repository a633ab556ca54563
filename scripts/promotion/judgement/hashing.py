"""64-bit hashes of Arrow columns, vectorised: the same for a value whatever its partition, width or encoding.

They order rows and clusters and put clusters into pseudo-clusters. They are not cryptographic: digests
(digest.py) hash the values themselves with SHA-256, in the order that these give.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promotion.errors import PromotionError

HASH_KEY = "promotion-2026-1"  # 16 bytes: pandas' SipHash key


def mix(values: np.ndarray) -> np.ndarray:
    """Return splitmix64 of (n,) uint64 values (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def combine(hashes: list[np.ndarray]) -> np.ndarray:
    """Return one (n,) uint64 hash of several columns' hashes, in their order."""
    total = hashes[0]
    with np.errstate(over="ignore"):
        for other in hashes[1:]:
            total = mix(total * np.uint64(0x100000001B3) + other)
    return total


def canonical(column: pa.ChunkedArray | pa.Array) -> np.ndarray | pa.Array:
    """Return a column as int64 (integers, booleans, dates, times in µs), float64, or an Arrow string array.

    Raise TypeError for any other type; nulls are the caller's to refuse first.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_floating(kind):
        return column.to_numpy(zero_copy_only=False).astype(np.float64) + 0.0  # -0 becomes 0
    if pa.types.is_boolean(kind):
        return column.to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_integer(kind):
        values = column.to_numpy(zero_copy_only=False)
        return values.view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).to_numpy(zero_copy_only=False).astype("datetime64[D]").astype(np.int64)
    if pa.types.is_timestamp(kind):
        return column.to_numpy(zero_copy_only=False).astype("datetime64[us]").astype(np.int64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_decimal(kind):
        return canonical(pc.cast(column, pa.string()))
    raise TypeError(str(kind))


def as_float(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of numbers as float64; decimals by way of text, which rounds them as a literal is rounded."""
    if column.type == pa.float64():
        return column
    return (column.cast(pa.string()) if pa.types.is_decimal(column.type) else column).cast(pa.float64(), safe=False)


def hash_column(column: pa.ChunkedArray | pa.Array, name: str, seed: int = 0) -> np.ndarray:
    """Return (n,) uint64 hashes of a column's values; `name` is for the error about an odd type."""
    try:
        values = canonical(column)
    except TypeError as error:
        raise PromotionError(f"the column {name} has the type {error}; use numbers, text or days") from None
    salt = np.uint64(seed)
    if isinstance(values, np.ndarray):
        return mix(values.view(np.uint64) ^ mix(np.full(1, salt))[0])
    import pandas as pd

    coded = values.dictionary_encode()
    words = np.asarray(coded.dictionary.to_pylist(), dtype=object)
    hashed = pd.util.hash_array(words, hash_key=HASH_KEY, categorize=False) if len(words) else np.empty(0, np.uint64)
    return mix(hashed[coded.indices.to_numpy(zero_copy_only=False)] ^ mix(np.full(1, salt))[0])
