"""Readers of other formats: each turns a foreign file into a trace file."""
