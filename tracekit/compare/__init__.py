"""Comparing the variants of results: figures, paired differences with intervals, the Pareto front, reasons."""
