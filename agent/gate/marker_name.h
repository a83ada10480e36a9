// MarkerName: under which name the marker of a closed gate stands in _sluice.marker. Pure.

#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace sluice::gate {

// Longer ids are refused, so that the name fits into its column.
inline constexpr size_t kMarkerIdBytesMax = 63;

// "<id>@<database>". The streams of all shards of a mysqld read each other's markers from the
// binlog, and keep only a few, so each must know its own. An id holds no '@'.
std::string MarkerName(absl::string_view id, absl::string_view database);

// The id in a name, for a stream that reads `database`; nullopt when it is another shard's. A name
// without a database is for all.
std::optional<std::string> MarkerIdFor(absl::string_view name, absl::string_view database);

}  // namespace sluice::gate
