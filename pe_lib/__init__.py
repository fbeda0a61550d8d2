"""Position encoding in Transformers, small enough to read in an evening.

    sinusoidal    the formula, in every published convention, and its misreadings      NumPy
    rotary        the same frequencies turning queries and keys, and its relatives     NumPy
    bias          biases on attention scores: ALiBi, T5, KERPLE, Sandwich ...          NumPy
    analysis      what a table or a kernel does: shift, distance, rank                 NumPy
    estimate      the sinusoid that comes nearest to a table                           NumPy
    probe         how somebody else's encoding is called                               NumPy
    identify      which convention made a table, and what is wrong with code           NumPy
    plots         the figures; they draw on given Axes and compute nothing             matplotlib
    encodings     where position enters a model: one small class an encoding           torch
    transformer   the tiny Transformer, whole                                          torch
    tasks         sequence tasks, and the best score possible without order            NumPy
    text          real text, character by character                                    NumPy
    controls      tables that are not the formula, to compare it with                  NumPy
    training      fit and evaluate; the result is a list of records                    torch
    compare       what an encoding does, costs and cannot see, measured                torch
    results       what a notebook reports, and the tables kept in data/results         pandas
    claims        the ledger of claims, and the verdicts that must agree with it       pandas
    runs          notebooks executed: one, all, or a grid; here or on a cluster        papermill, dask
    check         what every public function says about an argument it cannot use

A module is imported by name (``from pe_lib import sinusoidal``); nothing is imported here, so the
NumPy rooms never load torch.
"""
