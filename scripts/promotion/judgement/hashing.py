"""64-bit hashes of Arrow columns, vectorised: the same for a value whatever its partition, width or encoding.

They order rows and clusters and put clusters into pseudo-clusters. They are not cryptographic: digests
(digest.py) hash the values themselves with SHA-256, in the order that these give.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promotion.errors import PromotionError

KEY = b"promotion-2026-1"  # 16 bytes, for text
START = np.frombuffer(b"uespemosmodnarodarenegylsetybdet", "<u8") ^ np.tile(np.frombuffer(KEY, "<u8"), 2)
INSIDE = np.array([(1 << 8 * octets) - 1 for octets in range(9)], np.uint64)


def mix(values: np.ndarray) -> np.ndarray:
    """Return splitmix64 of (n,) uint64 values (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        return _stirred(values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))


def _stirred(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


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
    coded = values.dictionary_encode()
    hashed = hash_texts(coded.dictionary)
    return mix(hashed[coded.indices.to_numpy(zero_copy_only=False)] ^ mix(np.full(1, salt))[0])


def hash_texts(texts: pa.Array) -> np.ndarray:
    """Return (n,) uint64 hashes of an Arrow array of large strings: SipHash-2-4 of their UTF-8, mixed.

    Aumasson and Bernstein (2012). The same bits as `pandas.util.hash_array` gives under this key, by which the
    evidence of before was made; here without pandas, which the jobs around a training do not install.
    """
    size = len(texts)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64, size + 1, texts.offset * 8) if size else np.zeros(1, np.int64)
    raw = b"" if data is None else data.to_pybytes()
    words = np.ndarray(len(raw) + 1, "<u8", buffer=raw + bytes(8), strides=(1,))  # the eight bytes from each one on
    lengths = np.diff(ends)
    order = np.argsort(-lengths, kind="stable")  # those that have an n-th word are the first so many
    starts, lengths = ends[:-1][order], lengths[order]
    state = np.repeat(START[:, None], size, axis=1)
    for at in range(0, int(lengths[0]) + 1 if size else 0, 8):
        count = int(np.searchsorted(-lengths, -at, side="right"))
        left = np.minimum(lengths[:count] - at, 8)
        word = words[starts[:count] + at] & INSIDE[left]
        word |= np.where(left < 8, lengths[:count].astype(np.uint64) << np.uint64(56), np.uint64(0))
        state[3, :count] ^= word
        _rounds(state[:, :count], 2)
        state[0, :count] ^= word
    state[2] ^= np.uint64(0xFF)
    _rounds(state, 4)
    found = np.empty(size, np.uint64)
    found[order] = state[0] ^ state[1] ^ state[2] ^ state[3]
    return _stirred(found)


def _rounds(state: np.ndarray, count: int) -> None:
    """SipRounds of a (4, n) state, in place."""
    for _ in range(count):
        for a, b, near, c, d, far in ((0, 1, 13, 2, 3, 16), (2, 1, 17, 0, 3, 21)):
            state[a] += state[b]
            state[c] += state[d]
            state[b] = _turned(state[b], near) ^ state[a]
            state[d] = _turned(state[d], far) ^ state[c]
            state[a] = _turned(state[a], 32)


def _turned(values: np.ndarray, bits: int) -> np.ndarray:
    return np.asarray((values << np.uint64(bits)) | (values >> np.uint64(64 - bits)))
