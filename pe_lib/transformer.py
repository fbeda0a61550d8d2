"""The tiny Transformer, whole: pre-norm blocks, GELU, causal or not.  Position enters through `encodings` alone.

Axes: b batch, t query position, s key position, h head, e head_dim, d d_model.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

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

    def __post_init__(self) -> None:
        for name in ("vocab", "n_class", "max_len", "d_model", "n_head"):
            object.__setattr__(self, name, check.size(name, getattr(self, name)))
        object.__setattr__(self, "n_layer", check.size("n_layer", self.n_layer, most=1000))
        object.__setattr__(self, "causal", check.flag("causal", self.causal))
        parameters = self.d_model * (self.vocab + self.n_class + 12 * self.d_model * self.n_layer)
        if parameters > check.MOST:
            which = "vocab, n_class, d_model and n_layer"
            raise ValueError(f"{which} must give at most {check.MOST:,} parameters, got {parameters:,}")
        if self.d_model % self.n_head:
            raise ValueError(f"d_model must be a multiple of n_head = {self.n_head}, got {self.d_model}")


class Cache(NamedTuple):
    """What earlier tokens leave for later ones."""

    pos: Tensor  # (s,) or (b, s) positions, in tokens
    blocks: list[tuple[Tensor, Tensor]]  # keys, not turned, and values of each block, (b, h, s, e)


class TinyTransformer(nn.Module):
    """tokens (b, t) -> logits (b, t, n_class).

    Token embeddings are N(0, 1/d_model) and multiplied by sqrt(d_model) (Vaswani et al. 2017, sec. 3.4), so an
    embedding and a sinusoidal encoding have about the same norm.  Every number drawn comes from ``generator``.
    """

    def __init__(self, config: Config, encoding: PositionEncoding, generator: Generator):
        super().__init__()
        check.instance("config", config, Config)
        check.instance("encoding", encoding, PositionEncoding)
        check.instance("generator", generator, Generator)
        _check_encoding(encoding, config)
        self.config, self.encoding = config, encoding
        d = config.d_model
        self.token = nn.Parameter(torch.empty(config.vocab, d).normal_(0, d**-0.5, generator=generator))
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.n_layer))
        self.norm = nn.LayerNorm(d)
        self.head = _linear(d, config.n_class, generator)

    def forward(self, tokens: Tensor, pos: Tensor | None = None, attention_mask: Tensor | None = None) -> Tensor:
        """Logits (b, t, n_class).

        pos             positions of the tokens, (t,) or (b, t); by default those of the encoding, counted from 0
        attention_mask  (b, t) booleans, False where a token is padding, before or after the sequence: no token sees
                        it, it is not counted in the default positions, and its own logits mean nothing
        Raises ValueError or TypeError for tokens that are not (b, t) integers inside the vocabulary, and for
        positions and masks that do not fit them.
        """
        return self._run(tokens, pos, attention_mask)[0]

    def extend(
        self,
        tokens: Tensor,
        cache: Cache | None = None,
        pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Cache]:
        """The logits of the tokens that follow those in the cache, and the cache that holds all.  For causal models.

        One token at a time gives what all at once give.  ``attention_mask`` is that of all tokens, (b, s).
        """
        if not self.config.causal:
            raise ValueError("the model must be causal: in another one, later tokens change what earlier ones give")
        logits, _, longer = self._run(tokens, pos, attention_mask, cache)
        return logits, longer

    def attention(self, tokens: Tensor, pos: Tensor | None = None, attention_mask: Tensor | None = None) -> Tensor:
        """Attention weights of every block.  -> (n_layer, b, h, t, s); each row over s sums to 1"""
        return torch.stack(self._run(tokens, pos, attention_mask)[1])

    def _run(
        self, tokens: Tensor, pos: Tensor | None, attention_mask: Tensor | None, cache: Cache | None = None
    ) -> tuple[Tensor, list[Tensor], Cache]:
        """Logits, the weights of each block, and a cache of all tokens."""
        self._check(tokens)
        if cache is not None:
            check.instance("cache", cache, Cache)
        b, t = tokens.shape
        s = t if cache is None else cache.pos.shape[-1] + t
        if attention_mask is not None:
            _check_mask(attention_mask, (b, s))
        pos_q = self._positions(tokens, pos, attention_mask, cache)
        pos_k = pos_q if cache is None else _joined(cache.pos, pos_q)
        hidden = self._hidden(t, s, attention_mask, tokens.device)
        x = self.encoding.embed(self.token[tokens.long()] * self.config.d_model**0.5, pos_q)  # (b, t, d)
        weights, pasts = [], []
        for i, block in enumerate(self.blocks):
            past = None if cache is None else cache.blocks[i]
            x, weight, past = block(x, self.encoding.block(i), pos_q, pos_k, hidden, past)
            weights.append(weight)
            pasts.append(past)
        return self.head(self.norm(x)), weights, Cache(pos_k, pasts)

    def _positions(
        self, tokens: Tensor, pos: Tensor | None, attention_mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """Where the tokens stand.  -> (t,) or (b, t) float64"""
        t = tokens.shape[1]
        if pos is None:
            past = 0 if cache is None else cache.pos.shape[-1]
            pos = self.encoding.positions(past + t)
            if attention_mask is not None:
                place = attention_mask.cpu().cumsum(dim=1) - 1
                pos = pos[place.clamp(min=0)]  # (b, s)
            if cache is not None and (pos[..., :past] != cache.pos).any():
                raise ValueError("pos must be given: the encoding does not go on from the positions in the cache")
            pos = pos[..., past:]
        else:
            pos = torch.from_numpy(check.reals("pos", pos))
        if pos.shape not in (tokens.shape[1:], tokens.shape):
            raise ValueError(f"pos must be {t} positions, one a token, got shape {tuple(pos.shape)}")
        if not pos.abs().max() <= 2**53:
            raise ValueError(f"pos must be from -2**53 to 2**53, got {pos.min():g} to {pos.max():g}")
        return pos

    def _hidden(self, t: int, s: int, attention_mask: Tensor | None, device: torch.device) -> Tensor | None:
        """The keys that a query must not see.  -> (t, s) or (b, 1, t, s) booleans; None where it sees all"""
        hidden = torch.zeros(t, s, dtype=torch.bool, device=device)
        if self.config.causal:
            hidden = (~hidden).triu(1 + s - t)
        if attention_mask is None:
            return hidden if self.config.causal else None
        padding = ~attention_mask[:, None, None, :]  # (b, 1, 1, s)
        # Every token sees itself: where all keys were hidden, the softmax would be NaN.
        itself = torch.eye(s, dtype=torch.bool, device=device)[s - t :]
        return hidden | (padding & ~itself)

    def _check(self, tokens: Tensor) -> None:
        if not _has_values(tokens):
            raise TypeError(f"tokens must be a tensor, dense and with values, got {type(tokens).__name__}")
        if tokens.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
            raise TypeError(f"tokens must be integers, got {tokens.dtype}")
        if tokens.ndim != 2 or tokens.numel() == 0:
            raise ValueError(f"tokens must be (batch, seq_len), neither empty, got shape {tuple(tokens.shape)}")
        low, high = tokens.min(), tokens.max()
        if low < 0 or high >= self.config.vocab:
            raise ValueError(f"tokens must be from 0 to vocab - 1 = {self.config.vocab - 1}, got {low} to {high}")


class Block(nn.Module):
    """Attention, then a feed-forward layer of 4 d_model, each on the normalised stream and added to it."""

    def __init__(self, config: Config, generator: Generator):
        super().__init__()
        d = config.d_model
        self.n_head = config.n_head
        self.norm_attention, self.norm_forward = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = _linear(d, 3 * d, generator), _linear(d, d, generator)
        self.forward_layer = nn.Sequential(_linear(d, 4 * d, generator), nn.GELU(), _linear(4 * d, d, generator))

    def forward(self, x: Tensor, *where: Any) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """x (b, t, d) -> (b, t, d), and the weights, keys and values of `attend`, which gets ``where`` too"""
        attended, weight, past = self.attend(self.norm_attention(x), *where)
        x = x + attended
        return x + self.forward_layer(self.norm_forward(x)), weight, past

    def attend(
        self,
        x: Tensor,
        encoding: PositionEncoding,
        pos_q: Tensor,
        pos_k: Tensor,
        hidden: Tensor | None = None,
        past: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Multi-head attention of x (b, t, d) to itself and to the keys and values of the ``past``.

        -> (b, t, d), the weights (b, h, t, s), and all keys, not turned, and values, each (b, h, s, e)
        """
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)  # each (b, h, t, e)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)  # (b, h, s, e)
        turned_q, turned_k = encoding.turn(q, k, pos_q, pos_k)
        score = turned_q @ turned_k.transpose(-1, -2) / turned_q.shape[-1] ** 0.5  # (b, h, t, s)
        bias = encoding.bias(turned_q, turned_k, pos_q, pos_k)
        if bias is not None:
            score = score + bias
        if hidden is not None:
            score = score.masked_fill(hidden, -torch.inf)
        weight = score.softmax(dim=-1)
        return self.out((weight @ v).transpose(1, 2).reshape(x.shape)), weight, (k, v)


def _joined(past: Tensor, new: Tensor) -> Tensor:
    """Positions of all keys; one of the two may be those of each sequence.  -> (s,) or (b, s)"""
    batch = torch.broadcast_shapes(past.shape[:-1], new.shape[:-1])
    return torch.cat([past.expand(*batch, -1), new.expand(*batch, -1)], dim=-1)


def _check_mask(attention_mask: Tensor, shape: tuple[int, int]) -> None:
    if not _has_values(attention_mask) or attention_mask.dtype != torch.bool:
        raise TypeError("attention_mask must be a tensor of booleans, True for tokens that are no padding")
    if attention_mask.shape != shape:
        raise ValueError(f"attention_mask must be {shape}, one for each token, got {tuple(attention_mask.shape)}")
    if not attention_mask.any(dim=1).all():
        raise ValueError("attention_mask must leave each sequence one token or more")


def _has_values(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.layout == torch.strided and not tensor.is_meta


def _check_encoding(encoding: PositionEncoding, config: Config) -> None:
    """An encoding made for another width may be broadcast, or turn a part of a head, without an error."""
    sizes = {"d_model": config.d_model, "n_head": config.n_head, "head_dim": config.d_model // config.n_head}
    for part in encoding.modules():
        for name, size in sizes.items():
            if getattr(part, name, size) != size:
                raise ValueError(f"encoding must be made for {name} = {size}, got {getattr(part, name)}")


def _linear(n_in: int, n_out: int, generator: Generator) -> nn.Linear:
    # skip_init: the ordinary constructor would draw from, and so move, the global random state
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    nn.init.uniform_(layer.weight, -(n_in**-0.5), n_in**-0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
