"""Weights: how they are stored, checked, imported and found."""
