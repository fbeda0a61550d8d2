"""The catalogue of encodings, by where position enters a model.  `base` has the interface.

A new encoding is a class in the file of its family, and one line of `ENCODINGS`; the model is not touched.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from torch import Generator

from pe_lib import check
from pe_lib.encodings.added import FixedTable, Learned, ScaledSinusoidal, Sinusoidal, Split
from pe_lib.encodings.base import PerBlock, PositionEncoding
from pe_lib.encodings.content import Cope, Deberta, Fire, Shaw, TransformerXL
from pe_lib.encodings.distance import T5, Alibi, KerpleLog, KerplePower, Sandwich
from pe_lib.encodings.positions import Randomised, Shape, Wrapper
from pe_lib.encodings.turning import PartialRotary, PoPE, PRotary, Rotary, RotaryNope, XPos

if TYPE_CHECKING:
    from pe_lib.transformer import Config

__all__ = ["ENCODINGS", "FixedTable", "PerBlock", "PositionEncoding", "Rotary", "Sinusoidal", "Split", "build"]

ENCODINGS: dict[str, type[PositionEncoding]] = {
    "nope": PositionEncoding,
    "sinusoidal": Sinusoidal,
    "scaled_sinusoidal": ScaledSinusoidal,
    "learned": Learned,
    "randomised": Randomised,
    "shape": Shape,
    "rope": Rotary,
    "partial_rope": PartialRotary,
    "p_rope": PRotary,
    "rope_nope": RotaryNope,
    "xpos": XPos,
    "pope": PoPE,
    "alibi": Alibi,
    "t5": T5,
    "kerple_log": KerpleLog,
    "kerple_power": KerplePower,
    "sandwich": Sandwich,
    "fire": Fire,
    "shaw": Shaw,
    "transformer_xl": TransformerXL,
    "deberta": Deberta,
    "cope": Cope,
}


def build(name: str, config: Config, generator: Generator, **options: Any) -> PositionEncoding:
    """The encoding called ``name``, sized for a model; ``generator`` draws what is drawn.

    Options may follow the name: "t5:max_distance=32:scale=10" is t5 with max_distance = 32 and scale = 10.
    ``ENCODINGS[name].options()`` lists them, and so does the TypeError for one that the encoding does not have.
    """
    check.instance("encoding", name, str)
    check.instance("generator", generator, Generator)
    if not hasattr(config, "n_layer"):
        raise TypeError(f"config must be a Config of pe_lib.transformer, got {check.short(config)}")
    name, *settings = name.split(":")
    encoding = ENCODINGS[check.choice("encoding", name, ENCODINGS)]
    for setting in settings:
        option, _, value = setting.partition("=")
        if option in options:
            raise ValueError(f"encoding must have each option once, got {option} twice")
        options[option] = _value(value)
    has = encoding.options()
    for option in options:
        if option not in has:
            raise TypeError(f"encoding {name} has no option {option!r}; it has {', '.join(has) or 'none'}")
    if issubclass(encoding, Wrapper):
        options["inner"] = build(options.get("inner", has["inner"]), config, generator)
    return encoding.for_model(config, generator, **options)


def _value(text: str) -> Any:
    """The Python literal that a text writes, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
