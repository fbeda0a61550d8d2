"""What an encoding does, costs and cannot see, measured on an untrained model; nothing here knows one by name.

An encoding is named as in `encodings.build`; a config is a `transformer.Config`.
"""

import copy

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pe_lib import check
from pe_lib.encodings import PositionEncoding
from pe_lib.training import new_model
from pe_lib.transformer import Config, TinyTransformer


def enters(encoding: str, config: Config) -> list[str]:
    """Where it changes something: "positions", "embeddings", "queries and keys", "scores".

    Raises ValueError or TypeError as `encodings.build` does.
    """
    one, t = _drawn(encoding, config).encoding.train(), min(8, config.max_len)
    pos, plain = one.positions(t), PositionEncoding().positions(t)
    x, shape = torch.zeros(1, t, config.d_model), (1, config.n_head, t, config.d_model // config.n_head)
    q, k = torch.ones(shape), torch.ones(shape)
    found = {"positions": not torch.equal(pos, plain), "embeddings": not torch.equal(one.embed(x, plain), x)}
    # embed opens a forward, and the blocks follow in order
    turned = [(*one.turn(q, k, plain), one.bias(q, k, plain)) for _ in range(config.n_layer)]
    found["queries and keys"] = any(not torch.equal(new_q, q) for new_q, _, _ in turned)
    found["scores"] = any(bias is not None for _, _, bias in turned)
    return [where for where, does in found.items() if does]


def cost(encoding: str, config: Config, length: int) -> dict:
    """What it adds to one forward of one sequence without encoding.

    parameters   numbers that are trained
    flops        of matrix products, multiplications and additions; entry by entry operations are not counted
    memory       bytes kept for the backward pass, without what is trained
    Raises ValueError or TypeError as `encodings.build` does, or if length is not a positive integer.
    """
    tokens = torch.zeros(1, check.size("length", length), dtype=torch.long)
    with_it, without = (_cost(new_model(config, name, 0), tokens) for name in (encoding, "nope"))
    return {name: with_it[name] - without[name] for name in with_it}


def sees(encoding: str, config: Config) -> dict:
    """What the output of a model without causal mask depends on; whatever is trained is drawn at random.

    shift    where the sequence stands: 8 tokens at positions 0 .. 7, or at 37 .. 44
    mirror   its direction: the reversed sequence does more than to reverse the output
    Raises ValueError or TypeError as `encodings.build` does, or for a config that is causal (a causal mask knows left
    from right by itself) or has a max_len below 45.
    """
    if config.causal or config.max_len < 45:
        raise ValueError(f"config must not be causal and have max_len >= 45, got {config}")
    model = _drawn(encoding, config).double().eval()
    tokens = torch.randint(config.vocab, (2, 8), generator=torch.Generator().manual_seed(1))
    pos = torch.arange(8.0)
    with torch.no_grad():
        plain, moved, mirrored = model(tokens, pos), model(tokens, pos + 37), model(tokens.flip(1), pos).flip(1)
    return {"shift": _differ(plain, moved), "mirror": _differ(plain, mirrored)}


def _differ(one: Tensor, other: Tensor) -> bool:
    return (one - other).abs().max().item() > 1e-9  # in float64


def _drawn(encoding: str, config: Config) -> TinyTransformer:
    """A model whose encoding has no number left at a first value like 0, which could hide what it does."""
    model, generator = copy.deepcopy(new_model(config, encoding, 0)), torch.Generator().manual_seed(2)
    for parameter in model.encoding.parameters():
        parameter.data.normal_(generator=generator)
    return model


def _cost(model: TinyTransformer, tokens: Tensor) -> dict:
    kept = {}  # a tensor's storage -> its size in bytes; two views of one count once
    trained = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in trained:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train()
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        result = model(tokens)  # held until here, so that no storage is used twice
    del result
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops": counter.get_total_flops(),
        "memory": sum(kept.values()),
    }
