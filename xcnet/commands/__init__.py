"""Subcommands of ``xcnet`` that only look things up or move folders."""
