// Story: customer and corder move from keyspace commerce to keyspace customer, and back, and over.

#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "integration/cluster/cluster.h"
#include "integration/demo/summary.h"

namespace sluice::demo {

struct StoryOptions {
  uint64_t orders = 200'000;      // generated besides the five of the story
  uint64_t writes_between = 300;  // acknowledged writes to wait for between two steps
};

// Tables and rows of the story, in keyspace commerce, through the proxy.
absl::Status LoadCommerce(cluster::Cluster& cluster, uint64_t orders);

// Runs the whole demonstration on a cluster that has the tablets 100-102 (commerce) and 200-202
// (customer), telling on stdout what it does. An error is a step that went wrong; wrong figures are
// in the summary.
absl::StatusOr<Summary> RunStory(cluster::Cluster& cluster, const StoryOptions& options);

}  // namespace sluice::demo
