# Stand-in, see SlicerConfig.cmake: folders, defaults and macros for an extension.

set(EXTENSION_NAME ${PROJECT_NAME})

set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR
  ${Slicer_INSTALL_ROOT}${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
set(Slicer_INSTALL_QTSCRIPTEDMODULES_SHARE_DIR
  ${Slicer_INSTALL_ROOT}${Slicer_QTSCRIPTEDMODULES_SHARE_DIR})

foreach(default DEPENDS=NA BUILD_SUBDIRECTORY=. ENABLED=1 TIER=1)
  string(REPLACE "=" ";" default ${default})
  list(GET default 0 variable)
  list(GET default 1 value)
  if(NOT DEFINED EXTENSION_${variable})
    set(EXTENSION_${variable} ${value})
  endif()
endforeach()

# Slicer includes CTest, which switches tests on.
option(BUILD_TESTING "Register the module's tests" ON)

# slicerMacroBuildScriptedModule(NAME n [SCRIPTS ...] [RESOURCES ...] [WITH_SUBDIR]
#   [WITH_GENERIC_TESTS] [VERBOSE])
#
# The build copies scripts (with or without .py) and resources, folders kept, to
# lib/Slicer-X.Y/qt-scripted-modules in the build tree, or WITH_SUBDIR into a folder there that is
# called like the one the macro is used in. The installation copies the target folder as a whole, so
# whatever else lies there comes along.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(
    MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Not an argument of this macro: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT MODULE_NAME)
    message(FATAL_ERROR "NAME is missing")
  endif()

  set(target ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
  set(installed ${target}/) # with a slash: what is in the folder, not the folder
  if(MODULE_WITH_SUBDIR)
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(target ${target}/${folder})
    set(installed ${target})
  endif()

  foreach(kind SCRIPTS RESOURCES)
    set(copies "")
    foreach(file ${MODULE_${kind}})
      if(kind STREQUAL SCRIPTS AND NOT file MATCHES "\\.py$")
        string(APPEND file .py)
      endif()
      # Slicer accepts such names and puts the files somewhere else.
      if(IS_ABSOLUTE ${file} OR file MATCHES "^\\.\\.")
        message(FATAL_ERROR "${MODULE_NAME}: '${file}' is outside the macro's folder")
      endif()
      if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
        message(FATAL_ERROR "${MODULE_NAME}: '${file}' of ${kind} does not exist")
      endif()
      add_custom_command(
        OUTPUT ${target}/${file}
        COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${target}/${file}
        DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file}
        )
      list(APPEND copies ${target}/${file})
    endforeach()
    # As in Slicer, a NAME can be used only once.
    add_custom_target(Copy${MODULE_NAME}${kind} ALL DEPENDS ${copies})
  endforeach()

  install(
    DIRECTORY ${installed}
    DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    COMPONENT RuntimeLibraries
    USE_SOURCE_PERMISSIONS
    )
endfunction()

# The test itself needs Slicer; its file must be there.
function(slicer_add_python_unittest)
  cmake_parse_arguments(TEST "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${TEST_SCRIPT})
    message(FATAL_ERROR "The test '${TEST_SCRIPT}' does not exist")
  endif()
endfunction()
