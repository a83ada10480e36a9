// FakeCoordinator: pollRules from memory.

#include "tests/proxy/fake_coordinator.h"

#include <capnp/message.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/wire/wire.h"

namespace sluice::proxy {
namespace {

constexpr absl::Duration kAwait = absl::Seconds(10);

}  // namespace

void FillRuleSet(const RuleSetSpec& spec, uint64_t epoch, schemas::RuleSet::Builder out) {
  out.setEpoch(epoch);
  auto keyspaces = out.initKeyspaces(wire::Size(spec.keyspaces));
  for (unsigned i = 0; i < keyspaces.size(); ++i) {
    keyspaces.set(i, spec.keyspaces[i]);
  }
  auto tablets = out.initTablets(wire::Size(spec.tablets));
  for (unsigned i = 0; i < tablets.size(); ++i) {
    const Tablet& tablet = spec.tablets[i];
    tablets[i].setAlias(tablet.alias);
    tablets[i].setKeyspace(tablet.keyspace);
    tablets[i].setShard(tablet.shard);
    tablets[i].setType(wire::WireOf(tablet.type));
    tablets[i].setHost(tablet.host);
    tablets[i].setPort(tablet.port);
    tablets[i].setDatabase(tablet.database);
    tablets[i].setCell(tablet.cell);
    tablets[i].setServing(tablet.serving);
  }
  auto rules = out.initTableRules(wire::Size(spec.rules));
  for (unsigned i = 0; i < rules.size(); ++i) {
    rules[i].setFromTable(spec.rules[i].from_table);
    rules[i].setToTable(spec.rules[i].to_table);
  }
  auto shard_rules = out.initShardRules(wire::Size(spec.shard_rules));
  for (unsigned i = 0; i < shard_rules.size(); ++i) {
    shard_rules[i].setFromKeyspace(spec.shard_rules[i].from_keyspace);
    shard_rules[i].setShard(spec.shard_rules[i].shard);
    shard_rules[i].setToKeyspace(spec.shard_rules[i].to_keyspace);
  }
  auto holds = out.initHolds(wire::Size(spec.holds));
  for (unsigned i = 0; i < holds.size(); ++i) {
    holds[i].setCutoverId(spec.holds[i].cutover_id);
    holds[i].setLeaseMs(static_cast<uint32_t>(absl::ToInt64Milliseconds(spec.holds[i].lease)));
    wire::Fill(holds[i].initTables(wire::Size(spec.holds[i].tables)), spec.holds[i].tables);
    wire::Fill(holds[i].initShards(wire::Size(spec.holds[i].shards)), spec.holds[i].shards);
  }
  auto homes = out.initHomes(wire::Size(spec.homes));
  for (unsigned i = 0; i < homes.size(); ++i) {
    homes[i].setTable(spec.homes[i].first);
    homes[i].setKeyspace(spec.homes[i].second);
  }
}

absl::StatusOr<std::shared_ptr<const RuleSnapshot>> SnapshotOf(const RuleSetSpec& spec,
                                                               uint64_t epoch,
                                                               const std::string& cell) {
  capnp::MallocMessageBuilder message;
  auto set = message.initRoot<schemas::RuleSet>();
  FillRuleSet(spec, epoch, set);
  return RuleSnapshot::Create(set.asReader(), cell);
}

FakeCoordinator::FakeCoordinator() {
  rpc::ServerOptions options;
  options.url = "tcp://127.0.0.1:0";
  server_ = std::make_unique<rpc::Server>(options);
  server_->Register<schemas::PollRulesRequest, schemas::PollRulesReply>(
      schemas::Method::POLL_RULES,
      [this](const rpc::RequestContext& context, schemas::PollRulesRequest::Reader request,
             schemas::PollRulesReply::Builder reply) { return Handle(context, request, reply); },
      /*remember=*/false);
}

FakeCoordinator::~FakeCoordinator() {
  server_->Stop();
}

std::unique_ptr<FakeCoordinator> FakeCoordinator::Start() {
  std::unique_ptr<FakeCoordinator> coordinator(new FakeCoordinator());
  SLUICE_CHECK_OK(coordinator->server_->Start());
  return coordinator;
}

absl::Status FakeCoordinator::Handle(const rpc::RequestContext& context,
                                     schemas::PollRulesRequest::Reader request,
                                     schemas::PollRulesReply::Builder reply) {
  absl::MutexLock lock(&mutex_);
  last_.at = absl::Now();
  last_.have_epoch = request.getHaveEpoch();
  last_.drained_epoch = request.getDrainedEpoch();
  last_.refused_epoch = request.getRefusedEpoch();
  last_.refused_reason = request.getRefusedReason().cStr();
  last_.held_statements = request.getHeldStatements();
  last_.open_transactions = request.getOpenTransactions();
  have_ = std::max(have_, last_.have_epoch);
  drained_ = std::max(drained_, last_.drained_epoch);
  const uint64_t have = last_.have_epoch;
  const uint64_t refused = last_.refused_epoch;
  const auto news = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return context.closing() || (epoch_ != 0 && epoch_ != have && epoch_ != refused);
  };
  mutex_.AwaitWithTimeout(absl::Condition(&news), absl::Milliseconds(request.getWaitMs()));
  reply.setChanged(epoch_ != 0 && epoch_ != have);
  if (reply.getChanged()) {
    FillRuleSet(spec_, epoch_, reply.initRules());
  }
  return absl::OkStatus();
}

uint64_t FakeCoordinator::Publish(const RuleSetSpec& spec) {
  absl::MutexLock lock(&mutex_);
  spec_ = spec;
  return ++epoch_;
}

void FakeCoordinator::PublishAs(uint64_t epoch, const RuleSetSpec& spec) {
  absl::MutexLock lock(&mutex_);
  spec_ = spec;
  epoch_ = epoch;
}

bool FakeCoordinator::AwaitHave(uint64_t epoch) {
  absl::MutexLock lock(&mutex_);
  const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return have_ >= epoch; };
  return mutex_.AwaitWithTimeout(absl::Condition(&there), kAwait);
}

bool FakeCoordinator::AwaitDrained(uint64_t epoch) {
  absl::MutexLock lock(&mutex_);
  const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return drained_ >= epoch; };
  return mutex_.AwaitWithTimeout(absl::Condition(&there), kAwait);
}

bool FakeCoordinator::AwaitRefused(uint64_t epoch) {
  absl::MutexLock lock(&mutex_);
  const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return last_.refused_epoch == epoch;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&there), kAwait);
}

FakeCoordinator::Poll FakeCoordinator::last() const {
  absl::MutexLock lock(&mutex_);
  return last_;
}

}  // namespace sluice::proxy
