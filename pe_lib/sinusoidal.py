"""The sinusoidal position encoding, in the conventions in which it was published, and misread.

PE(pos, 2i) = sin(pos * omega_i),  PE(pos, 2i + 1) = cos(pos * omega_i),  omega_i = base ** (-2i / d_model)

The pair index i counts (sin, cos) pairs, 0 <= i < d_model/2.  The dimensions, which are the columns of the
table, are 2i and 2i + 1: two columns a pair, i = column // 2.
Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762, section 3.5.
"""

from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from pe_lib import check

SCHEDULES = ("paper", "tensor2tensor")
LAYOUTS = ("interleaved", "halves", "halves_cos_first")
ODD = ("error", "extra_sine", "zero_column", "truncate")
READINGS = ("column", "doubled", "unpaired")


def frequencies(d_model: int, base: float = 10_000.0, *, schedule: str = "paper", odd: str = "error") -> np.ndarray:
    """Angular frequency of each (sin, cos) pair, in radians per token.  -> (n_pair,) float64, n_pair = d_model/2

    schedule "paper"          omega_i = base ** (-2i / d_model): Vaswani et al. 2017, sec. 3.5.  Ends before 1/base.
             "tensor2tensor"  omega_i = base ** (-i / (n_pair - 1)): the authors' released code
                              (`get_timing_signal_1d`), also fairseq and Whisper.  Ends at 1/base exactly.
    i = 0 .. n_pair - 1 counts pairs, not columns.  Both start at omega_0 = 1; one pair alone has just that.
    An odd width is an error unless ``odd`` says how it is made; see `sinusoidal`.
    Raises ValueError or TypeError if d_model is not an integer >= 2, or is odd where ``odd`` is "error", if base is
    not finite and > 1, or if schedule or odd is unknown.
    """
    base = check.real("base", base, above=1)
    check.choice("schedule", schedule, SCHEDULES)
    check.choice("odd", odd, ODD)
    d_model = check.size("d_model", d_model, even=odd == "error", least=2)
    d_model += {"zero_column": -1, "truncate": 1}.get(odd, 0) * (d_model % 2)  # they have those of an even width
    n_pair = (d_model + 1) // 2
    i = np.arange(n_pair)
    return base ** -(2 * i / d_model if schedule == "paper" else i / max(n_pair - 1, 1))


def sinusoidal(
    pos,
    d_model: int,
    base: float = 10_000.0,
    *,
    schedule: str = "paper",
    layout: str = "interleaved",
    odd: str = "error",
    offset: float = 0.0,
    scale: float = 1.0,
) -> np.ndarray:
    """The encoding of each position.  pos (t,) in tokens -> (t, d_model) float64

    `pos` may be negative, fractional or huge, and of any shape: (...) gives (..., d_model).
    layout "interleaved"       sin, cos, sin, cos ...: pair i in columns 2i and 2i + 1 (the paper)
           "halves"            all sines, then all cosines: pair i in columns i and i + d_model/2 (tensor2tensor)
           "halves_cos_first"  all cosines, then all sines (MusicGen)
    odd    how an odd d_model is made
           "error"        it is refused
           "extra_sine"   the formula as it stands, up to column d_model - 1: one sine more than cosines (XLM, Marian)
           "zero_column"  the table of d_model - 1, and a last column of zeros (tensor2tensor, fairseq)
           "truncate"     the table of d_model + 1 without its last column (positional-encodings)
    offset is added to every position (tokens), scale multiplies every entry.
    The layouts are permutations of each other; the schedules (see `frequencies`) are not.
    Angles are formed in float64, so the error stays below 1e-9 up to |pos| = 1e6; float32 angles, as in most
    model code, are wrong by about 6e-8 * pos.
    Raises ValueError or TypeError for numbers that are not finite and real, an unknown layout, and as
    `frequencies` does.
    """
    omega = frequencies(d_model, base, schedule=schedule, odd=odd)  # (n_pair,) radian / token
    order = column_order(d_model, layout=layout, odd=odd)
    angle = (check.reals("pos", pos) + check.real("offset", offset))[..., None] * omega  # (..., n_pair) radian
    waves = np.concatenate([np.sin(angle), np.cos(angle), np.zeros((*angle.shape[:-1], 1))], axis=-1)
    return check.real("scale", scale) * waves[..., order]


def column_order(d_model: int, *, layout: str = "interleaved", odd: str = "error") -> np.ndarray:
    """What stands in each column, as an index into [n_pair sines | n_pair cosines | zero].  -> (d_model,) integers

    n_pair is the number of `frequencies`.  Raises ValueError or TypeError as `sinusoidal` does.
    """
    check.choice("layout", layout, LAYOUTS)
    n_pair = len(frequencies(d_model, odd=odd))
    sine, cosine = np.arange(n_pair), n_pair + np.arange(n_pair)
    if d_model % 2 and odd == "extra_sine":
        cosine = cosine[:-1]
    order = np.r_[cosine, sine] if layout == "halves_cos_first" else np.r_[sine, cosine]
    if layout == "interleaved":
        order = order[np.argsort(order % n_pair, kind="stable")]
    return np.r_[order, 2 * n_pair][:d_model]  # the zero is reached by zero_column alone


@dataclass(frozen=True)
class Convention:
    """One way to make a table of the encoding: everything but its size.

    The fields are the arguments of `sinusoidal`; besides, row r holds position offset + step * r, and scale may be
    "d_model**-0.5".  ``source`` says who does it so; it is not compared.
    Raises ValueError or TypeError for a field that `sinusoidal` would refuse, and for a step or scale of 0.
    """

    layout: str = "interleaved"
    schedule: str = "paper"
    base: float = 10_000.0
    odd: str = "error"
    offset: float = 0.0  # position of row 0 (tokens)
    scale: float | str = 1.0  # factor on every entry, or "d_model**-0.5"
    _: KW_ONLY
    step: float = 1.0  # tokens from one row to the next; -1 where the table descends
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self):
        if isinstance(self.scale, str):
            check.choice("scale", self.scale, ("d_model**-0.5",))
        elif check.real("scale", self.scale) == 0:
            raise ValueError("scale must not be 0")
        if check.real("step", self.step) == 0:
            raise ValueError("step must not be 0")
        sinusoidal(0, 2, self.base, **self._arguments(2))

    def _arguments(self, d_model):
        scale = d_model**-0.5 if isinstance(self.scale, str) else self.scale
        return {
            "schedule": self.schedule,
            "layout": self.layout,
            "odd": self.odd,
            "offset": self.offset,
            "scale": scale,
        }

    def table(self, n: int, d_model: int) -> np.ndarray:
        """The first n rows.  -> (n, d_model) float64.  Raises ValueError or TypeError as `sinusoidal` does."""
        d_model = check.size("d_model", d_model, least=2)
        rows = self.step * np.arange(check.size("n", n))
        return sinusoidal(rows, d_model, self.base, **self._arguments(d_model))

    def _columns(self, d_model):
        """(d_model,) index into [sines | cosines | zero], and the frequencies (n_pair,) in radian / token."""
        omega = frequencies(d_model, self.base, schedule=self.schedule, odd=self.odd)
        return column_order(d_model, layout=self.layout, odd=self.odd), omega


@dataclass(frozen=True)
class GridConvention:
    """One way to encode the cells of a grid, two coordinates side by side: half of the columns for each.

    ``blocks`` names the four blocks of d_model/4 columns in their order; w is the column of a cell and h its row,
    both counted from 0.  Cells are listed row by row.
    Raises ValueError or TypeError for blocks that are not these four, and as `frequencies` does.
    """

    blocks: tuple[str, ...] = ("sin w", "cos w", "sin h", "cos h")
    schedule: str = "paper"
    base: float = 10_000.0
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if sorted(self.blocks) != ["cos h", "cos w", "sin h", "sin w"]:
            raise ValueError(f"blocks must be sin w, cos w, sin h and cos h in some order, got {self.blocks}")
        frequencies(2, self.base, schedule=self.schedule)

    def table(self, n: tuple[int, int], d_model: int) -> np.ndarray:
        """The cells of a grid of n = (rows, columns).  -> (rows * columns, d_model) float64

        Raises ValueError or TypeError if d_model is not a positive multiple of 4 or n not two positive integers.
        """
        if not isinstance(n, (tuple, list)) or len(n) != 2:
            raise TypeError(f"n must be (rows, columns) of the grid, got {n!r}")
        height, width = (check.size("n", one) for one in n)
        if check.size("d_model", d_model) % 4:
            raise ValueError(f"d_model must be a multiple of 4, got {d_model}")
        h, w = np.divmod(np.arange(height * width), width)
        halves = {axis: sinusoidal(cell, d_model // 2, self.base, schedule=self.schedule, layout="halves")
                  for axis, cell in (("h", h), ("w", w))}  # each (rows * columns, d_model / 2)  # fmt: skip
        block = {f"{wave} {axis}": halves[axis][:, part : part + d_model // 4]
                 for axis in "hw" for wave, part in (("sin", 0), ("cos", d_model // 4))}  # fmt: skip
        return np.concatenate([block[name] for name in self.blocks], axis=1)


# Well-known code, by the name it is known under.  data/conventions.csv has more of what each does.
CONVENTIONS = {
    "paper": Convention(source="Vaswani et al. 2017, arXiv 1706.03762, section 3.5"),
    "tensor2tensor": Convention(
        "halves", "tensor2tensor", odd="zero_column", source="tensorflow/tensor2tensor bafdc1b, get_timing_signal_1d"
    ),
    "fairseq": Convention(
        "halves", "tensor2tensor", odd="zero_column", offset=2.0,
        source="facebookresearch/fairseq 3d262bb, SinusoidalPositionalEmbedding with padding_idx = 1",
    ),
    "annotated-transformer": Convention(source="harvardnlp/annotated-transformer debc9fd, PositionalEncoding"),
    "d2l": Convention(source="d2l 1.0.3, PositionalEncoding"),
    "marian": Convention(
        "halves", odd="extra_sine", source="transformers 5.23.0, MarianSinusoidalPositionalEmbedding"
    ),
    "xlm": Convention(odd="extra_sine", source="transformers 5.23.0, XLM create_sinusoidal_embeddings"),
    "m2m100": Convention(
        "halves", "tensor2tensor", odd="zero_column", offset=2.0,
        source="transformers 5.23.0, M2M100SinusoidalPositionalEmbedding with padding_idx = 1",
    ),
    "musicgen": Convention(
        "halves_cos_first", "tensor2tensor", odd="zero_column",
        source="transformers 5.23.0, MusicgenSinusoidalPositionalEmbedding",
    ),
    "whisper": Convention("halves", "tensor2tensor", source="transformers 5.23.0, Whisper sinusoids"),
    "x-transformers": Convention(
        "halves", scale="d_model**-0.5", source="x-transformers 2.31.10, ScaledSinusoidalEmbedding before training"
    ),
    "positional-encodings": Convention(odd="truncate", source="positional-encodings 6.0.3, PositionalEncoding1D"),
    "kerashub": Convention(odd="extra_sine", source="keras-hub 0.32.0, SinePositionEncoding"),
    "ddpm": Convention(
        "halves", "tensor2tensor", odd="zero_column",
        source="hojonathanho/diffusion 1e0dceb, get_timestep_embedding; a position is a time step",
    ),
    "diffusers": Convention(
        "halves_cos_first", odd="zero_column",
        source="diffusers 0.42.1, get_timestep_embedding as UNet2DConditionModel calls it: flip_sin_to_cos=True, "
        "downscale_freq_shift=0",
    ),
    "xlnet": Convention(
        "halves", step=-1.0,
        source="transformers 5.23.0, XLNet relative_positional_encoding: set offset = klen, n = klen + qlen",
    ),
    "mae": GridConvention(source="facebookresearch/mae efb2a80, get_2d_sincos_pos_embed; its emb_h holds w"),
    "timm": GridConvention(("sin h", "sin w", "cos h", "cos w"), source="timm 1.0.31, build_sincos2d_pos_embed"),
    "timm-interleaved": GridConvention(
        ("sin h", "cos h", "sin w", "cos w"),
        source="timm 1.0.31, build_sincos2d_pos_embed with interleave_sin_cos=True",
    ),
    "diffusers-2d": GridConvention(source="diffusers 0.42.1, get_2d_sincos_pos_embed with grid_size = base_size"),
}  # fmt: skip


def convert(table, source, target) -> np.ndarray:
    """The table of one convention as that of another.  table (t, d_model) of ``source`` -> (t, d_model) float64

    ``source`` and ``target`` are conventions or names in `CONVENTIONS`.  Columns are put in the other order, entries
    are scaled, and where the rows hold other positions each pair is turned by what is missing.  Where the positions
    agree nothing is computed from the values, so any table, a trained one too, can be put in the other order.
    Raises TypeError for a table that does not hold real numbers; ValueError for one that is not (t, d_model) or not
    finite, an unknown name, or a grid where the other is a line; and ValueError, saying what is missing, where the
    target holds what the source does not: other frequencies are no rearrangement, and a column that was cut off
    cannot be had back.
    """
    table = check.reals("table", table, ndim=2)
    source, target = (_named(name, one) for name, one in (("source", source), ("target", target)))
    if type(source) is not type(target):
        raise ValueError("target must encode as many coordinates as source does: one is of a line, one of a grid")
    d_model = table.shape[1]
    if isinstance(source, GridConvention):
        if (source.schedule, source.base) != (target.schedule, target.base):
            raise ValueError(_OTHER_FREQUENCIES)
        if d_model % 4:
            raise ValueError(f"table must have a multiple of 4 columns, got {d_model}")
        blocks = dict(zip(source.blocks, np.split(table, 4, axis=1), strict=True))
        return np.concatenate([blocks[name] for name in target.blocks], axis=1)
    (order, omega), (wanted, omega_wanted) = source._columns(d_model), target._columns(d_model)
    if len(omega) != len(omega_wanted) or not np.allclose(omega, omega_wanted, rtol=1e-12, atol=0):
        raise ValueError(_OTHER_FREQUENCIES)
    n_pair, row = len(omega), np.arange(len(table))
    waves = np.full((len(table), 2 * n_pair + 1), np.nan)  # sines, cosines, zero
    waves[:, -1] = 0
    waves[:, order] = table
    further = target.offset - source.offset + (target.step - source.step) * row  # (t,) tokens
    if further.any():
        sine, cosine = waves[:, :n_pair].copy(), waves[:, n_pair:-1].copy()
        s, c = np.sin(further[:, None] * omega), np.cos(further[:, None] * omega)  # (t, n_pair)
        waves[:, :n_pair], waves[:, n_pair:-1] = sine * c + cosine * s, cosine * c - sine * s
    result = waves[:, wanted]
    if np.isnan(result).any():
        lost = np.setdiff1d(np.arange(2 * n_pair), order)[0]
        raise ValueError(
            f"source has no {'sine' if lost < n_pair else 'cosine'} of pair {lost % n_pair}, which target needs: "
            "that column was cut off"
        )
    return result * (target._arguments(d_model)["scale"] / source._arguments(d_model)["scale"])


_OTHER_FREQUENCIES = (
    "target has other frequencies than source (another schedule, base or odd width): the information is not in the "
    "table, and no order of its columns is that of target; make it anew with target.table(n, d_model)"
)


def _named(name, convention):
    if isinstance(convention, (Convention, GridConvention)):
        return convention
    return CONVENTIONS[check.choice(name, convention, CONVENTIONS)]


def misread_frequencies(d_model: int, base: float = 10_000.0, *, reading: str) -> np.ndarray:
    """Angular frequency of each column under a wrong reading of i, in radians per token.  -> (d_model,) float64

    The formula has column // 2 = i and the exponent 2i / d_model in both columns of a pair.  The readings:
    reading "column"    i is the column: column j has exponent 2j / d_model.  The range of exponents is doubled
                        and sine and cosine no longer share a frequency.
            "doubled"   i runs over the even columns and is multiplied by two again: columns 2i and 2i + 1 share
                        the exponent 4i / d_model.  The range is doubled, the pairs are kept.
            "unpaired"  column j has exponent j / d_model: the range is right, the pairs are lost.
    Raises ValueError or TypeError as `frequencies` does, and for an unknown reading.
    """
    d_model = check.size("d_model", d_model, even=True, least=2)
    base = check.real("base", base, above=1)
    check.choice("reading", reading, READINGS)
    column = np.arange(d_model)
    exponent = {"column": 2 * column, "doubled": 4 * (column // 2), "unpaired": column}[reading] / d_model
    return base**-exponent


def misread(pos, d_model: int, base: float = 10_000.0, *, reading: str) -> np.ndarray:
    """The table that a wrong reading of i produces, for study.  pos (t,) in tokens -> (t, d_model) float64

    Sine in the even columns, cosine in the odd ones, each at the frequency that `misread_frequencies` gives its
    column.  Raises ValueError or TypeError as `sinusoidal` and `misread_frequencies` do.
    """
    omega = misread_frequencies(d_model, base, reading=reading)  # (d_model,) radian / token
    angle = check.reals("pos", pos)[..., None] * omega  # (..., d_model) radian
    return np.where(np.arange(d_model) % 2 == 0, np.sin(angle), np.cos(angle))
