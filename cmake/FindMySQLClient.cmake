# Finds the genuine libmysqlclient, 8.0 or newer, and defines MySQL::client.
#
# MariaDB's client, which Debian installs under MySQL's name, is refused: it has neither the
# replication reader nor session tracking as Sluice uses them. The prefix that deploy/bootstrap
# fills is looked at first; SLUICE_PREFIX moves it.

if(NOT "$ENV{SLUICE_PREFIX}" STREQUAL "")
  set(_mysqlclient_prefix "$ENV{SLUICE_PREFIX}")
elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(_mysqlclient_prefix "$ENV{XDG_CACHE_HOME}/sluice")
elseif(NOT "$ENV{HOME}" STREQUAL "")
  set(_mysqlclient_prefix "$ENV{HOME}/.cache/sluice")
else()
  set(_mysqlclient_prefix "/var/cache/sluice")
endif()

find_path(MySQLClient_INCLUDE_DIR mysql.h
  HINTS "${_mysqlclient_prefix}/mysqlclient/include"
  PATH_SUFFIXES mysql)
find_library(MySQLClient_LIBRARY mysqlclient
  HINTS "${_mysqlclient_prefix}/mysqlclient/lib"
  PATH_SUFFIXES mysql)

set(MySQLClient_VERSION)
if(MySQLClient_INCLUDE_DIR)
  if(EXISTS "${MySQLClient_INCLUDE_DIR}/mariadb_version.h")
    set(MySQLClient_INCLUDE_DIR MySQLClient_INCLUDE_DIR-NOTFOUND)
  elseif(EXISTS "${MySQLClient_INCLUDE_DIR}/mysql_version.h")
    file(STRINGS "${MySQLClient_INCLUDE_DIR}/mysql_version.h" _mysqlclient_line
         REGEX "#define[ \t]+MYSQL_SERVER_VERSION")
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" MySQLClient_VERSION "${_mysqlclient_line}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MySQLClient
  REQUIRED_VARS MySQLClient_LIBRARY MySQLClient_INCLUDE_DIR
  VERSION_VAR MySQLClient_VERSION
  REASON_FAILURE_MESSAGE "deploy/bootstrap provides it")

if(MySQLClient_FOUND AND NOT TARGET MySQL::client)
  find_package(OpenSSL REQUIRED)
  find_package(ZLIB REQUIRED)
  find_package(zstd REQUIRED)
  find_package(Threads REQUIRED)
  add_library(sluice_mysqlclient INTERFACE)
  # Code includes <mysql.h>, and that header includes "mysql/…" siblings of its own.
  cmake_path(GET MySQLClient_INCLUDE_DIR PARENT_PATH _mysqlclient_parent)
  target_include_directories(sluice_mysqlclient SYSTEM INTERFACE
    "${MySQLClient_INCLUDE_DIR}" "${_mysqlclient_parent}")
  target_link_libraries(sluice_mysqlclient INTERFACE "${MySQLClient_LIBRARY}" OpenSSL::SSL
    OpenSSL::Crypto zstd::libzstd_shared ZLIB::ZLIB resolv Threads::Threads ${CMAKE_DL_LIBS})
  add_library(MySQL::client ALIAS sluice_mysqlclient)
endif()
