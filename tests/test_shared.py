import numpy as np

from benchpred_utils.shared import once_per_source


def test_a_result_is_kept_for_the_same_array_and_arguments():
    calls = []

    @once_per_source
    def total(source, power=1):
        calls.append(power)
        return (source**power).sum()

    a, b = np.arange(3.0), np.arange(3.0)
    assert [total(a), total(a), total(a, 2), total(a, 2)] == [3, 3, 5, 5] and calls == [1, 2]
    assert total(b) == 3 and calls == [1, 2, 1]  # an equal array is another array
    assert total.__name__ == "total"
