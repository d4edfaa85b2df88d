# Stand-in for 3D Slicer's build tree: what find_package(Slicer) and the files named below do, as
# far as the installed layout of a scripted extension depends on it. Written for SSRKD's tests from
# reading Slicer's and CTK's own macros (August 2026), with which SSRKD was then installed once: the
# same files. Testing/packaging.py runs it.
#
# The same as in Slicer:
# - where the files of slicerMacroBuildScriptedModule go in the build tree and in the installation,
#   with and without WITH_SUBDIR; folders are kept; a file that is not there stops it all;
# - which variables hold the folders (Linux and Windows), and the extension's defaults;
# - the extension description, <name>.s4ext, written from EXTENSION_* and installed;
# - the licence and read-me must be there.
#
# Not here, so that nothing can be said about it:
# - byte-compilation (Slicer adds a .pyc beside every .py), translations, compiled modules;
# - macOS, where all of this lies inside Slicer.app;
# - running Slicer: generic module tests, unit tests and other extensions (PyTorch) are accepted
#   and ignored; packing, upload and launcher are left out;
# - keywords of the description that SSRKD leaves at their defaults (dicom_support_rule, keywords,
#   recommends), and those that Slicer takes from git (scm, scmurl, scmrevision).

set(Slicer_VERSION_MAJOR 5)
set(Slicer_VERSION_MINOR 10)
set(Slicer_VERSION ${Slicer_VERSION_MAJOR}.${Slicer_VERSION_MINOR}.0)
set(Slicer_USE_PYTHONQT ON)

# Relative to the build tree and, behind Slicer_INSTALL_ROOT, to the installation.
set(Slicer_INSTALL_ROOT "./")
set(Slicer_LIB_DIR lib/Slicer-${Slicer_VERSION_MAJOR}.${Slicer_VERSION_MINOR})
set(Slicer_SHARE_DIR share/Slicer-${Slicer_VERSION_MAJOR}.${Slicer_VERSION_MINOR})
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR ${Slicer_LIB_DIR}/qt-scripted-modules)
set(Slicer_QTSCRIPTEDMODULES_SHARE_DIR ${Slicer_SHARE_DIR}/qt-scripted-modules)

set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/SlicerExtensionGenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/SlicerExtensionCPack.cmake)
