// ParseOptions: command lines of our services and tools, with the same exit codes everywhere.

#pragma once

#include <CLI/CLI.hpp>

#include <optional>

namespace sluice {

// Adds --version, parses, and prints help or what is wrong. The exit code where the program is to
// end at once: 0 after --help and --version, 2 after a usage error.
std::optional<int> ParseOptions(CLI::App& app, int argc, const char* const* argv);

}  // namespace sluice
