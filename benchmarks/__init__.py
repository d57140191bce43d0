"""Benchmarks: each module is a program that writes a table to benchmarks/results."""
