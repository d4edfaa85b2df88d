"""Tests of the Slicer module, on the bench."""
