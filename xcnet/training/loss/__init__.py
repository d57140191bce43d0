"""What a training minimizes: residuals from densities and energies, linear in the outputs.

In: densities, ground states, a form. Out: terms of a sum of squares with their weights.
"""
