"""Pictures of a functional: its enhancement factor, and its energy density along a bond."""
