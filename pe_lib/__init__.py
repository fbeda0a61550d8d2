"""Position encoding in Transformers, small enough to read in an evening.

    sinusoidal    the formula, in every published convention, and its misreadings      NumPy
    analysis      what a table or a kernel does: shift, distance, rank                 NumPy
    plots         the figures; they draw on given Axes and compute nothing             matplotlib
    encodings     where position enters a model: one small class an encoding           torch
    transformer   the tiny Transformer, whole                                          torch
    tasks         sequence tasks, and the best score possible without order            NumPy
    training      fit and evaluate; the result is a list of records                    torch
    runs          notebooks executed: one, all, or a grid; here or on a cluster        papermill, dask
    check         what every public function says about an argument it cannot use

A module is imported by name (``from pe_lib import sinusoidal``); nothing is imported here, so the
NumPy rooms never load torch.
"""
