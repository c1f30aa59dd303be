import numpy as np
import pytest

from benchpred_utils import shared


def test_a_result_is_kept_for_the_same_array_and_arguments():
    calls = []

    @shared.once_per_source
    def total(source, power=1):
        calls.append(power)
        return (source**power).sum()

    a, b = np.arange(3.0), np.arange(3.0)
    assert [total(a), total(a), total(a, 2), total(a, 2)] == [3, 3, 5, 5] and calls == [1, 2]
    assert total(b) == 3 and calls == [1, 2, 1]  # an equal array is another array
    assert total.__name__ == "total"


def test_chunks_part_the_range_and_keep_to_the_bound():
    parts = shared.chunks(10, 8, max_memory=30)
    assert [i for part in parts for i in range(10)[part]] == list(range(10))
    assert max(part.stop - part.start for part in parts) * 8 <= 30
    with pytest.raises(ValueError, match="max_memory is 7 bytes, and the smallest part takes 8"):
        shared.chunks(10, 8, max_memory=7)
