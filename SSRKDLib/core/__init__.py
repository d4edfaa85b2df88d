"""Words and tools that every other room uses: anatomy, errors, progress, output folders.

Not here: anything that knows of images, meshes or networks.
"""
