"""Which convention made a position table, from its values alone, and what is wrong with code that makes one.

    python -m pe_lib.identify FILE[:TENSOR]             .npy .npz .csv .pt .pth .bin .safetensors
    python -m pe_lib.identify PACKAGE.MODULE:CALLABLE   a function, a module or a class of your own

One line of rooms, each of which uses those before it:

    answer, probe   how somebody else's code is called
    source          what the argument of the command names
    estimate        the sinusoid that comes nearest to a table
    words           the text of an identification
    identification  which convention made a table
    rounding        how angles lose their digits
    misreading      wrong readings of the formula
    evidence        every call of somebody else's code, and what came back
    findings        what is wrong, each a function of the evidence

Arguments are checked at the door: a ValueError or TypeError names the argument, what was wanted and what came.
"""

from typing import Any

from pe_lib.identify.evidence import gather
from pe_lib.identify.findings import FIXES, Finding, findings_in
from pe_lib.identify.identification import Identification, identify

__all__ = ["FIXES", "Finding", "Identification", "diagnose", "identify"]


def diagnose(
    encode: Any, d_model: int | None = None, *, base: float = 10_000.0, tolerance: float = 1e-3
) -> list[Finding]:
    """What is wrong with an encoding.  -> findings, none where nothing was found; `FIXES` has the names of all

    encode     a function, a module, a class whose first argument is the width, or a table; it is called in the ways
               that `probe` knows, and left as it was found, but for what it keeps of being called
    d_model    the width, where it cannot be guessed; of a table, the one it has
    base       the one intended: a table of exactly base**2 is taken for a doubled exponent
    tolerance  the error of an entry (of amplitude 1) above which a position counts as wrong; where entries are
               rounded more coarsely, four times their error counts

    Lengths up to 24,000 are tried, up to 9,000 where there are more than 128 columns.
    Raises ValueError also if no way of calling ``encode`` gives a table, whatever it raises itself.

    >>> from pe_lib.sinusoidal import sinusoidal
    >>> [finding.name for finding in diagnose(sinusoidal(range(1, 65), 32))]
    ['offset']
    """
    return findings_in(gather(encode, d_model, base=base, tolerance=tolerance))
