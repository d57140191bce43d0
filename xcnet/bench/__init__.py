"""``xcnet bench``: accuracy and speed of functionals, measured and shown.

A benchmark set is a file in ``protocols/`` and a function in `reactions`. Its systems become tasks,
each calculated in a process of its own, and each result a line of a file (`store`), from which
`statistics` and the report are made.
"""
