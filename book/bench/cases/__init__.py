"""The cases: each a generator of (table, row), so that a row is shown as soon as it is measured.

A new case is a module here and a line in CASES; it takes the Settings and nothing else.
"""

from . import growth, irt, loops, ppi, protocol, speed

CASES = {
    "methods": protocol.methods,
    "protocol": protocol.protocol,
    "fit_2pl": irt.fit_2pl,
    "loops": loops.loops,
    "ppi": ppi.ppi,
    "growth": growth.growth,
    "speed": speed.speed,
}
