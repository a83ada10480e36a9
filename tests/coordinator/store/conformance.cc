// What every Store must do.

#include "tests/coordinator/store/conformance.h"

#include <thread>
#include <vector>

#include "common/base/status_macros.h"
#include "tests/coordinator/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice::store {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using workflow::WorkflowRecord;

class Fixture {
 public:
  explicit Fixture(const StoreMaker& maker) : maker_(maker) { Reopen(); }

  void Reopen() {
    store_.reset();
    store_ = maker_.open(dir_.File(""));
  }
  Store& store() { return *store_; }

  absl::Status Write(const std::function<absl::Status(StoreTransaction&)>& change) {
    return store_->Transaction(change);
  }
  template <typename T>
  T Get(absl::StatusOr<T> (StoreReader::*list)()) {
    T result{};
    EXPECT_THAT(store_->Read([&](StoreReader& reader) -> absl::Status {
      SLUICE_ASSIGN_OR_RETURN(result, (reader.*list)());
      return absl::OkStatus();
    }),
                IsOk());
    return result;
  }
  std::vector<CutoverAttempt> Attempts(const std::string& key) {
    std::vector<CutoverAttempt> result;
    EXPECT_THAT(store_->Read([&](StoreReader& reader) -> absl::Status {
      SLUICE_ASSIGN_OR_RETURN(result, reader.ListCutoverAttempts(key));
      return absl::OkStatus();
    }),
                IsOk());
    return result;
  }

 private:
  const StoreMaker& maker_;
  ::sluice::testing::TempDir dir_;
  std::unique_ptr<Store> store_;
};

WorkflowRecord ExampleWorkflow() {
  WorkflowRecord record;
  record.keyspace = record.target_keyspace = "customer";
  record.name = "c2c";
  record.source_keyspace = "commerce";
  record.tables = {"corder", "customer"};
  record.source_shards = record.target_shards = {"-80", "80-"};
  record.streams = {{7, "-80", "-80", "vt_commerce", "vt_customer"},
                    {8, "80-", "80-", "vt_commerce", "vt_customer"}};
  record.phase = workflow::WorkflowPhase::kFrozen;
  record.replica_switched = record.writes_switched = true;
  record.replica_exceptions = {"zone1", "zone2"};
  record.rdonly_exceptions = {"zone3"};
  record.options.source_types = {routing::TabletType::kReplica, routing::TabletType::kPrimary};
  record.options.stop_after_copy = true;
  record.options.auto_start = false;
  record.options.stream = {.on_ddl = stream::OnDdl::kExecIgnore,
                           .allow_no_key = true,
                           .drop_foreign_keys = true,
                           .defer_secondary_keys = stream::DeferKeys::kNever,
                           .cells = {"zone1", "zone2"},
                           .source_time_zone = "Europe/Berlin",
                           .target_time_zone = "UTC",
                           .tuning = {{.name = "copy_epoch", .value = "1m"}}};
  record.reverse_of = "x.y";
  record.created_at_ms = 1234567890123;
  record.undoing = record.start_pending = true;
  record.message = "why";
  record.throttled = "backup";
  record.update_pending = true;
  return record;
}

TEST_P(StoreConformance, AnEmptyStoreHasNothing) {
  Fixture f(GetParam());
  EXPECT_THAT(f.Get(&StoreReader::ListKeyspaces), IsEmpty());
  EXPECT_THAT(f.Get(&StoreReader::ListTablets), IsEmpty());
  EXPECT_THAT(f.Get(&StoreReader::ListWorkflows), IsEmpty());
  EXPECT_THAT(f.Get(&StoreReader::ListCutoverStates), IsEmpty());
  EXPECT_THAT(f.Get(&StoreReader::ListProxies), IsEmpty());
  EXPECT_EQ(f.Get(&StoreReader::ReadEpoch), 0);
  EXPECT_EQ(f.Get(&StoreReader::ReadRules), RuleState());
}

TEST_P(StoreConformance, ASettingIsTheLastOneThatWasPut) {
  Fixture f(GetParam());
  const auto find = [&f](absl::string_view name) {
    std::string value = "not read";
    EXPECT_THAT(f.store().Read([&](StoreReader& reader) -> absl::Status {
      SLUICE_ASSIGN_OR_RETURN(value, reader.FindSetting(name));
      return absl::OkStatus();
    }),
                IsOk());
    return value;
  };
  EXPECT_EQ(find("throttled"), "");
  for (const char* value : {"first", "peak hours", ""}) {
    ASSERT_THAT(f.Write([&](StoreTransaction& t) { return t.PutSetting("throttled", value); }),
                IsOk());
    f.Reopen();
    EXPECT_EQ(find("throttled"), value);
    EXPECT_EQ(find("another"), "");
  }
}

TEST_P(StoreConformance, WhatIsCommittedIsThereAfterReopening) {
  Fixture f(GetParam());
  const KeyspaceRecord keyspace{"commerce", {"-80", "80-"}};
  TabletRecord tablet;
  tablet.alias = "zone1-100";
  tablet.cell = "zone1";
  tablet.uid = 4294967295;
  tablet.keyspace = "commerce";
  tablet.shard = "-80";
  tablet.database = "vt_commerce";
  tablet.agent_url = "tcp://127.0.0.1:1";
  tablet.mysql_host = "127.0.0.1";
  tablet.mysql_port = 65535;
  tablet.configured_type = routing::TabletType::kRdonly;
  tablet.type = routing::TabletType::kPrimary;
  tablet.serving = true;
  tablet.incarnation = 1'700'000'000'000'000;
  RuleState rules;
  rules.table_rules = {{"customer", "commerce.customer"}, {"old", ""}};
  rules.shard_rules = {{"a", "-80", "b"}};
  rules.holds = {{"cut-1",
                  {"commerce.customer", "customer.customer"},
                  5000,
                  {"commerce/-80", "customer/-80"}}};
  rules.homes = {{"customer", "customer"}};
  const ProxyRecord proxy{"p1", "127.0.0.1:3306", 4, 99};
  ASSERT_THAT(f.Write([&](StoreTransaction& t) -> absl::Status {
    SLUICE_RETURN_IF_ERROR(t.PutKeyspace(keyspace));
    SLUICE_RETURN_IF_ERROR(t.PutTablet(tablet));
    SLUICE_RETURN_IF_ERROR(t.PutTabletTables("zone1-100", {"a b", "c"}));
    SLUICE_RETURN_IF_ERROR(t.PutWorkflow(ExampleWorkflow()));
    SLUICE_RETURN_IF_ERROR(t.PutCutoverState("customer.c2c", std::string("\0\xff", 2)));
    SLUICE_RETURN_IF_ERROR(t.WriteEpoch(5));
    SLUICE_RETURN_IF_ERROR(t.WriteRules(rules));
    return t.PutProxy(proxy);
  }),
              IsOk());
  f.Reopen();
  EXPECT_THAT(f.Get(&StoreReader::ListKeyspaces), ElementsAre(keyspace));
  EXPECT_THAT(f.Get(&StoreReader::ListTablets), ElementsAre(tablet));
  EXPECT_THAT(
      f.Get(&StoreReader::ListTabletTables),
      ElementsAre(std::make_pair(std::string("zone1-100"), std::vector<std::string>{"a b", "c"})));
  EXPECT_THAT(f.Get(&StoreReader::ListWorkflows), ElementsAre(ExampleWorkflow()));
  EXPECT_THAT(f.Get(&StoreReader::ListCutoverStates),
              ElementsAre(std::make_pair(std::string("customer.c2c"), std::string("\0\xff", 2))));
  EXPECT_EQ(f.Get(&StoreReader::ReadEpoch), 5);
  EXPECT_EQ(f.Get(&StoreReader::ReadRules), rules);
  EXPECT_THAT(f.Get(&StoreReader::ListProxies), ElementsAre(proxy));
}

TEST_P(StoreConformance, AFailedTransactionLeavesNothingOfItself) {
  Fixture f(GetParam());
  ASSERT_THAT(f.Write([](StoreTransaction& t) { return t.PutWorkflow(ExampleWorkflow()); }),
              IsOk());
  EXPECT_THAT(f.Write([](StoreTransaction& t) -> absl::Status {
    SLUICE_RETURN_IF_ERROR(t.PutKeyspace({"commerce", {"0"}}));
    SLUICE_RETURN_IF_ERROR(t.DeleteWorkflow("customer", "c2c"));
    SLUICE_RETURN_IF_ERROR(t.WriteEpoch(9));
    SLUICE_RETURN_IF_ERROR(t.NextId("stream").status());
    return absl::FailedPreconditionError("no");
  }),
              StatusIs(absl::StatusCode::kFailedPrecondition, "no"));
  EXPECT_THAT(f.Get(&StoreReader::ListKeyspaces), IsEmpty());
  EXPECT_THAT(f.Get(&StoreReader::ListWorkflows), ElementsAre(ExampleWorkflow()));
  EXPECT_EQ(f.Get(&StoreReader::ReadEpoch), 0);
  EXPECT_EQ(NextId(f.store(), "stream").value(), 1);
}

TEST_P(StoreConformance, ADeletedTabletTakesItsTablesWithIt) {
  Fixture f(GetParam());
  TabletRecord stays;
  stays.alias = "zone1-100";
  TabletRecord goes;
  goes.alias = "zone1-101";
  ASSERT_THAT(f.Write([&](StoreTransaction& t) -> absl::Status {
    for (const TabletRecord& tablet : {stays, goes}) {
      SLUICE_RETURN_IF_ERROR(t.PutTablet(tablet));
      SLUICE_RETURN_IF_ERROR(t.PutTabletTables(tablet.alias, {"a"}));
    }
    return absl::OkStatus();
  }),
              IsOk());
  const auto remove = [&] {
    return f.Write([](StoreTransaction& t) { return t.DeleteTablet("zone1-101"); });
  };
  ASSERT_THAT(remove(), IsOk());
  ASSERT_THAT(remove(), IsOk()) << "there is none any more";
  f.Reopen();
  EXPECT_THAT(f.Get(&StoreReader::ListTablets), ElementsAre(stays));
  EXPECT_THAT(f.Get(&StoreReader::ListTabletTables),
              ElementsAre(std::make_pair(stays.alias, std::vector<std::string>{"a"})));
}

TEST_P(StoreConformance, ATransactionReadsItsOwnWrites) {
  Fixture f(GetParam());
  EXPECT_THAT(f.Write([](StoreTransaction& t) -> absl::Status {
    SLUICE_RETURN_IF_ERROR(t.PutWorkflow(ExampleWorkflow()));
    SLUICE_ASSIGN_OR_RETURN(auto found, t.FindWorkflow("customer", "c2c"));
    EXPECT_EQ(found, ExampleWorkflow());
    SLUICE_RETURN_IF_ERROR(t.DeleteWorkflow("customer", "c2c"));
    SLUICE_ASSIGN_OR_RETURN(found, t.FindWorkflow("customer", "c2c"));
    EXPECT_EQ(found, std::nullopt);
    return absl::OkStatus();
  }),
              IsOk());
}

TEST_P(StoreConformance, TheEpochOnlyGrows) {
  Fixture f(GetParam());
  const auto write = [&](uint64_t epoch) {
    return f.Write([epoch](StoreTransaction& t) { return t.WriteEpoch(epoch); });
  };
  EXPECT_THAT(write(3), IsOk());
  EXPECT_THAT(write(3), StatusIs(absl::StatusCode::kInvalidArgument, "epoch 3"));
  EXPECT_THAT(write(2), StatusIs(absl::StatusCode::kInvalidArgument, "epoch 2"));
  EXPECT_THAT(write(4), IsOk());
}

TEST_P(StoreConformance, CountersNeverGiveANumberTwice) {
  Fixture f(GetParam());
  EXPECT_EQ(NextId(f.store(), "a").value(), 1);
  EXPECT_EQ(NextId(f.store(), "b").value(), 1);
  std::vector<uint64_t> left;
  std::vector<uint64_t> right;
  const auto take = [&](std::vector<uint64_t>& into) {
    for (int i = 0; i < 50; ++i) {
      into.push_back(NextId(f.store(), "a").value());
    }
  };
  {
    const std::jthread one([&] { take(left); });
    const std::jthread two([&] { take(right); });
  }
  left.insert(left.end(), right.begin(), right.end());
  std::sort(left.begin(), left.end());
  for (uint64_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i], i + 2);
  }
  f.Reopen();
  EXPECT_EQ(NextId(f.store(), "a").value(), 102);
}

TEST_P(StoreConformance, AttemptsComeNewestFirstWithTheirStepsInOrder) {
  Fixture f(GetParam());
  CutoverAttempt first{"id-1", "customer.c2c", "forward", "", 10, 0, {}};
  const CutoverStep hold{"HoldRules", "", 11, 5, "epoch 7"};
  const CutoverStep part{"HoldRules", "", 11, 4, "", "p1"};
  const CutoverStep close{"CloseGate", "commerce/0", 16, 3, ""};
  ASSERT_THAT(f.Write([&](StoreTransaction& t) -> absl::Status {
    SLUICE_RETURN_IF_ERROR(t.PutCutoverAttempt(first));
    for (const CutoverStep& step : {hold, part, close}) {
      SLUICE_RETURN_IF_ERROR(t.AppendCutoverStep("id-1", step));
    }
    SLUICE_RETURN_IF_ERROR(t.PutCutoverAttempt({"id-2", "customer.c2c", "reverse", "", 20, 0, {}}));
    return t.PutCutoverAttempt({"id-3", "customer.other", "forward", "", 30, 0, {}});
  }),
              IsOk());
  first.result = "committed";
  first.finished_us = 40;
  ASSERT_THAT(f.Write([&](StoreTransaction& t) { return t.PutCutoverAttempt(first); }), IsOk());
  f.Reopen();
  const CutoverAttempt second{"id-2", "customer.c2c", "reverse", "", 20, 0, {}};
  std::vector<CutoverAttempt> heads;
  ASSERT_THAT(f.store().Read([&](StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(heads, reader.ListCutoverHeads("customer.c2c"));
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_THAT(heads, ElementsAre(second, first));
  first.steps = {hold, part, close};
  EXPECT_THAT(f.Attempts("customer.c2c"), ElementsAre(second, first));
  EXPECT_THAT(f.Write([&](StoreTransaction& t) { return t.AppendCutoverStep("id-9", hold); }),
              StatusIs(absl::StatusCode::kNotFound, "id-9"));
}

TEST_P(StoreConformance, OldAttemptsAreForgottenAboveAHundred) {
  Fixture f(GetParam());
  ASSERT_THAT(f.Write([&](StoreTransaction& t) -> absl::Status {
    for (int i = 0; i < 105; ++i) {
      const std::string id = "id-" + std::to_string(i);
      SLUICE_RETURN_IF_ERROR(t.PutCutoverAttempt({id, "k.w", "forward", "", i, 0, {}}));
      SLUICE_RETURN_IF_ERROR(t.AppendCutoverStep(id, {"s", "", i, 1, ""}));
    }
    return absl::OkStatus();
  }),
              IsOk());
  const std::vector<CutoverAttempt> attempts = f.Attempts("k.w");
  ASSERT_EQ(attempts.size(), 100);
  EXPECT_EQ(attempts.front().id, "id-104");
  EXPECT_EQ(attempts.back().id, "id-5");
}

TEST_P(StoreConformance, DeletingWhatIsNotThereIsNoError) {
  Fixture f(GetParam());
  EXPECT_THAT(f.Write([](StoreTransaction& t) -> absl::Status {
    SLUICE_RETURN_IF_ERROR(t.DeleteWorkflow("customer", "none"));
    return t.DeleteCutoverState("customer.none");
  }),
              IsOk());
  EXPECT_THAT(GetWorkflow(f.store(), "customer", "none"),
              StatusIs(absl::StatusCode::kNotFound, "workflow customer.none does not exist"));
}

}  // namespace
}  // namespace sluice::store
