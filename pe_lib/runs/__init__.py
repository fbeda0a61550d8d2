"""Notebooks executed: one, many, or one over a grid of parameters; here or on a cluster.

    python -m pe_lib.runs NOTEBOOK [NOTEBOOK ...] --out DIR
    python -m pe_lib.runs NOTEBOOK --grid seed=0:5 --grid encoding=nope,sinusoidal --out DIR
    python -m pe_lib.runs status DIR
    python -m pe_lib.runs.make_records NAME

A run is one notebook with one set of parameters.  It leaves the executed notebook and then, last and
whole, its record: a JSON file with the parameters, the versions, the result and what the notebook gave
to `collection.report`.  A run whose record says ok for the same cells, parameters, code and data is kept.

One way through: `notebook`, `limits` and `digest` (what is to be run, with which values, and of which code)
-> `plan` -> `cluster`, `crew` (who does a run), `execute` (what a worker does) and `forked` (its kernels) -> `store`
(records, and their table) -> `status`, `summary` and `make_records` (the tables of data/results, from
data/experiments.toml).  `folders` keeps two processes apart and removes what killed ones left.
"""

from pe_lib.runs.cluster import run
from pe_lib.runs.plan import Run, grid, plan
from pe_lib.runs.store import finished, table

__all__ = ["Run", "finished", "grid", "plan", "run", "table"]
