"""What is computed once, and what is computed in parts: results kept per source matrix, and chunks that fit in memory."""

from functools import wraps

__all__ = ["MAX_MEMORY", "chunks", "once_per_source"]

MAX_MEMORY = (
    2**28
)  # bytes of working arrays at a time: on a processor more is no faster; a GPU can use all it has


def chunks(total, bytes_each, max_memory=MAX_MEMORY):
    """Slices that part range(total): each as many as fit in `max_memory` bytes at `bytes_each` bytes apiece.

    Raises ValueError when not even one fits.
    """
    size = int(max_memory // bytes_each)
    if size < 1:
        raise ValueError(
            f"max_memory is {max_memory:,} bytes, and the smallest part takes {bytes_each:,}; allow as many"
        )
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def once_per_source(function):
    """Keep the last result of ``function(source, *args)`` and give it again for the same array and arguments.

    The array is known by its identity and kept alive with the result, so that no other one can take its place.
    """
    last = [(None, None, None)]

    @wraps(function)
    def cached(source, *args):
        known, with_args, result = last[0]
        if known is not source or with_args != args:
            result = function(source, *args)
            last[0] = (
                source,
                args,
                result,
            )  # in one step: another thread sees the old entry or the new one
        return result

    return cached
