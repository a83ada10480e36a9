// What every Store must do: tests over the interface, instantiated for each implementation.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/store/store.h"
#include "gtest/gtest.h"

namespace sluice::store {

struct StoreMaker {
  std::string name;
  // Opens the store that lives in a folder; a second call there finds what the first one kept.
  std::function<std::unique_ptr<Store>(const std::string& folder)> open;
};

class StoreConformance : public ::testing::TestWithParam<StoreMaker> {};

}  // namespace sluice::store
