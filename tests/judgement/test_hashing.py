"""Hashes of text: the same bits as the evidence of before was made with."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promotion.judgement.hashing import KEY, hash_texts

WORDS = ["", "a", "1234567", "12345678", "123456789", "\0", "a\0b", "é" * 9, "€" * 50, "😀"]


def of_pandas(words: list[str]) -> np.ndarray:
    """What pandas' SipHash gives."""
    return pd.util.hash_array(np.asarray(words, dtype=object), hash_key=KEY.decode(), categorize=False)


@given(st.lists(st.text(max_size=40), min_size=1).map(lambda words: WORDS + words))
def test_text_is_hashed_as_pandas_hashes_it(words: list[str]) -> None:
    """Clusters keep their order and their pseudo-clusters, so old evidence has the same bytes made again."""
    assert np.array_equal(hash_texts(pa.array(words, pa.large_string())), of_pandas(words))


@pytest.mark.parametrize("words", [[], [""], ["", ""]])
def test_nothing_and_empty_text_have_hashes_too(words: list[str]) -> None:
    """An array without a single byte of text."""
    assert np.array_equal(hash_texts(pa.array(words, pa.large_string())), of_pandas(words) if words else np.empty(0))


def test_a_slice_is_hashed_as_its_own_words() -> None:
    """An Arrow array may begin in the middle of its buffers."""
    assert np.array_equal(hash_texts(pa.array(WORDS, pa.large_string())[3:7]), of_pandas(WORDS[3:7]))
