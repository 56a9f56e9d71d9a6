"""Work in other processes, which may die: of this machine (``local``), or of a Dask scheduler (``scheduler``).

What a task makes is kept in files named by digest, by the task itself; a pool only has it done, and tells how it ended.
"""
