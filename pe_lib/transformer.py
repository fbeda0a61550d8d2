"""The tiny Transformer, whole: pre-norm blocks, GELU, causal or not.  Position enters through `encodings` alone.

Axes: b batch, t query position, s key position, h head, e head_dim, d d_model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pe_lib import check
from pe_lib.encodings import PositionEncoding


@dataclass(frozen=True)
class Config:
    """The sizes of a `TinyTransformer`.  Raises ValueError or TypeError for sizes that do not fit together."""

    vocab: int  # token ids 0 .. vocab - 1
    n_class: int  # classes predicted at every position
    max_len: int  # tokens; only tables with a row per position, such as Learned, depend on it
    d_model: int = 64  # columns; the smallest width at which every task here is learned in seconds
    n_head: int = 4  # heads of d_model / n_head columns each
    n_layer: int = 2  # blocks; reverse and count need one, retrieve and causal copying two
    causal: bool = False  # True: a query sees its own and earlier positions only

    def __post_init__(self):
        for name in ("vocab", "n_class", "max_len", "d_model", "n_head", "n_layer"):
            check.size(name, getattr(self, name))
        if self.d_model % self.n_head:
            raise ValueError(f"d_model must be a multiple of n_head = {self.n_head}, got {self.d_model}")
        if not isinstance(self.causal, bool):
            raise TypeError(f"causal must be True or False, got {self.causal!r}")


class TinyTransformer(nn.Module):
    """tokens (b, t) -> logits (b, t, n_class).

    Token embeddings are N(0, 1/d_model) and multiplied by sqrt(d_model) (Vaswani et al. 2017, sec. 3.4), so an
    embedding and a sinusoidal encoding have about the same norm.  Every number drawn comes from ``generator``.
    """

    def __init__(self, config: Config, encoding: PositionEncoding, generator: torch.Generator):
        super().__init__()
        self.config, self.encoding = config, encoding
        d = config.d_model
        self.token = nn.Parameter(torch.empty(config.vocab, d).normal_(0, d**-0.5, generator=generator))
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.n_layer))
        self.norm = nn.LayerNorm(d)
        self.head = _linear(d, config.n_class, generator)

    def forward(self, tokens: Tensor, pos: Tensor | None = None) -> Tensor:
        """Logits (b, t, n_class).  ``pos`` (t,) replaces the positions 0 .. t - 1.

        Raises ValueError or TypeError for tokens that are not (b, t) integers inside the vocabulary, or a pos that is
        not one finite number a token.
        """
        return self._run(tokens, pos)[0]

    def attention(self, tokens: Tensor, pos: Tensor | None = None) -> Tensor:
        """Attention weights of every block.  -> (n_layer, b, h, t, s); each row over s sums to 1"""
        return torch.stack(self._run(tokens, pos)[1])

    def _run(self, tokens, pos):
        self._check(tokens)
        tokens = tokens.long()
        pos = self.encoding.positions(tokens.shape[1]) if pos is None else torch.as_tensor(pos).double()
        if pos.shape != tokens.shape[1:] or not pos.isfinite().all():
            raise ValueError(f"pos must be {tokens.shape[1]} finite positions, one a token, got {pos}")
        x = self.encoding.embed(self.token[tokens] * self.config.d_model**0.5, pos)  # (b, t, d)
        weights = []
        for block in self.blocks:
            x, weight = block(x, self.encoding, pos)
            weights.append(weight)
        return self.head(self.norm(x)), weights

    def _check(self, tokens):
        if not isinstance(tokens, Tensor):
            raise TypeError(f"tokens must be a tensor, got {type(tokens).__name__}")
        if tokens.is_floating_point() or tokens.dtype == torch.bool:
            raise TypeError(f"tokens must be integers, got {tokens.dtype}")
        if tokens.ndim != 2 or tokens.numel() == 0:
            raise ValueError(f"tokens must be (batch, seq_len), neither empty, got shape {tuple(tokens.shape)}")
        if tokens.min() < 0 or tokens.max() >= self.config.vocab:
            raise ValueError(
                f"tokens must be from 0 to vocab - 1 = {self.config.vocab - 1}, "
                f"got {tokens.min()} to {tokens.max()}"
            )


class Block(nn.Module):
    """Attention, then a feed-forward layer of 4 d_model, each on the normalised stream and added to it."""

    def __init__(self, config: Config, generator: torch.Generator):
        super().__init__()
        d = config.d_model
        self.n_head, self.causal = config.n_head, config.causal
        self.norm_attention, self.norm_forward = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = _linear(d, 3 * d, generator), _linear(d, d, generator)
        self.forward_layer = nn.Sequential(_linear(d, 4 * d, generator), nn.GELU(), _linear(4 * d, d, generator))

    def forward(self, x: Tensor, encoding: PositionEncoding, pos: Tensor) -> tuple[Tensor, Tensor]:
        attended, weight = self.attend(self.norm_attention(x), encoding, pos)
        x = x + attended
        return x + self.forward_layer(self.norm_forward(x)), weight

    def attend(self, x: Tensor, encoding: PositionEncoding, pos: Tensor) -> tuple[Tensor, Tensor]:
        """Multi-head attention.  x (b, t, d) -> (b, t, d) and the weights (b, h, t, s)"""
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)  # each (b, h, t, e)
        q, k = encoding.turn(q, k, pos)
        score = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (b, h, t, s)
        bias = encoding.bias(q, k, pos)
        if bias is not None:
            score = score + bias
        if self.causal:
            future = torch.ones(t, t, dtype=torch.bool, device=x.device).triu(1)
            score = score.masked_fill(future, -torch.inf)
        weight = score.softmax(dim=-1)
        return self.out((weight @ v).transpose(1, 2).reshape(x.shape)), weight


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    # skip_init: the ordinary constructor would draw from, and so move, the global random state
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    nn.init.uniform_(layer.weight, -(n_in**-0.5), n_in**-0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
