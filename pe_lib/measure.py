"""What an encoding does, costs and cannot see, measured on an untrained model; nothing here knows one by name.

An encoding is named as in `encodings.build`, or is one of your own; it is left as it is.
"""

import copy
from typing import Any

import torch
from torch import Generator, Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pe_lib import check
from pe_lib.encodings import PositionEncoding
from pe_lib.training import new_model
from pe_lib.transformer import Config, TinyTransformer


def enters(encoding: str | PositionEncoding, config: Config) -> list[str]:
    """Where it changes something: "positions", "embeddings", "queries and keys", "scores"."""
    chosen = _without_zeros(encoding, config).encoding.train()
    n_token = min(8, config.max_len)
    pos, plain = chosen.positions(n_token), PositionEncoding().positions(n_token)
    x = torch.zeros(1, n_token, config.d_model)
    ones = torch.ones(1, config.n_head, n_token, config.d_model // config.n_head)
    places = []
    if not torch.equal(pos, plain):
        places.append("positions")
    if not torch.equal(chosen.embed(x, plain), x):
        places.append("embeddings")
    blocks = [chosen.block(i) for i in range(config.n_layer)]
    turned = [block.turn(ones, ones, plain, plain) for block in blocks]
    if any(not torch.equal(side, ones) for pair in turned for side in pair):
        places.append("queries and keys")
    biases = [block.bias(q, k, plain, plain) for block, (q, k) in zip(blocks, turned, strict=True)]
    if any(bias is not None for bias in biases):
        places.append("scores")
    return places


def cost(encoding: str | PositionEncoding, config: Config, length: int) -> dict[str, int]:
    """What it adds to one forward of one sequence without encoding.

    parameters  numbers that are trained
    flops       of matrix products, multiplications and additions; entry by entry operations are not counted
    memory      bytes kept for the backward pass, without what is trained
    """
    check.instance("config", config, Config)
    length = check.size("length", length)
    check.room(n_head=config.n_head, length=length**2)
    tokens = torch.zeros(1, length, dtype=torch.long)
    with_it = _cost(new_model(config, encoding, 0), tokens)
    without = _cost(new_model(config, "nope", 0), tokens)
    return {name: with_it[name] - without[name] for name in with_it}


def sees(encoding: str | PositionEncoding, config: Config) -> dict[str, bool]:
    """What the output of a model without causal mask depends on; what is 0 before training is drawn at random.

    shift   where the sequence stands: 8 tokens at positions 0 .. 7, or at 37 .. 44
    mirror  its direction: the reversed sequence does more than to reverse the output
    A config that is causal raises ValueError: a causal mask knows left from right by itself.
    """
    check.instance("config", config, Config)
    if config.causal or config.max_len < 45:
        raise ValueError(f"config must not be causal and have max_len >= 45, got {config}")
    model = _without_zeros(encoding, config).double().eval()
    tokens = torch.randint(config.vocab, (2, 8), generator=Generator().manual_seed(1))
    pos = torch.arange(8.0)
    with torch.no_grad():
        plain, moved = model(tokens, pos), model(tokens, pos + 37)
        mirrored = model(tokens.flip(1), pos).flip(1)
    return {"shift": _differ(plain, moved), "mirror": _differ(plain, mirrored)}


def _differ(a: Tensor, b: Tensor) -> bool:
    return (a - b).abs().max().item() > 1e-9  # in float64


def _without_zeros(encoding: str | PositionEncoding, config: Config) -> TinyTransformer:
    """A model whose encoding has nothing left at 0, which would hide what it does."""
    model = copy.deepcopy(new_model(config, encoding, 0))
    generator = Generator().manual_seed(2)
    for parameter in model.encoding.parameters():
        if not parameter.detach().any():
            parameter.data.normal_(generator=generator)
    return model


def _cost(model: TinyTransformer, tokens: Tensor) -> dict[str, int]:
    sizes: dict[int, int] = {}  # a tensor's storage -> its size in bytes; two views of one count once
    trained = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in trained:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    def unchanged(tensor: Any) -> Any:
        return tensor

    model.train()
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, unchanged):
        result = model(tokens)  # held until here, so that no storage is used twice
    del result
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops": counter.get_total_flops(),
        "memory": sum(sizes.values()),
    }
