"""Subcommands of ``xcnet`` that have no package of their own."""
