// Plans of cutovers for the explorer and for tests.

#include "integration/explore/plans.h"

#include <string>

namespace sluice::explore {

cutover::Plan WritesPlan(uint32_t shards) {
  cutover::Plan plan;
  plan.id = "c1";
  plan.kind = cutover::Kind::kWrites;
  plan.workflow = "customer.move";
  plan.forward = "customer.move";
  plan.backward = "commerce.move_reverse";
  plan.tables = {"corder", "customer"};
  plan.epoch = 1;
  for (uint32_t i = 0; i < shards; ++i) {
    const std::string shard = shards == 1 ? "0" : i == 0 ? "-80" : "80-";
    plan.sources.push_back({.keyspace = "commerce", .shard = shard, .database = "vt_commerce"});
    plan.targets.push_back({.keyspace = "customer", .shard = shard, .database = "vt_customer"});
    plan.streams.push_back(
        {.source = i, .target = i, .forward_id = 10U + i, .reverse_id = 20U + i});
  }
  return plan;
}

}  // namespace sluice::explore
