"""Functionals that others published, converted on the user's machine.

In: the authors' files, from the network or a folder (`sources`), read by `readers`. Out: functional
folders, exported from the functional forms that the families' modules have in torch. Each family
is a module with ``functionals(collection, files)``; `xcnet.catalogue` has its facts.
"""
