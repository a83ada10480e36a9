// The end of a gate with many tables, on a real mysqld: in batches, with whatever may die or be in
// the way in between.

#include "agent/gate/table_batches.h"

#include <gmock/gmock.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/observe.h"
#include "common/base/status.h"
#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::HasSubstr;

constexpr const char* kBefore = "corder,customer";

class TableBatchesTest : public GateFixture {
 protected:
  void SetUp() override {
    GateFixture::SetUp();
    Root("SET SESSION group_concat_max_len = 1000000, foreign_key_checks = 0");
  }
  void Prepare(size_t count) {
    const absl::Status prepared =
        PrepareTarget(*keeper_, Many(count), absl::Now() + absl::Minutes(5));
    ASSERT_TRUE(prepared.ok()) << prepared;
  }
  absl::StatusOr<std::vector<std::string>> End(DropMode mode, uint64_t epoch, size_t count,
                                               absl::Duration within = absl::Minutes(5)) {
    return DropTables(*keeper_, EndOfMany(mode, epoch, count), absl::Now() + within);
  }
  int Count(const std::string& pattern) {
    return std::stoi(
        Scalar(absl::StrCat("SELECT COUNT(*) FROM information_schema.TABLES WHERE "
                            "TABLE_SCHEMA = 'vt_commerce' AND TABLE_NAME LIKE '",
                            pattern, "'")));
  }
  int Closed() { return Count("\\_sluice\\_closed\\_many%"); }
  // Statements in the newest binlog that hold the words, and the most tables of one.
  std::pair<int, size_t> StatementsOf(const std::string& words) {
    const std::string file = Scalar("SHOW BINARY LOG STATUS");
    const auto events = root_->Query(absl::StrCat("SHOW BINLOG EVENTS IN '", file, "'"));
    EXPECT_TRUE(events.ok()) << events.status();
    int count = 0;
    size_t most = 0;
    for (const mysql::Row& row : events->rows) {
      const std::string text = row[5].value_or("");
      if (!absl::StrContains(text, words)) {
        continue;
      }
      ++count;
      size_t tables = 0;
      for (size_t at = text.find("_sluice_closed_"); at != std::string::npos;
           at = text.find("_sluice_closed_", at + 1)) {
        ++tables;
      }
      most = std::max(most, tables);
    }
    return {count, most};
  }
};

TEST_F(TableBatchesTest, DropsManyTablesInStatementsOfAFew) {
  constexpr size_t kTables = 100;
  Prepare(kTables);
  Root("FLUSH BINARY LOGS");
  const auto dropped = End(DropMode::kDrop, 1, kTables);
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_EQ(dropped->size(), kTables);
  EXPECT_EQ(Tables(), kBefore);
  const auto [statements, most] = StatementsOf("DROP TABLE");
  EXPECT_EQ(most, TableBatches::kTablesMax);
  EXPECT_LE(statements, 8) << "80 that stand alone, 20 of foreign keys";
  const auto again = End(DropMode::kDrop, 1, kTables);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->empty());
}

// By hand: one statement with all of them. Times of a machine that does other things too.
TEST_F(TableBatchesTest, TakesNoLongerThanOneStatementByHand) {
  constexpr size_t kTables = 160;
  double best = 1e9;
  for (uint64_t round = 1; round <= 3 && best > 1.0; ++round) {
    Prepare(kTables);
    std::vector<std::string> names;
    for (const std::string& table : EndOfMany(DropMode::kDrop, 1, kTables).tables) {
      names.push_back(mysql::QuoteTable("vt_commerce", ClosedName(table)));
    }
    absl::Time begun = absl::Now();
    Root(absl::StrCat("DROP TABLE ", absl::StrJoin(names, ", ")));
    const absl::Duration by_hand = absl::Now() - begun;
    ASSERT_TRUE(End(DropMode::kDrop, 2 * round, kTables).ok());
    Prepare(kTables);
    begun = absl::Now();
    ASSERT_TRUE(End(DropMode::kDrop, 2 * round + 1, kTables).ok());
    best = std::min(best, absl::FDivDuration(absl::Now() - begun, by_hand));
    RecordProperty(absl::StrCat("ratio_", round), absl::StrCat(best));
    std::cerr << "batches to one statement: " << best << " (by hand " << by_hand << ")\n";
  }
  EXPECT_LT(best, 1.3);
}

TEST_F(TableBatchesTest, GoesOnAfterACrashBetweenAnyTwoStatements) {
  constexpr size_t kTables = 50;
  uint64_t epoch = 1;
  for (const char* mode : {"drop", "rename", "keep"}) {
    for (const int nth : {1, 2, 3, 4}) {
      SCOPED_TRACE(absl::StrCat(mode, " ", nth));
      Prepare(kTables);
      ++epoch;
      ASSERT_TRUE(CrashAt(absl::StrCat("drop.after_statement:", nth),
                          absl::StrCat("end ", mode, " ", epoch, " ", kTables)));
      const DropMode wanted = std::string(mode) == "drop"     ? DropMode::kDrop
                              : std::string(mode) == "rename" ? DropMode::kRenameOld
                                                              : DropMode::kKeep;
      // A statement drops the guards of a few names, the next one ends their tables.
      const auto closed = static_cast<size_t>(Closed());
      const std::string guards = Scalar(
          "SELECT COUNT(*) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'vt_commerce' AND "
          "TABLE_NAME LIKE 'many\\_%'");
      EXPECT_LT(closed + std::stoul(guards), 2 * kTables) << "nothing was done";
      const auto resumed = End(wanted, epoch, kTables);
      ASSERT_TRUE(resumed.ok()) << resumed.status();
      // mysqld may have been at work for the dead agent still.
      EXPECT_LE(resumed->size(), closed) << "began anew";
      EXPECT_EQ(Closed(), 0);
      EXPECT_EQ(Count("many\\_%"), wanted == DropMode::kKeep ? kTables : 0);
      EXPECT_EQ(Count("\\_many\\_%\\_old"), wanted == DropMode::kRenameOld ? kTables : 0);
      EXPECT_EQ(Scalar("SELECT state FROM _sluice.gate WHERE workflow = 'commerce.many'"),
                "forgotten");
      std::vector<std::string> left;
      for (const std::string& table : EndOfMany(wanted, epoch, kTables).tables) {
        left.push_back(
            mysql::QuoteTable("vt_commerce", wanted == DropMode::kKeep ? table : OldName(table)));
      }
      if (wanted != DropMode::kDrop) {
        Root(absl::StrCat("DROP TABLE ", absl::StrJoin(left, ", ")));
      }
    }
  }
}

TEST_F(TableBatchesTest, GoesOnAfterMysqldDiedInTheMiddle) {
  constexpr size_t kTables = 200;
  Prepare(kTables);
  absl::StatusOr<std::vector<std::string>> first;
  std::jthread ending([&] { first = End(DropMode::kDrop, 1, kTables); });
  while (Closed() > static_cast<int>(kTables) - 20) {
  }
  mysqld_->Kill();
  ending.join();
  EXPECT_FALSE(first.ok());
  ASSERT_TRUE(mysqld_->Restart().ok());
  auto root = mysql::Connection::Connect(mysqld_->Root());
  ASSERT_TRUE(root.ok()) << root.status();
  root_ = *std::move(root);
  const int left = Closed();
  EXPECT_LT(left, static_cast<int>(kTables));
  const auto resumed = End(DropMode::kDrop, 1, kTables);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->size(), static_cast<size_t>(left));
  EXPECT_EQ(Tables(), kBefore);
}

TEST_F(TableBatchesTest, EachRequestGetsOnHoweverShortItIs) {
  constexpr size_t kTables = 150;
  Prepare(kTables);
  int left = Closed();
  int requests = 0;
  for (;; ++requests) {
    ASSERT_LT(requests, 20);
    const absl::Status status = End(DropMode::kDrop, 1, kTables, absl::Milliseconds(400)).status();
    const int now = Closed();
    EXPECT_LT(now, left);
    left = now;
    if (status.ok()) {
      break;
    }
    ASSERT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
    EXPECT_EQ(status.message(), absl::StrCat(kTables - static_cast<size_t>(now),
                                             " of 150 tables of vt_commerce are dropped so far"));
  }
  EXPECT_GT(requests, 0);
  EXPECT_EQ(Tables(), kBefore);
}

TEST_F(TableBatchesTest, NamesWhoIsInTheWayAndGoesOnWithoutThem) {
  constexpr size_t kTables = 40;
  Prepare(kTables);
  auto blocker = mysql::Connection::Connect(mysqld_->Root());
  ASSERT_TRUE(blocker.ok());
  ASSERT_TRUE((*blocker)->Execute("BEGIN").ok());
  ASSERT_TRUE((*blocker)->Query("SELECT * FROM vt_commerce._sluice_closed_many_7").ok());
  const absl::Status blocked = End(DropMode::kDrop, 1, kTables).status();
  EXPECT_EQ(blocked.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(blocked.message()),
              HasSubstr(absl::StrCat("connection ", (*blocker)->connection_id())));
  EXPECT_GT(Closed(), 0);
  ASSERT_TRUE((*blocker)->Execute("COMMIT").ok());
  const auto dropped = End(DropMode::kDrop, 1, kTables);
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_EQ(Tables(), kBefore);
}

// Each statement is ended at a bound in which hardly a table can be dropped.
TEST_F(TableBatchesTest, MakesSmallerStatementsOfThoseThatAreEndedAtWork) {
  constexpr size_t kTables = 40;
  Prepare(kTables);
  const DropRequest request = EndOfMany(DropMode::kDrop, 1, kTables);
  size_t done = 0;
  const absl::Status status =
      keeper_->WithGate(request.id, Soon(), [&](GateWork& work) -> absl::Status {
        const auto tables = ObserveTables(work.gate.session(), request.id.database, request.tables);
        EXPECT_TRUE(tables.ok()) << tables.status();
        return TableBatches(*pool_, work.gate, request.id, {.bound = absl::Milliseconds(2)})
            .Run(
                *tables,
                [](const std::vector<TableNames>& batch) {
                  std::vector<std::string> names;
                  for (const TableNames& names_of : batch) {
                    if (names_of.closed == Object::kTable) {
                      names.push_back(mysql::QuoteTable("vt_commerce", ClosedName(names_of.table)));
                    }
                  }
                  return names.empty() ? std::vector<std::string>()
                                       : std::vector<std::string>{absl::StrCat(
                                             "DROP TABLE ", absl::StrJoin(names, ", "))};
                },
                [&](const TableNames&) { ++done; });
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(done, kTables);
  EXPECT_EQ(Closed(), 0);
  EXPECT_EQ(std::stoi(Scalar("SELECT COUNT(*) FROM information_schema.PROCESSLIST"
                             " WHERE INFO LIKE 'DROP%'")),
            0);
}

TEST_F(TableBatchesTest, RefusesToRenameOverATableBeforeTheFirstChange) {
  constexpr size_t kTables = 40;
  Prepare(kTables);
  Root("CREATE TABLE vt_commerce._many_33_old (id INT)");
  const absl::Status refused = End(DropMode::kRenameOld, 1, kTables).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SubjectOf(refused), "_many_33_old");
  EXPECT_EQ(Closed(), static_cast<int>(kTables)) << "something was renamed";
  Root("DROP TABLE vt_commerce._many_33_old");
  ASSERT_TRUE(End(DropMode::kRenameOld, 1, kTables).ok());
  EXPECT_EQ(Count("\\_many\\_%\\_old"), static_cast<int>(kTables));
}

TEST_F(TableBatchesTest, StopsWhereItMayNotGoOn) {
  constexpr size_t kTables = 100;
  Prepare(kTables);
  DropRequest request = EndOfMany(DropMode::kDrop, 1, kTables);
  std::atomic<int> asked = 0;
  request.may_go_on = [&] {
    return ++asked > 3 ? absl::FailedPreconditionError("not the PRIMARY any more")
                       : absl::OkStatus();
  };
  const absl::Status ended = DropTables(*keeper_, request, Soon()).status();
  EXPECT_EQ(ended.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ended.message()), HasSubstr("not the PRIMARY"));
  EXPECT_EQ(Closed(), static_cast<int>(kTables - 3 * TableBatches::kTablesMax));
  request.may_go_on = nullptr;
  EXPECT_TRUE(DropTables(*keeper_, request, absl::Now() + absl::Minutes(2)).ok());
}

}  // namespace
}  // namespace sluice::gate
