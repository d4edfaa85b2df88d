# Stand-in, see SlicerConfig.cmake: the checks and the description, without the packing.

foreach(variable EXTENSION_LICENSE_FILE EXTENSION_README_FILE)
  if("${${variable}}" STREQUAL "" OR NOT EXISTS "${${variable}}")
    message(FATAL_ERROR "${variable} names no file: '${${variable}}'")
  endif()
endforeach()

# A keyword a line; lists become words.
set(description "")
foreach(keyword
  depends build_subdirectory homepage contributors category iconurl status tier description
  screenshoturls enabled)
  string(TOUPPER ${keyword} variable)
  string(REPLACE ";" " " value "${EXTENSION_${variable}}")
  string(APPEND description "${keyword} ${value}\n")
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.s4ext "${description}")

install(
  FILES ${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.s4ext
  DESTINATION ${Slicer_INSTALL_ROOT}${Slicer_SHARE_DIR}
  COMPONENT RuntimeLibraries
  )
