"""L-BFGS where its arrays live: the vectors stay on their device, and three numbers a step come back to the host."""

from .backend import namespace

__all__ = ["minimum"]

MEMORY, REFRESH = (
    5,
    10,
)  # pairs of steps and changes of the gradient; steps between two preconditioners


def minimum(objective, preconditioner, x, tolerance, limit):
    """From x to a local minimum of `objective`, a function of x that gives a value and a gradient of the shape of x.

    `preconditioner`, asked every ten steps, gives an approximate inverse Hessian at x, as a function of a gradient.  It
    ends after `limit` steps, when ten steps gain less than 10 x `tolerance` of the value, or when rounding allows none.
    (Nocedal & Wright 2006, algorithm 7.5.)
    """
    value, g = objective(x)
    pairs = []
    for k in range(limit):
        if k % REFRESH == 0:
            inverse, before = preconditioner(x), value
        last, last_g, last_value = x, g, value
        x, value, g = _line_search(objective, x, value, g, _direction(g, pairs, inverse))
        s, y = x - last, g - last_g
        pairs = [*pairs[1 - MEMORY :], (s, y, _dot(s, y))]
        slow = k % REFRESH == REFRESH - 1 and before - value <= REFRESH * tolerance * max(
            abs(value), 1.0
        )
        if slow or not value < last_value:
            break
    return x


def _direction(g, pairs, inverse):
    """Minus the inverse Hessian times the gradient g, from pairs (s, y) of steps and changes of g (algorithm 7.4)."""
    taken = []
    for s, y, sy in reversed(pairs):
        taken.append(_dot(s, g) / sy)
        g = g - taken[-1] * y
    g = inverse(g)
    for _, y, sy in pairs[-1:]:
        g = g * (sy / _dot(y, inverse(y)))
    for s, y, sy in pairs:
        g = g + (taken.pop() - _dot(y, g) / sy) * s
    return -g


def _line_search(objective, x, value, g, d):
    """x + size d where the weak Wolfe conditions hold, so that s'y > 0, with its value and gradient; by bisection."""
    slope, low, high, size = float(_dot(g, d)), 0.0, float("inf"), 1.0
    for _ in range(30):
        new = x + size * d
        new_value, new_g = objective(new)
        if not new_value <= value + 1e-4 * size * slope:
            high = size
        elif float(_dot(new_g, d)) < 0.9 * slope:
            low = size
        else:
            return new, new_value, new_g
        size = min((low + high) / 2, 2 * size)
    return x, value, g


def _dot(a, b):
    xp = namespace(a)
    return xp.reshape(a, (-1,)) @ xp.reshape(b, (-1,))
