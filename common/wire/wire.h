// Conversions between Cap'n Proto's lists and texts and plain C++ types.

#pragma once

#include <capnp/blob.h>
#include <capnp/list.h>
#include <kj/debug.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/routing/target.h"
#include "schemas/routing.capnp.h"

namespace sluice::wire {

// Throws kj::Exception for a NUL byte inside, as accessors do for malformed data: what is written
// from a std::string ends there, so no peer of ours sends one, and the text could not be passed on.
inline std::string Str(capnp::Text::Reader text) {
  std::string result(text.begin(), text.size());
  KJ_REQUIRE(result.find('\0') == std::string::npos, "a text with a NUL byte");
  return result;
}

inline std::string Str(capnp::Data::Reader data) {
  const auto chars = data.asChars();
  return {chars.begin(), chars.size()};
}

// Valid as long as `bytes`.
inline capnp::Data::Reader Bytes(absl::string_view bytes) {
  return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()};
}

inline std::vector<std::string> Strs(capnp::List<capnp::Text>::Reader list) {
  std::vector<std::string> result;
  result.reserve(list.size());
  for (const capnp::Text::Reader text : list) {
    result.push_back(Str(text));
  }
  return result;
}

// Usage: Fill(builder.initTables(Size(tables)), tables).
inline void Fill(capnp::List<capnp::Text>::Builder list, const std::vector<std::string>& values) {
  for (unsigned i = 0; i < list.size(); ++i) {
    list.set(i, values[i]);
  }
}

template <typename Container>
unsigned Size(const Container& container) {
  return static_cast<unsigned>(container.size());
}

inline routing::TabletType TypeOf(schemas::TabletType type) {
  switch (type) {
    case schemas::TabletType::PRIMARY:
      return routing::TabletType::kPrimary;
    case schemas::TabletType::REPLICA:
      return routing::TabletType::kReplica;
    case schemas::TabletType::RDONLY:
      return routing::TabletType::kRdonly;
    case schemas::TabletType::UNKNOWN:
      break;
  }
  return routing::TabletType::kUnknown;
}

inline schemas::TabletType WireOf(routing::TabletType type) {
  switch (type) {
    case routing::TabletType::kPrimary:
      return schemas::TabletType::PRIMARY;
    case routing::TabletType::kReplica:
      return schemas::TabletType::REPLICA;
    case routing::TabletType::kRdonly:
      return schemas::TabletType::RDONLY;
    case routing::TabletType::kUnknown:
      break;
  }
  return schemas::TabletType::UNKNOWN;
}

inline std::vector<routing::TabletType> TypesOf(capnp::List<schemas::TabletType>::Reader list) {
  std::vector<routing::TabletType> result;
  result.reserve(list.size());
  for (const schemas::TabletType type : list) {
    result.push_back(TypeOf(type));
  }
  return result;
}

inline void Fill(capnp::List<schemas::TabletType>::Builder list,
                 const std::vector<routing::TabletType>& values) {
  for (unsigned i = 0; i < list.size(); ++i) {
    list.set(i, WireOf(values[i]));
  }
}

}  // namespace sluice::wire
