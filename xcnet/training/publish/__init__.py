"""From trained weights to a functional folder: record, card, report, pictures.

In: a recipe and what was trained by it. Out: the folder, and a report of how it came about.
"""
