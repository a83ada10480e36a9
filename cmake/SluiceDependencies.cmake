# Third-party packages: all from the system, none fetched while configuring.

find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(CapnProto CONFIG REQUIRED)
# The programs' imported targets of Debian's package point to paths that do not exist.
find_program(SLUICE_CAPNP capnp REQUIRED)
find_program(SLUICE_CAPNPC_CXX capnpc-c++ REQUIRED)
find_package(nng CONFIG REQUIRED)
find_package(GTest REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(zstd REQUIRED)
find_package(MySQLClient)

if(NOT TARGET zstd::zstd)
  add_library(zstd::zstd ALIAS zstd::libzstd_shared)
endif()
