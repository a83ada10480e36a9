// The version of the programs.

#pragma once

namespace sluice {

// "1.2.3", from the project's CMakeLists.txt.
const char* Version();

}  // namespace sluice
