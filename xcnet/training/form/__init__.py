"""Forms of functionals: features of the density, networks, and what joins them, in torch.

In: density variables. Out: an energy density with constraints built in, and its free factors.
"""
