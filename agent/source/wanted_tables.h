// WantedTables: the tables of a source whose changes a stream takes.

#pragma once

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace sluice::source {

// A value. _sluice.marker is wanted by every stream.
struct WantedTables {
  static constexpr absl::string_view kSidecar = "_sluice";
  static constexpr absl::string_view kMarker = "marker";

  std::string database;
  absl::flat_hash_set<std::string> tables;

  [[nodiscard]] bool Contains(absl::string_view in_database, absl::string_view table) const {
    if (in_database == kSidecar) {
      return table == kMarker;
    }
    return in_database == database && tables.contains(table);
  }
};

}  // namespace sluice::source
