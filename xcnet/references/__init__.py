"""Accurate references made by the project: coupled-cluster energies and densities, their orbitals.

In: the systems of a training set. Out: the two files of the set (`accurate`), made again by
``xcnet train reference``.
"""
