// Usage errors as exit codes.

#include "common/base/program_options.h"

#include "common/base/version.h"

namespace sluice {

std::optional<int> ParseOptions(CLI::App& app, int argc, const char* const* argv) {
  app.set_version_flag("--version", Version());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

}  // namespace sluice
