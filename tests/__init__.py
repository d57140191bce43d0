"""Tests of xcnet."""
