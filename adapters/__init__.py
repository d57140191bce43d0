"""Adapters: one folder or file for each host code."""
