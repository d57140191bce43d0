"""Adapters: one file per host code, each importing only xcnet and its host."""
