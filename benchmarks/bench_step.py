"""A step of training the tiny Transformer, against the matrix products in it."""

import pytest
import torch
from torch import nn

from pe_lib.training import new_model
from pe_lib.transformer import Config

SEQ_LEN, VOCAB, WIDTH, N_HEAD = 16, 10, 64, 4
SIZES = [(32, 1), pytest.param(128, 2, marks=pytest.mark.slow)]  # sequences in a batch, layers


def products(batch, n_layer):
    """The matrix products of a step and nothing else: each forward, and twice as much backward."""
    weights = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
    layer = [(torch.randn(batch * SEQ_LEN, n_in), torch.randn(n_in, n_out)) for n_in, n_out in weights]
    heads = (batch * N_HEAD, SEQ_LEN, WIDTH // N_HEAD)
    q, k, v = (torch.randn(heads) for _ in range(3))

    def multiply():
        for _ in range(n_layer):
            for x, w in layer:
                y = x @ w
                y @ w.T, x.T @ y
            score = q @ k.mT
            score @ k, score.mT @ q
            y = score @ v
            y @ v.mT, score.mT @ y

    return multiply


def ours(n_layer, peer):
    config = Config(VOCAB, VOCAB, SEQ_LEN, d_model=WIDTH, n_head=N_HEAD, n_layer=n_layer)
    return new_model(config, "learned", 0)


class Torch(nn.Module):
    """What PyTorch has ready-made."""

    def __init__(self, n_layer):
        super().__init__()
        self.token = nn.Embedding(VOCAB, WIDTH)
        self.position = nn.Parameter(torch.randn(SEQ_LEN, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, N_HEAD, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, n_layer, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, VOCAB)

    def forward(self, tokens):
        return self.head(self.layers(self.token(tokens) + self.position))


def x_transformers(n_layer, peer):
    package = peer("x_transformers")
    layers = package.Encoder(dim=WIDTH, depth=n_layer, heads=N_HEAD, attn_dim_head=WIDTH // N_HEAD)
    return package.TransformerWrapper(num_tokens=VOCAB, max_seq_len=SEQ_LEN, attn_layers=layers)


WAYS = {
    "pe_lib": ours,
    "nn.TransformerEncoder": lambda n_layer, peer: Torch(n_layer),
    "x-transformers": x_transformers,
}


# The ways of one size one after another: what changes in the machine meets them alike.
@pytest.mark.parametrize("way", ["products", *WAYS])
@pytest.mark.parametrize(("batch", "n_layer"), SIZES)
def test_step(timed, peer, way, batch, n_layer):
    sizes = {"batch": batch, "n_head": N_HEAD, "seq_len": SEQ_LEN, "width": WIDTH, "n_layer": n_layer}
    if way == "products":
        timed(products(batch, n_layer), "training step", way, sizes, floor=True)
        return
    model = WAYS[way](n_layer, peer).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens, targets = torch.randint(VOCAB, (2, batch, SEQ_LEN), generator=torch.Generator().manual_seed(0))

    def step():
        loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()  # the first makes the state of the optimizer
    timed(step, "training step", way, sizes)
