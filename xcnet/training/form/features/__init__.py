"""Features: density variables -> bounded, smooth columns for a network; one module per form."""
