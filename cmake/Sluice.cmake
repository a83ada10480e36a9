# Toolchain settings, third-party packages and the functions every room declares its targets with.

include_guard(GLOBAL)

include(SluiceToolchain)
include(SluiceDependencies)
include(GoogleTest)

# sluice_library(name [SRCS file...] [DEPS target...])
#
# Static library sluice_<name>, alias sluice::<name>. With headers only, or without SRCS, it is an
# INTERFACE library.
function(sluice_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SRCS;DEPS")
  _sluice_reject_unparsed(sluice_library "${ARG_UNPARSED_ARGUMENTS}")
  set(target "sluice_${name}")
  set(compiled ${ARG_SRCS})
  list(FILTER compiled EXCLUDE REGEX "\\.h$")
  if(compiled)
    add_library(${target} STATIC ${ARG_SRCS})
    target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE sluice_warnings)
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${target} INTERFACE ${ARG_DEPS})
  endif()
  add_library(sluice::${name} ALIAS ${target})
endfunction()

# sluice_executable(name SRCS file... [DEPS target...])
#
# Program <build>/bin/<name>; the target has the program's name.
function(sluice_executable name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SRCS;DEPS")
  _sluice_reject_unparsed(sluice_executable "${ARG_UNPARSED_ARGUMENTS}")
  add_executable(${name} ${ARG_SRCS})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} sluice_warnings)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
endfunction()

# sluice_uses_regex(target): for those that include <regex>, which GCC 12 takes for uninitialised when
# it is instrumented (GCC bug 105562).
function(sluice_uses_regex target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND SLUICE_SANITIZE)
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
endfunction()

# sluice_test(name SRCS file... [DEPS target...] [LABELS label] [TIMEOUT seconds] [SERIAL])
#
# Program <build>/test/<name> whose TESTs ctest sees one by one as "<name>:Suite.Test". They run in
# the repository root, with SLUICE_BIN_DIR naming the folder of the built programs. A SERIAL test
# never shares the machine with another test.
function(sluice_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "SERIAL" "LABELS;TIMEOUT" "SRCS;DEPS")
  _sluice_reject_unparsed(sluice_test "${ARG_UNPARSED_ARGUMENTS}")
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(SLUICE_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")  # instrumented programs are that much slower
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock_main sluice_warnings)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
  set(properties LABELS ${ARG_LABELS} TIMEOUT ${ARG_TIMEOUT}
      ENVIRONMENT "SLUICE_BIN_DIR=${CMAKE_BINARY_DIR}/bin")
  if(ARG_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  gtest_discover_tests(${name}
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    TEST_PREFIX "${name}:"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    PROPERTIES ${properties})
endfunction()

# sluice_capnp(name SCHEMAS file.capnp... [DEPS target...])
#
# Library sluice_<name>, alias sluice::<name>, of the code generated from the schemas; a schema
# <room>/x.capnp is included as "<room>/x.capnp.h". Generated code is compiled without our warnings
# and seen as a system header.
function(sluice_capnp name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SCHEMAS;DEPS")
  _sluice_reject_unparsed(sluice_capnp "${ARG_UNPARSED_ARGUMENTS}")
  set(out "${CMAKE_BINARY_DIR}/generated")
  file(MAKE_DIRECTORY "${out}")
  set(schemas)
  set(outputs)
  foreach(schema IN LISTS ARG_SCHEMAS)
    cmake_path(ABSOLUTE_PATH schema BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE
               OUTPUT_VARIABLE absolute)
    cmake_path(RELATIVE_PATH absolute BASE_DIRECTORY "${PROJECT_SOURCE_DIR}"
               OUTPUT_VARIABLE relative)
    list(APPEND schemas "${absolute}")
    list(APPEND outputs "${out}/${relative}.h" "${out}/${relative}.c++")
  endforeach()
  # One run for all of them: a schema may import any of its siblings.
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND "${SLUICE_CAPNP}" compile "--output=${SLUICE_CAPNPC_CXX}:${out}"
            "--src-prefix=${PROJECT_SOURCE_DIR}" "--import-path=${PROJECT_SOURCE_DIR}" ${schemas}
    DEPENDS ${schemas}
    COMMENT "Generating C++ from the schemas of ${name}"
    VERBATIM)
  set(target "sluice_${name}")
  add_library(${target} STATIC ${outputs})
  target_include_directories(${target} SYSTEM PUBLIC "${out}")
  target_compile_options(${target} PRIVATE -w)
  target_link_libraries(${target} PUBLIC CapnProto::capnp ${ARG_DEPS})
  add_library(sluice::${name} ALIAS ${target})
endfunction()

# A misspelt keyword would otherwise drop what follows it without a word.
function(_sluice_reject_unparsed function unparsed)
  if(unparsed)
    message(FATAL_ERROR "${function}: unknown arguments: ${unparsed}")
  endif()
endfunction()
