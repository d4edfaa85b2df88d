"""Radiographs in the scene: which they are, where they stand, how they were taken, what is drawn
on them."""
