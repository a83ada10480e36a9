// What the scripted agents share: cells of their memory, and positions.

#pragma once

#include <cstdio>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "tests/coordinator/traffic/fake_cluster.h"

namespace sluice::traffic::testing {

template <size_t N>
void Copy(char (&to)[N], const std::string& from) {
  (void)std::snprintf(to, N, "%s", from.c_str());
}

inline int Number(workflow::GateState state) {
  return static_cast<int>(state);
}
inline int Number(topology::StreamState state) {
  return static_cast<int>(state);
}

inline std::string PositionOf(uint64_t writes) {
  return absl::StrCat("00000000-0000-0000-0000-000000000001:1-", writes);
}

inline uint64_t WritesIn(const std::string& position) {
  const size_t dash = position.rfind('-');
  uint64_t writes = 0;
  SLUICE_CHECK(absl::SimpleAtoi(position.substr(dash + 1), &writes));
  return writes;
}

inline FakeStream* Find(FakeServer& server, uint64_t id) {
  for (int i = 0; i < server.stream_count; ++i) {
    if (server.streams[i].id == id) {
      return &server.streams[i];
    }
  }
  return nullptr;
}

inline void Erase(FakeServer& server, uint64_t id) {
  FakeStream* stream = Find(server, id);
  if (stream != nullptr) {
    *stream = server.streams[--server.stream_count];
  }
}

}  // namespace sluice::traffic::testing
