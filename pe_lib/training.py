"""Fit and evaluate a model on a task; the result is a list of records, one an evaluation."""

import math
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any, cast

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from pe_lib import check, encodings
from pe_lib.encodings import PositionEncoding
from pe_lib.tasks import IGNORE, TASKS, Integers, Task
from pe_lib.text import NextCharacter
from pe_lib.transformer import Config, TinyTransformer

Record = dict[str, Any]


def new_model(config: Config, encoding: str | PositionEncoding, seed: int) -> TinyTransformer:
    """An untrained model.  For one ``seed`` its weights are the same whatever the encoding.

    What an encoding draws, such as a learned table, comes from a second generator with a seed of its own.  An option
    may follow the name of an encoding, as in "learned:std=0.1".
    """
    check.instance("config", config, Config)
    seed = check.size("seed", seed, least=0, most=math.inf)
    seeds = np.random.SeedSequence(seed).generate_state(2)
    weights, codes = (Generator().manual_seed(int(state)) for state in seeds)
    if isinstance(encoding, str):
        encoding = encodings.build(encoding, config, codes)
    elif not isinstance(encoding, PositionEncoding):
        raise TypeError(f"encoding must be a name or a PositionEncoding, got {check.short(encoding)}")
    return TinyTransformer(config, encoding, weights)


def model_for(
    task: Task | NextCharacter, encoding: str | PositionEncoding, seed: int, **sizes: Any
) -> TinyTransformer:
    """An untrained model whose vocabulary, classes and length fit a task; ``sizes`` are other fields of `Config`."""
    check.instance("task", task, Task, NextCharacter)
    sizes = {"max_len": task.n_position} | sizes
    return new_model(Config(task.n_token, task.n_class, **sizes), encoding, seed)


def fit(
    model: TinyTransformer,
    task: Task | NextCharacter,
    rng: np.random.Generator,
    *,
    steps: int = 1000,
    batch: int = 128,
    lr: float = 2e-3,
    eval_every: int = 100,
    eval_size: int = 500,
    labels: Record | None = None,
) -> list[Record]:
    """Trains the model in place and returns one record per evaluation, the first at step 0.

    AdamW (betas 0.9 and 0.98, weight decay 0.01), gradient norm clipped at 1, learning rate rising linearly to
    ``lr`` over the first 5 % of the steps, then falling as a cosine.  The training batches and the one held-out
    batch of ``eval_size`` sequences come from two generators spawned from ``rng``; nothing else is drawn.

    A record has step, seconds of training so far, loss (nats per asked position) and accuracy on the held-out
    batch, the settings, the sizes of the model, number of parameters, seed (the entropy of ``rng``), versions
    and ``labels``.  A loss that is not finite raises FloatingPointError.
    """
    check.instance("model", model, TinyTransformer)
    check.instance("task", task, Task, NextCharacter)
    check.instance("rng", rng, np.random.Generator)
    check.instance("labels", {} if labels is None else labels, dict)
    steps = check.size("steps", steps)
    batch = check.size("batch", batch)
    eval_every = check.size("eval_every", eval_every)
    eval_size = check.size("eval_size", eval_size)
    lr = check.between("lr", lr, 1e-30, 1000)
    config = model.config
    check.room(n_head=config.n_head, length=task.n_position**2)
    if config.vocab < task.n_token or config.n_class < task.n_class:
        raise ValueError(
            f"model must have vocab >= {task.n_token} and n_class >= {task.n_class} for this task, "
            f"got {config.vocab} and {config.n_class}"
        )
    seeds = cast(np.random.SeedSequence, rng.bit_generator.seed_seq)
    settings: Record = {"length": task.length, "vocab": task.vocab, "steps": steps, "batch": batch, "lr": lr}
    settings |= {"eval_every": eval_every, "eval_size": eval_size, "seed": seeds.entropy}
    sizes = {name: value for name, value in asdict(config).items() if name not in ("vocab", "max_len")}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    constant = settings | sizes | {"parameters": parameters} | versions()
    taken = sorted({"step", "seconds", "loss", "accuracy", *constant} & set(labels or {}))
    if taken:
        raise ValueError(f"labels must not be called as what a record holds already, got {', '.join(taken)}")
    constant |= labels or {}

    batches, evaluation = rng.spawn(2)
    held_out = task.sample(evaluation, eval_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_lr(step, steps))
    records: list[Record] = []
    seconds = 0.0
    # disable=None: silent unless a person watches in a terminal; delay: silent on short runs
    with tqdm(total=steps, disable=None, delay=2, unit="step", leave=False) as bar:
        for step in range(steps + 1):
            if step % eval_every == 0 or step == steps:
                score = evaluate(model, *held_out)
                records.append({"step": step, "seconds": round(seconds, 3)} | score | constant)
                bar.set_postfix(accuracy=f"{score['accuracy']:.3f}")
            if step == steps:
                break
            start = time.perf_counter()
            _step(model, optimizer, *task.sample(batches, batch))
            schedule.step()
            seconds += time.perf_counter() - start
            bar.update()
    return records


def _share_of_lr(step: int, steps: int) -> float:
    """Learning rate of a step as a share of the peak: a rise over the first 5 %, times half a cosine."""
    rise = min(1, (step + 1) / max(1, steps // 20))
    return rise * 0.5 * (1 + math.cos(math.pi * min(1, step / steps)))


def _step(model: TinyTransformer, optimizer: torch.optim.Optimizer, inputs: Integers, targets: Integers) -> None:
    model.train()
    loss = _loss(model(torch.from_numpy(inputs)), targets)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _loss(logits: Tensor, targets: Integers) -> Tensor:
    loss = cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten(), ignore_index=IGNORE)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"loss is {loss.item()}: lr, the learning rate, may be too high")
    return loss


@torch.no_grad()
def evaluate(model: TinyTransformer, inputs: Integers, targets: Integers, *, shift: float = 0) -> dict[str, float]:
    """Loss (nats) and accuracy over the asked positions of a batch.  inputs, targets (b, t) integers

    ``shift`` is added to every position: what the model does at positions that it may not have been trained on.
    """
    check.instance("model", model, TinyTransformer)
    inputs = check.integers("inputs", inputs, ndim=2, least=0, most=model.config.vocab - 1)
    targets = check.integers("targets", targets, ndim=2, least=IGNORE, most=model.config.n_class - 1)
    if not inputs.size or inputs.shape != targets.shape:
        raise ValueError(f"inputs and targets must be (b, t), got shapes {inputs.shape} and {targets.shape}")
    asked = targets != IGNORE
    if not asked.any():
        raise ValueError("targets must ask at least one position, got none")
    model.eval()
    pos = model.encoding.positions(inputs.shape[1]) + check.between("shift", shift, -1e15, 1e15)
    logits = model(torch.from_numpy(inputs), pos)
    answers = logits.argmax(dim=-1).numpy()
    accuracy = (answers == targets)[asked].mean()
    return {"loss": _loss(logits, targets).item(), "accuracy": float(accuracy)}


def trial(
    task: str,
    encoding: str | PositionEncoding,
    seed: int,
    *,
    length: int = 16,
    vocab: int = 10,
    sizes: dict[str, Any] | None = None,
    labels: Record | None = None,
    **settings: Any,
) -> list[Record]:
    """One whole run in one call: builds the model, fits it, returns the records.  For worker processes.

    seed      of the model (see `new_model`) and of the data
    sizes     fields of `transformer.Config`
    settings  go to `fit`
    Uses one torch thread.
    """
    torch.set_num_threads(1)
    seed = check.size("seed", seed, least=0, most=math.inf)
    for argument, value in (("sizes", sizes), ("labels", labels)):
        check.instance(argument, {} if value is None else value, dict)
    sized_task = TASKS[check.choice("task", task, TASKS)](length, vocab)
    model = model_for(sized_task, encoding, seed, **(sizes or {}))
    name = encoding if isinstance(encoding, str) else type(encoding).__name__
    labels = {"task": task, "encoding": name} | (labels or {})
    return fit(model, sized_task, np.random.default_rng(seed), labels=labels, **settings)


def trials(jobs: Iterable[dict[str, Any]], processes: int = 2) -> list[list[Record]]:
    """`trial` for each of the ``jobs``, dictionaries of its arguments, side by side.  -> their records, in order

    At most ``processes``, and no more than there are cores; they end with their parent, also where it is killed.
    """
    jobs = check.several("jobs", jobs, dict)
    count = min(check.size("processes", processes), _cores())
    with ProcessPoolExecutor(count, _start_method(), _end_with_parent) as pool:
        running = [pool.submit(trial, **job) for job in jobs]
        return [run.result() for run in running]


def _start_method() -> BaseContext:
    """How processes start: on Linux as forks of one that has imported what they need, which takes seconds."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # the first optimizer of a process imports the second
    return context


def _cores() -> int:
    """The cores that are for this process: `runs` says so to the notebooks that it runs side by side."""
    told = os.environ.get("PYTHON_CPU_COUNT", "")
    if told.isdecimal():
        return max(1, int(told))
    from dask.system import cpu_count  # as the affinity and the control group of this process say

    return int(cpu_count())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in a child
    threading.Thread(target=lambda: wait([parent.sentinel]) and os._exit(1), daemon=True).start()


def versions() -> Record:
    """What a number may depend on besides its parameters; `runs` adds the processor."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }
