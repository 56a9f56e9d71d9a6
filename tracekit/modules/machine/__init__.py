"""The machine under all modules: frames, residency and copy-on-write, as kernel templates.

A template is an ordinary module that runs as it stands, with the do-nothing policy bound. ``tracekit.driver`` copies
its text into a variant's driver with the names between ``# bind`` and ``# end bind`` bound to that variant's policies.
"""
