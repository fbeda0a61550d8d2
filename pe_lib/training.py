"""Fit and evaluate a model on a task; the result is a list of records, one an evaluation."""

import hashlib
import io
import math
import multiprocessing
import os
import platform
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from pe_lib import check, encodings
from pe_lib.collection import write_whole
from pe_lib.tasks import IGNORE, TASKS, Task
from pe_lib.transformer import Config, TinyTransformer


def fit(
    model: TinyTransformer,
    task: Task,
    rng: np.random.Generator,
    *,
    length: int = 16,
    vocab: int = 10,
    steps: int = 1000,
    batch: int = 128,
    lr: float = 2e-3,
    eval_every: int = 100,
    eval_size: int = 500,
    checkpoint: str | Path | None = None,
    labels: dict | None = None,
) -> list[dict]:
    """Trains the model in place and returns one record per evaluation, the first at step 0.

    AdamW (betas 0.9 and 0.98, weight decay 0.01), gradient norm clipped at 1, learning rate rising linearly to
    ``lr`` over the first 5 % of the steps, then falling as a cosine.  The training batches and the one held-out
    batch of ``eval_size`` sequences come from two generators spawned from ``rng``; nothing else is drawn.

    A record has step, seconds of training so far, loss (nats per asked position) and accuracy on the held-out
    batch, the settings, the sizes of the model, number of parameters, seed (the entropy of ``rng``), versions
    and ``labels``.

    ``checkpoint`` names a file.  It is written whole at every evaluation; if it is there, training goes on from
    it to the same numbers as without the interruption, given the same arguments (rng freshly seeded).
    Raises ValueError or TypeError for sizes that are not positive integers, lr not > 0, a model whose sizes do not
    fit the task, labels that a record has already, a checkpoint of another run, and FloatingPointError when the
    loss is not finite.
    """
    for name, value in dict(steps=steps, eval_every=eval_every, eval_size=eval_size).items():
        check.size(name, value)
    check.real("lr", lr, above=0)
    for name, wanted in (("vocab", task.n_token(length, vocab)), ("n_class", task.n_class(length, vocab))):
        if getattr(model.config, name) < wanted:
            raise ValueError(f"model must have {name} >= {wanted} for this task, got {getattr(model.config, name)}")

    settings = dict(length=length, vocab=vocab, steps=steps, batch=batch, lr=lr, eval_every=eval_every)
    settings |= dict(eval_size=eval_size, seed=rng.bit_generator.seed_seq.entropy)
    sizes = {name: value for name, value in asdict(model.config).items() if name not in ("vocab", "max_len")}
    always = settings | sizes | {"parameters": sum(p.numel() for p in model.parameters())} | versions()
    taken = sorted({"step", "seconds", "loss", "accuracy", *always} & set(labels or {}))
    if taken:
        raise ValueError(f"labels must not be called as what a record holds already, got {', '.join(taken)}")
    always |= labels or {}

    batches, held_out = rng.spawn(2)
    held_out = task.sample(held_out, eval_size, length, vocab)
    fixed = settings | {"start": _fingerprint(model, held_out)} if checkpoint is not None else {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    warm_up = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * min(1, step / steps))),
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    records, done, seconds = [], 0, 0.0
    if checkpoint is not None and Path(checkpoint).exists():
        records, done, seconds = _load(checkpoint, parts, batches, fixed)

    # disable=None: silent unless a person watches in a terminal; delay: silent on short runs
    with tqdm(total=steps, initial=done, disable=None, delay=2, unit="step", leave=False) as bar:
        while True:
            if len(records) <= done // eval_every or (done == steps and records[-1]["step"] != steps):
                score = evaluate(model, *held_out)
                records.append({"step": done, "seconds": round(seconds, 3)} | score | always)
                bar.set_postfix(accuracy=f"{score['accuracy']:.3f}")
                if checkpoint is not None:
                    _save(checkpoint, parts, batches, fixed, records, done, seconds)
            if done == steps:
                return records
            start = time.perf_counter()
            _step(model, optimizer, *task.sample(batches, batch, length, vocab))
            schedule.step()
            seconds += time.perf_counter() - start
            done += 1
            bar.update()


def _fingerprint(model, held_out) -> str:
    """Tells runs apart that the settings do not: by the weights at the start, what they answer, and the task."""
    with torch.no_grad():
        tokens = torch.from_numpy(held_out[0][:1])
        answers = model(tokens, torch.arange(tokens.shape[1]))  # given positions: an encoding may draw its own
        tensors = [*(p.detach() for p in model.parameters()), answers, *map(torch.from_numpy, held_out)]
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


def _step(model, optimizer, inputs, targets):
    model.train()
    loss = _loss(model(torch.from_numpy(inputs)), torch.from_numpy(targets))
    if not torch.isfinite(loss):
        raise FloatingPointError(f"loss is {loss.item()}: the learning rate may be too high")
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _loss(logits, targets):
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)


@torch.no_grad()
def evaluate(model: TinyTransformer, inputs: np.ndarray, targets: np.ndarray, *, shift: float = 0) -> dict:
    """Loss (nats) and accuracy over the asked positions of a batch.  inputs, targets (b, t) integers

    ``shift`` is added to every position: what the model does at positions that it may not have been trained on.
    Raises ValueError or TypeError as the model does, and if no position is asked.
    """
    asked = torch.from_numpy(targets) != IGNORE
    if not asked.any():
        raise ValueError("targets must ask at least one position, got none")
    model.eval()
    pos = model.encoding.positions(inputs.shape[1]) + check.real("shift", shift)
    logits = model(torch.from_numpy(inputs), pos)
    right = logits.argmax(dim=-1)[asked] == torch.from_numpy(targets)[asked]
    return {
        "loss": _loss(logits, torch.from_numpy(targets)).item(),
        "accuracy": right.double().mean().item(),
    }


def trial(
    task: str,
    encoding: str | encodings.PositionEncoding,
    seed: int,
    *,
    length: int = 16,
    vocab: int = 10,
    sizes: dict | None = None,
    options: dict | None = None,
    labels: dict | None = None,
    **settings,
) -> list[dict]:
    """One whole run in one call: builds the model, fits it, returns the records.  For worker processes.

    ``seed`` is that of the model (see `model_for`) and of the data.  ``sizes`` are fields of
    `transformer.Config`, ``options`` those of the encoding; ``settings`` go to `fit`.  Uses one torch thread.
    Raises ValueError or TypeError for an unknown task, encoding or size, and as `fit` does.
    """
    torch.set_num_threads(1)
    model = model_for(task, encoding, seed, length=length, vocab=vocab, sizes=sizes, options=options)
    name = encoding if isinstance(encoding, str) else type(encoding).__name__
    labels = {"task": task, "encoding": name} | (options or {}) | (labels or {})
    rng = np.random.default_rng(seed)
    return fit(model, TASKS[task], rng, length=length, vocab=vocab, labels=labels, **settings)


def trials(jobs, processes: int = 2) -> list[list[dict]]:
    """`trial` for each of the ``jobs``, dictionaries of its arguments, side by side.  -> their records, in order

    The processes end with their parent, also where it is killed.  Raises what a `trial` raises.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(check.size("processes", processes), spawn, _end_with_parent) as pool:
        return [waiting.result() for waiting in [pool.submit(trial, **job) for job in jobs]]


def _end_with_parent():
    parent = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: wait([parent]) and os._exit(1), daemon=True).start()


def model_for(
    task: str,
    encoding: str | encodings.PositionEncoding,
    seed: int,
    *,
    length: int = 16,
    vocab: int = 10,
    sizes: dict | None = None,
    options: dict | None = None,
) -> TinyTransformer:
    """An untrained model for a task, as `new_model` makes it.

    Raises ValueError or TypeError for an unknown task, encoding, option or size.
    """
    return new_model(config_for(task, length, vocab, **(sizes or {})), encoding, seed, **(options or {}))


def new_model(config: Config, encoding: str | encodings.PositionEncoding, seed: int, **options) -> TinyTransformer:
    """An untrained model.  For one ``seed`` its weights are the same whatever the encoding.

    What an encoding draws, such as a learned table, comes from a second generator with a seed of its own.
    Raises ValueError or TypeError for an unknown encoding or option.
    """
    seeds = np.random.SeedSequence(check.size("seed", seed, least=0)).generate_state(2)
    weights, codes = (torch.Generator().manual_seed(int(one)) for one in seeds)
    if isinstance(encoding, str):
        encoding = encodings.build(encoding, config, codes, **options)
    elif not isinstance(encoding, encodings.PositionEncoding) or options:
        raise TypeError(f"encoding must be a name, or a PositionEncoding and no options, got {encoding!r}, {options}")
    return TinyTransformer(config, encoding, weights)


def config_for(task: str, length: int = 16, vocab: int = 10, **sizes) -> Config:
    """A `Config` whose vocabulary, classes and length fit a task; ``sizes`` are its other fields, or a max_len.

    Raises ValueError or TypeError for an unknown task and as `Config` does.
    """
    chosen = TASKS[check.choice("task", task, TASKS)]
    width = chosen.sample(np.random.default_rng(0), 1, length, vocab)[0].shape[1]
    return Config(chosen.n_token(length, vocab), chosen.n_class(length, vocab), **{"max_len": width} | sizes)


def summary(records, by=("encoding", "step"), value: str = "accuracy") -> pd.DataFrame:
    """Mean, lowest and highest ``value`` over the seeds, and their number.  -> a row for each group of ``by``

    records: a list of records or a DataFrame of them; the groups keep the order of the records.
    Raises ValueError if a seed comes twice in a group: then the records differ in something that is not in ``by``.
    """
    records = pd.DataFrame(records)
    if records.duplicated([*by, "seed"]).any():
        raise ValueError(f"by must tell the records of a seed apart, got {', '.join(by)}")
    groups = records.groupby(list(by), sort=False, dropna=False)[value]
    return groups.agg(mean="mean", low="min", high="max", seeds="count").reset_index()


def versions() -> dict:
    """What a number may depend on besides its parameters; `runs` adds the processor."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }


def _save(path, parts, batches, fixed, records, done, seconds):
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"rng": batches.bit_generator.state, "fixed": fixed}
    state |= {"records": records, "done": done, "seconds": seconds}
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save(state, content)
    write_whole(Path(path), content.getvalue())


def _load(path, parts, batches, fixed):
    state = torch.load(path, weights_only=True)
    different = sorted(name for name in fixed | state["fixed"] if fixed.get(name) != state["fixed"].get(name))
    if different:
        raise ValueError(f"checkpoint {path} is of another run: it differs in {', '.join(different)}")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    batches.bit_generator.state = state["rng"]
    return state["records"], state["done"], state["seconds"]
