"""Readers of authors' files: arrays come out, and nothing in a file is ever executed.

Each takes bytes and the file's name for messages, believes no size that the bytes do not bear
out, and raises InstallError with the file's name for everything else.
"""
