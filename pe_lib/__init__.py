"""Position encoding in Transformers, small enough to read in an evening.

    sinusoidal    the formula, its column orders, its kernel and its misreadings       NumPy
    rotary        the same frequencies turning queries and keys, and its relatives     NumPy
    bias          biases on attention scores: ALiBi, T5, KERPLE, Sandwich ...          NumPy
    analysis      what a table or a kernel does: shift, distance, rank                 NumPy
    conventions   how well-known code writes the formula, and converting               NumPy
    encodings     where position enters a model: one small class an encoding           torch
    transformer   the tiny Transformer, whole                                          torch
    tasks         sequence tasks, and the best score possible without order            NumPy
    text          real text, character by character                                    NumPy
    training      fit and evaluate; the result is a list of records                    torch
    controls      tables that are not the formula, to compare it with                  NumPy
    measure       what an encoding does, costs and cannot see                          torch
    plots         the figures; they draw on given Axes and compute nothing             matplotlib
    identify      which convention made a table, and what is wrong with code           NumPy
    collection    what notebooks report, and the records in data/results               pandas
    claims        the ledger of claims, the verdicts on them, and both as tables       pandas
    runs          notebooks executed: one, all, or a grid; here or on a cluster        papermill, dask
    check         what every public function says about an argument it cannot use

A module is imported by name (``from pe_lib import sinusoidal``); nothing is imported here, so the
NumPy rooms never load torch.
"""

from pathlib import Path

_HERE = Path(__file__).parent
# The tables of the collection.  In a checkout they stand beside the package, in an installed wheel inside it.
DATA = _HERE / "data" if (_HERE / "data").is_dir() else _HERE.parent / "data"
