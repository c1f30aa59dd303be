"""Random numbers from a counter: Philox against its published answers, and streams that are the same everywhere."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from test_backend import back, cupy, strict

from benchpred_utils import backend, counter
from benchpred_utils.counter import PERIOD, Stream, philox

WORDS = st.integers(0, 2**32 - 1)

# Of Random123, the authors' own library: file tests/kat_vectors, lines "philox4x32 10"
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],  # the digits of pi
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize("width", [np.uint32, np.uint64])
@pytest.mark.parametrize("convert", [np.asarray, strict, cupy])
def test_philox_gives_the_published_answers(convert, width):
    counters, keys, answers = (np.array(column, dtype=width).T for column in zip(*KNOWN))
    assert np.array_equal(back(philox(convert(counters), [*map(convert, keys)])), answers)
    one_key = philox(convert(counters), KNOWN[2][1])  # numbers for all counters
    assert np.array_equal(back(one_key)[:, 2], answers[:, 2]) and not np.any(
        back(one_key)[:, :2] == answers[:, :2]
    )


@given(st.lists(WORDS, min_size=4, max_size=4), st.lists(WORDS, min_size=2, max_size=2))
def test_philox_is_what_whole_numbers_without_a_width_give(c, k):
    expected, key = list(c), list(k)
    for _ in range(10):
        (high0, low0), (high1, low1) = (
            divmod(m * x, 2**32) for m, x in zip((0xD2511F53, 0xCD9E8D57), expected[::2])
        )
        expected = [high1 ^ expected[1] ^ key[0], low1, high0 ^ expected[3] ^ key[1], low0]
        key = [(word + w) % 2**32 for word, w in zip(key, (0x9E3779B9, 0xBB67AE85))]
    assert philox(np.array(c, dtype=np.uint64), k).tolist() == expected


def test_a_number_is_53_bits_of_two_words():
    (a, b), (c, d) = KNOWN[0][2][:2], KNOWN[0][2][2:]
    expected = [((a >> 5) * 2**26 + (b >> 6)) / 2**53, ((c >> 5) * 2**26 + (d >> 6)) / 2**53]
    assert Stream(0).random(2).tolist() == expected


def test_the_seed_is_the_key_and_the_place_is_the_counter():
    stream = Stream(7 + (9 << 32))
    stream.position = 2 * (2**32 + 5)
    words = philox(np.array([5, 1, 0, 0], dtype=np.uint64), (7, 9)).tolist()
    assert stream.random(1)[0] == ((words[0] >> 5) * 2**26 + (words[1] >> 6)) / 2**53


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=6),
    st.sampled_from([1, 2, 3, 2**17]),
)
def test_successive_calls_go_on_in_the_stream(shapes, size):
    stream, total = Stream(3, at_once=size), sum(a * b for a, b in shapes)
    parts = [stream.random(shape) for shape in shapes]
    assert [part.shape for part in parts] == shapes
    assert np.array_equal(
        np.concatenate([np.empty(0), *map(np.ravel, parts)]), Stream(3).random(total)
    )
    assert stream.position == total


@pytest.mark.parametrize("convert", [strict, cupy])
def test_the_numbers_are_the_same_on_every_library(convert):
    like = convert(np.zeros(3))
    there, here = Stream(11, like), Stream(11)
    for shape in (5, (3, 7), (2, 0), (4, 1, 3)):
        got, expected = there.random(shape), here.random(shape)
        assert type(got) is type(like) and backend.device(got) == backend.device(like)
        assert expected.dtype == np.float64 and np.array_equal(back(got), expected)


def test_after_its_period_a_stream_begins_anew():
    stream = Stream(5)
    stream.position = PERIOD - 3
    assert np.array_equal(stream.random(7)[3:], Stream(5).random(4)) and stream.position == 4


def test_a_stream_keeps_no_large_array():
    large = np.zeros(1000)
    assert not any(np.shares_memory(large, value) for value in vars(Stream(0, large)).values())


def places(x, y):
    """p-value of independence: pairs of numbers in a grid of 16 by 16."""
    return stats.chisquare(np.histogram2d(x, y, bins=16, range=[[0, 1]] * 2)[0].ravel()).pvalue


def test_streams_are_uniform_and_neither_their_numbers_nor_streams_of_near_seeds_depend_on_each_other():
    """Each of 31 tests at level 1e-4: with independent streams one in 300 sets of seeds would fail."""
    streams = [
        Stream(seed).random(100_000)
        for seed in (0, 1, 2, 3, 4, 1 << 32, 2 << 32, 1 << 63, 2**64 - 1)
    ]
    assert all(stats.kstest(x, "uniform").pvalue > 1e-4 for x in streams)
    assert all(places(x[:-lag], x[lag:]) > 1e-4 for x in streams[:4] for lag in (1, 2, 3))
    assert all(places(x, y) > 1e-4 for x, y in [*pairwise(streams), (streams[0], streams[-1])])
    low = Stream(0).random(100_000) * 2**53 % 256  # the last bits too
    assert stats.chisquare(np.bincount(low.astype(int), minlength=256)).pvalue > 1e-4


def test_negative_control_too_few_rounds_and_one_seed_are_noticed(monkeypatch):
    x = Stream(0).random(100_000)
    assert places(x, Stream(0).random(100_000)) < 1e-6
    monkeypatch.setattr(counter, "ROUNDS", 3)
    x, y = (Stream(seed).random(100_000) for seed in (0, 1))
    assert places(x, y) < 1e-6 and places(x[:-1], x[1:]) < 1e-6


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, None, "7", np.random.default_rng(1)])
def test_a_seed_that_is_no_key_is_refused(seed):
    with pytest.raises(ValueError, match="use a whole number from 0 to 2"):
        Stream(seed)
    assert Stream(np.int64(3)).random(2).tolist() == Stream(3).random(2).tolist()
