"""Radiographs: read from files, turned into line integrals and into what the networks see."""
