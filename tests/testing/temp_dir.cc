// TempDir: a folder for one test, gone afterwards.

#include "tests/testing/temp_dir.h"

#include <stdlib.h>

#include <filesystem>

#include "common/base/check.h"

namespace sluice::testing {

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
  SLUICE_CHECK(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace sluice::testing
