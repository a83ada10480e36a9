// Stored forms that are read back: a cutover or teardown, and a stream's specification.

#include "agent/target/stream_spec.h"
#include "common/base/check.h"
#include "coordinator/cutover/codec.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

void Run(absl::string_view input) {
  const Exact bytes(input);
  const auto operation = cutover::DecodeOperation(bytes.view());
  if (operation.ok()) {
    const auto again = cutover::DecodeOperation(cutover::EncodeOperation(*operation));
    SLUICE_CHECK_OK(again.status());
    SLUICE_CHECK(*again == *operation);
  } else {
    SLUICE_CHECK(operation.status().code() == absl::StatusCode::kDataLoss);
  }
  const auto spec = target::DecodeStreamSpec(bytes.view());
  if (spec.ok()) {
    (void)target::CheckStreamSpec(*spec).ok();
    const auto again = target::DecodeStreamSpec(target::EncodeStreamSpec(*spec));
    SLUICE_CHECK_OK(again.status());
    SLUICE_CHECK(*again == *spec);
  } else {
    SLUICE_CHECK(spec.status().code() == absl::StatusCode::kDataLoss);
  }
}

cutover::StoredCutover Cutover() {
  cutover::State state;
  state.plan.id = "c1";
  state.plan.workflow = "customer.move";
  state.plan.forward = "customer.move";
  state.plan.backward = "commerce.move_reverse";
  state.plan.tables = {"corder", "customer"};
  state.plan.epoch = 7;
  for (uint32_t i = 0; i < 2; ++i) {
    const std::string shard = i == 0 ? "-80" : "80-";
    state.plan.sources.push_back({.keyspace = "commerce", .shard = shard, .database = "vt_c"});
    state.plan.targets.push_back({.keyspace = "customer", .shard = shard, .database = "vt_u"});
    state.plan.streams.push_back(
        {.source = i, .target = i, .forward_id = 10U + i, .reverse_id = 20U + i});
  }
  state.plan.stale = {{.source = 1, .id = 99}};
  state.plan.source_types = {routing::TabletType::kReplica, routing::TabletType::kPrimary};
  cutover::Transition transition = Step(std::move(state), cutover::Event::Begin());
  transition.state.positions = {"", "34e78057-e52e-11f1-ad86-02fc00000001:1-5"};
  transition.state.failure = "a client is gone";
  return {.state = std::move(transition.state), .started_us = 1'234'567};
}

std::vector<std::string> Seeds() {
  const target::StreamSpec spec = {.id = 5,
                                   .workflow = "customer.move",
                                   .source_keyspace = "commerce",
                                   .source_shard = "0",
                                   .source_database = "vt_commerce",
                                   .target_keyspace = "customer",
                                   .target_shard = "-80",
                                   .target_database = "vt_customer",
                                   .tables = {"corder", "customer"},
                                   .source_types = {schemas::TabletType::REPLICA},
                                   .start_position = "34e78057-e52e-11f1-ad86-02fc00000001:1-5",
                                   .stop_after_copy = true,
                                   .workflow_type = "MoveTables",
                                   .options = {.on_ddl = stream::OnDdl::kExec,
                                               .cells = {"zone1"},
                                               .source_time_zone = "SYSTEM",
                                               .target_time_zone = "UTC",
                                               .tuning = {}},
                                   .throttled = "by hand"};
  return {
      cutover::EncodeOperation(Cutover()),
      cutover::EncodeOperation(
          cutover::StoredTeardown{.kind = cutover::TeardownKind::kCancel, .epoch = 77}),
      target::EncodeStreamSpec(spec),
  };
}

}  // namespace

const Target kStoredOperation = {.run = Run, .seeds = Seeds};

}  // namespace sluice::fuzz
