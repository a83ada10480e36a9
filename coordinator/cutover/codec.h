// The stored form of a running cutover or teardown (schemas/cutover.capnp).

#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/cutover/machine.h"

namespace sluice::cutover {

struct StoredCutover {
  State state;
  int64_t started_us = 0;  // since 1970
  friend bool operator==(const StoredCutover&, const StoredCutover&) = default;
};

enum class TeardownKind : uint16_t { kComplete = 0, kCancel = 1 };

// The end of a workflow, decided; every step of it can be repeated.
struct StoredTeardown {
  TeardownKind kind = TeardownKind::kComplete;
  bool keep_data = false;
  bool keep_routing_rules = false;
  bool rename_tables = false;
  uint64_t epoch = 0;  // of its requests to streams and gates
  friend bool operator==(const StoredTeardown&, const StoredTeardown&) = default;
};

using StoredOperation = std::variant<StoredCutover, StoredTeardown>;

std::string EncodeOperation(const StoredOperation& operation);

// DATA_LOSS when the bytes are not such a state, or one that contradicts itself.
absl::StatusOr<StoredOperation> DecodeOperation(absl::string_view bytes);

}  // namespace sluice::cutover
