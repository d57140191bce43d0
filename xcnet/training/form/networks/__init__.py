"""Networks: modules that map feature columns to output columns; one module per kind."""
