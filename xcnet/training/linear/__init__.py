"""Linear expansions: columns, their integrals at fixed densities, fits of all rows at once.

In: a recipe of rows, ground states that are kept. Out: integrals of every system, coefficients, and
how well they do on rows that were held out. No network is trained here.
"""
