"""Architectures, nothing else: no weights, no files.

Bundles store the names of files, classes and attributes here; they must not change.
"""
