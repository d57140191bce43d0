"""Benchmarks: programs that write tables to benchmarks/results, and what they share."""
