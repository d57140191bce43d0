"""Systems and what is known of them: molecules, reactions, units, sets of them, public data.

In: data files and names. Out: `Molecule`, `Reaction` and sets of both, checked, in stated units;
what belongs to a test set is refused as training data. No quantum chemistry is done here.
"""
