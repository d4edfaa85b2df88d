# Stand-in, see SlicerConfig.cmake. Slicer writes <name>Config.cmake into the build tree, for other
# extensions that build on this one; nothing of it is installed.
