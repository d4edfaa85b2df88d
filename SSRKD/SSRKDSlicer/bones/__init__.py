"""Bones in the scene: results, references, comparison with a CT, reports."""
