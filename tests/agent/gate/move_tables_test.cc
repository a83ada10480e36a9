// PrepareTarget, DropTables and the sidecar on a real mysqld.

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "agent/gate/table_dropper.h"
#include "agent/gate/target_preparer.h"
#include "agent/sidecar/installer.h"
#include "agent/sidecar/journal.h"
#include "common/base/status.h"
#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::HasSubstr;

class MoveTablesTest : public GateFixture {
 protected:
  absl::Status Prepare(const std::string& workflow = "commerce.in") {
    return PrepareTarget(*keeper_, Preparation(workflow), Soon());
  }
  absl::StatusOr<std::vector<std::string>> Drop(DropMode mode, uint64_t epoch,
                                                std::vector<std::string> tables = {"child",
                                                                                   "parent"}) {
    return DropTables(
        *keeper_,
        {.id = Preparation().id, .tables = std::move(tables), .mode = mode, .epoch = epoch},
        Soon());
  }
};

constexpr const char* kBefore = "corder,customer";
// The tables, and the guards of their names.
constexpr const char* kPrepared =
    "_sluice_closed_child,_sluice_closed_parent,child,corder,customer,parent";

TEST_F(MoveTablesTest, CreatesTheTablesBehindAClosedGate) {
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(Tables(), kPrepared);
  EXPECT_EQ(Scalar("SELECT CONCAT(state, epoch) FROM _sluice.gate"), "closed0");
  ASSERT_TRUE(Prepare().ok()) << "the same request again";
  Root("REPLACE INTO vt_commerce._sluice_closed_parent VALUES (3, 'x')");
  Root("REPLACE INTO vt_commerce._sluice_closed_child VALUES (1, 3)");
  GateChange open = Change(State::kOpen, 1);
  open.id = Preparation().id;
  open.tables = {"child", "parent"};
  ASSERT_TRUE(keeper_->Set(open, Soon()).ok());
  EXPECT_EQ(AppErrno("INSERT INTO child VALUES (2, 4)"), 1452U) << "the foreign key does not hold";
  EXPECT_EQ(AppErrno("INSERT INTO parent () VALUES ()"), 0U);
  EXPECT_EQ(Scalar("SELECT MAX(id) FROM vt_commerce.parent"), "77");
  EXPECT_EQ(Scalar("SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS"
                   " WHERE TABLE_NAME = 'child'"),
            "child_ibfk_1");
}

// Who does not know of the move may not write past it, nor put a table in the way of its end.
TEST_F(MoveTablesTest, NothingIsWrittenUnderAPreparedName) {
  Root("GRANT ALL ON vt_commerce.* TO app@'%'");
  ASSERT_TRUE(Prepare().ok());
  for (const auto& [sql, error] : std::vector<std::pair<const char*, unsigned>>{
           {"CREATE TABLE parent (id BIGINT PRIMARY KEY)", 1050},
           {"CREATE TABLE IF NOT EXISTS parent (id BIGINT PRIMARY KEY)", 0},
           {"CREATE TABLE parent AS SELECT 1 AS id", 1050},
           {"CREATE TABLE parent LIKE customer", 1050},
           {"RENAME TABLE customer TO parent", 1050},
           {"INSERT INTO parent VALUES (1, 'x')", 1356},
           {"REPLACE INTO parent (id) VALUES (1)", 1356},
           {"UPDATE parent SET v = 'x'", 1356},
           {"DELETE FROM parent", 1356},
           {"SELECT * FROM parent", 1356},
           {"TRUNCATE TABLE parent", 1146},
           {"DROP TABLE parent", 1051},
           {"ALTER TABLE parent ADD COLUMN more INT", 1347}}) {
    EXPECT_EQ(AppErrno(sql), error) << sql;
  }
  EXPECT_EQ(Tables(), kPrepared);
  uint64_t epoch = 0;
  for (const State state : {State::kReadable, State::kClosed, State::kOpen}) {
    GateChange change = Change(state, ++epoch);
    change.id = Preparation().id;
    change.tables = {"child", "parent"};
    ASSERT_TRUE(keeper_->Set(change, Soon()).ok()) << StateName(state);
  }
  EXPECT_EQ(AppErrno("INSERT INTO parent () VALUES ()"), 0U);
  EXPECT_EQ(Tables(), "child,corder,customer,parent");
}

TEST_F(MoveTablesTest, RefusesTablesThatHaveRowsInTheWordsUsersKnow) {
  Root("CREATE TABLE vt_commerce.parent (id BIGINT PRIMARY KEY)");
  Root("INSERT INTO vt_commerce.parent VALUES (1)");
  const absl::Status status = Prepare();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("non-empty tables found in target keyspace(commerce): parent"));
  EXPECT_EQ(Tables(), "corder,customer,parent") << "something was created";
}

TEST_F(MoveTablesTest, TakesInAnEmptyTableOfTheSameColumnsOnly) {
  Root(Preparation().tables[1].create_statement);
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(Tables(), kPrepared);
  ASSERT_TRUE(Drop(DropMode::kDrop, 1).ok());
  Root("CREATE TABLE vt_commerce.parent (id INT PRIMARY KEY)");
  const absl::Status status = Prepare("commerce.other");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("parent exists in vt_commerce with other"));
  EXPECT_EQ(Tables(), "corder,customer,parent");
}

TEST_F(MoveTablesTest, RefusesTablesOfAnotherWorkflow) {
  ASSERT_TRUE(Prepare().ok());
  const absl::Status status = Prepare("commerce.second");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("held by the gate of workflow commerce.in"));
}

TEST_F(MoveTablesTest, GoesOnAfterACrashInThePreparation) {
  ASSERT_TRUE(CrashAt("prepare.after_create", "prepare"));
  EXPECT_EQ(Tables(), "_sluice_closed_parent,corder,customer");
  ASSERT_TRUE(Prepare().ok());
  EXPECT_EQ(Tables(), kPrepared);
}

TEST_F(MoveTablesTest, CreatesManyTablesWithSeveralSessions) {
  TargetPreparation many = Preparation();
  for (int i = 0; i < 100; ++i) {
    many.tables.push_back(
        {.name = absl::StrCat("many", i),
         .create_statement = absl::StrCat("CREATE TABLE `many", i, "` (`id` int PRIMARY KEY)")});
  }
  const std::string connections =
      "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = "
      "'Connections'";
  const uint64_t before = std::stoull(Scalar(connections));
  ASSERT_TRUE(PrepareTarget(*keeper_, many, Soon()).ok());
  EXPECT_GE(std::stoull(Scalar(connections)), before + LockedGate::kHelpersMax);
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = "
                   "'vt_commerce' AND TABLE_NAME LIKE '\\_sluice\\_closed\\_%'"),
            "102");
  ASSERT_TRUE(PrepareTarget(*keeper_, many, Soon()).ok()) << "the same request again";

  many.tables[50].create_statement = "CREATE TABLE `many48` (`id` nonsense)";
  many.id.workflow = "commerce.other";
  for (TargetTable& table : many.tables) {
    table.name = absl::StrCat("other_", table.name);
  }
  const absl::Status status = PrepareTarget(*keeper_, many, Soon());
  EXPECT_THAT(std::string(status.message()), HasSubstr("creating a table at the target"));
  EXPECT_EQ(SubjectOf(status), "other_many48");
}

TEST_F(MoveTablesTest, CanBeUndoneAfterACrashInThePreparation) {
  ASSERT_TRUE(CrashAt("prepare.after_create", "prepare"));
  ASSERT_TRUE(Drop(DropMode::kDrop, 1).ok());
  EXPECT_EQ(Tables(), kBefore);
}

TEST_F(MoveTablesTest, DropsOnceAndForgetsTheGate) {
  ASSERT_TRUE(Prepare().ok());
  const auto dropped = Drop(DropMode::kDrop, 5);
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_THAT(*dropped, ::testing::ElementsAre("child", "parent"));
  EXPECT_EQ(Tables(), kBefore);
  const auto again = Drop(DropMode::kDrop, 5);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->empty());
  // A late request of the workflow finds the epoch and does nothing.
  GateChange late = Change(State::kOpen, 4);
  late.id = Preparation().id;
  EXPECT_EQ(keeper_->Set(late, Soon()).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Prepare().ok()) << "the name may be used again";
}

TEST_F(MoveTablesTest, GoesOnAfterACrashInTheDrop) {
  for (const char* point : {"drop.before", "drop.after_statement"}) {
    SCOPED_TRACE(point);
    ASSERT_TRUE(Prepare().ok());
    const uint64_t epoch = std::string(point) == "drop.before" ? 1 : 2;
    ASSERT_TRUE(CrashAt(point, absl::StrCat("drop ", epoch)));
    ASSERT_TRUE(Drop(DropMode::kDrop, epoch).ok());
    EXPECT_EQ(Tables(), kBefore);
  }
}

TEST_F(MoveTablesTest, NeverDropsAnOpenTable) {
  ASSERT_TRUE(Prepare().ok());
  GateChange open = Change(State::kOpen, 1);
  open.id = Preparation().id;
  open.tables = {"child", "parent"};
  ASSERT_TRUE(keeper_->Set(open, Soon()).ok());
  EXPECT_EQ(Drop(DropMode::kDrop, 2).status().code(), absl::StatusCode::kFailedPrecondition);
  // Not even when the record lies.
  Root("UPDATE _sluice.gate SET state = 'closed', wanted = 'closed'");
  EXPECT_EQ(Drop(DropMode::kDrop, 3).status().code(), absl::StatusCode::kFailedPrecondition);
  Root("RENAME TABLE vt_commerce.child TO vt_commerce._sluice_closed_child");
  const absl::Status half = Drop(DropMode::kDrop, 4).status();
  EXPECT_EQ(half.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SubjectOf(half), "parent");
  EXPECT_EQ(Tables(), "_sluice_closed_child,corder,customer,parent") << "something was dropped";
}

TEST_F(MoveTablesTest, NeverDropsWhatIsNotBehindItsOwnGate) {
  ASSERT_TRUE(Prepare().ok());
  const absl::Status other = Drop(DropMode::kDrop, 1, {"child", "corder"}).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SubjectOf(other), "corder");
  const absl::Status unknown =
      DropTables(*keeper_,
                 {.id = {.workflow = "commerce.unknown", .database = "vt_commerce"},
                  .tables = {"child"},
                  .mode = DropMode::kDrop,
                  .epoch = 1},
                 Soon())
          .status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Tables(), kPrepared);
}

TEST_F(MoveTablesTest, DoesNotOrphanChildrenOutsideTheMove) {
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
  Root(
      "CREATE TABLE vt_commerce.outside (id INT PRIMARY KEY, c BIGINT, FOREIGN KEY (c)"
      " REFERENCES vt_commerce._sluice_closed_customer (id))");
  const absl::Status status =
      DropTables(*keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kDrop, .epoch = 2},
                 Soon())
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SubjectOf(status), "outside");
  Root("DROP TABLE vt_commerce.outside");
  EXPECT_TRUE(DropTables(*keeper_,
                         {.id = kId, .tables = kTables, .mode = DropMode::kDrop, .epoch = 2},
                         Soon())
                  .ok());
  EXPECT_EQ(Tables(), "");
}

TEST_F(MoveTablesTest, RenamesToOldNamesAndGivesNamesBack) {
  ASSERT_TRUE(Set(State::kReadable, 1).ok());
  const auto kept = DropTables(
      *keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kKeep, .epoch = 2}, Soon());
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(Tables(), kBefore);
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U);
  ASSERT_TRUE(Set(State::kReadable, 3).ok()) << "a new gate of the same workflow";
  const auto renamed = DropTables(
      *keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kRenameOld, .epoch = 4}, Soon());
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_EQ(Tables(), "_corder_old,_customer_old");
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM vt_commerce._corder_old"), "4");
}

// What would be refused is told before anybody decides, and the question changes nothing.
TEST_F(MoveTablesTest, SaysBeforehandWhyAGateCantBeEnded) {
  const auto refusal = [&](DropMode mode) {
    const std::string before = Tables();
    const absl::Status status =
        CheckDrop(*keeper_, {.id = kId, .tables = kTables, .mode = mode}, Soon());
    EXPECT_EQ(Tables(), before);
    return std::string(status.message());
  };
  ASSERT_TRUE(Set(State::kOpen, 1).ok());
  EXPECT_THAT(refusal(DropMode::kDrop), HasSubstr("not closed; nothing is dropped"));
  EXPECT_EQ(refusal(DropMode::kKeep), "");
  ASSERT_TRUE(Set(State::kClosed, 2).ok());
  for (const DropMode mode : {DropMode::kDrop, DropMode::kRenameOld, DropMode::kKeep}) {
    EXPECT_EQ(refusal(mode), "");
  }
  Root("CREATE TABLE vt_commerce._corder_old (id INT)");
  EXPECT_THAT(refusal(DropMode::kRenameOld),
              HasSubstr("_corder_old exists in vt_commerce already"));
  Root("DROP TABLE vt_commerce._corder_old");
  Root(
      "CREATE TABLE vt_commerce.note (id INT PRIMARY KEY, c BIGINT, CONSTRAINT note_c FOREIGN KEY "
      "(c) REFERENCES _sluice_closed_customer (id))");
  EXPECT_THAT(refusal(DropMode::kDrop), HasSubstr("note refers to _sluice_closed_customer"));
  EXPECT_EQ(refusal(DropMode::kRenameOld), "");
  EXPECT_EQ(Scalar("SELECT CONCAT(state, ' ', epoch) FROM _sluice.gate"), "closed 2");
}

// mysqld names a constraint after its table, and renames both.
TEST_F(MoveTablesTest, RefusesOldNamesThatAreTooLongForAConstraint) {
  const std::string table(56, 't');
  Root(absl::StrCat("CREATE TABLE vt_commerce.", table, " (id INT PRIMARY KEY, CHECK (id > 0))"));
  const GateId id{.workflow = "customer.long", .database = "vt_commerce"};
  GateChange change = Change(State::kClosed, 1);
  change.id = id;
  change.tables = {table};
  ASSERT_TRUE(keeper_->Set(change, Soon()).ok());
  const DropRequest rename{.id = id, .tables = {table}, .mode = DropMode::kRenameOld, .epoch = 2};
  const absl::Status refused = CheckDrop(*keeper_, rename, Soon());
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("_old_chk_1, which is too long a name"));
  const auto renamed = DropTables(*keeper_, rename, Soon());
  EXPECT_EQ(renamed.status().message(), refused.message());
  DropRequest drop = rename;
  drop.mode = DropMode::kDrop;
  ASSERT_TRUE(CheckDrop(*keeper_, drop, Soon()).ok());
  EXPECT_TRUE(DropTables(*keeper_, drop, Soon()).ok());
}

TEST_F(MoveTablesTest, ReleasesTablesThatServeForTheNextWorkflow) {
  ASSERT_TRUE(Set(State::kClosed, 1).ok());
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  const DropRequest release = {.id = kId, .tables = kTables, .mode = DropMode::kKeep, .epoch = 3};
  const auto kept = DropTables(*keeper_, release, Soon());
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(Tables(), kBefore);
  EXPECT_EQ(Scalar("SELECT state FROM _sluice.gate"), "forgotten");
  EXPECT_TRUE(DropTables(*keeper_, release, Soon()).ok()) << "repeated";
}

TEST(OldNameTest, KeepsFiftyNineCharacters) {
  EXPECT_EQ(OldName("corder"), "_corder_old");
  EXPECT_EQ(OldName(std::string(64, 'a')), "_" + std::string(59, 'a') + "_old");
  std::string umlauts;
  for (int i = 0; i < 64; ++i) {
    umlauts += "\xc3\xa4";
  }
  EXPECT_EQ(OldName(umlauts), "_" + umlauts.substr(0, 118) + "_old");
}

TEST_F(MoveTablesTest, UpgradesTheSidecarAndRefusesANewerOne) {
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  std::vector<sidecar::Migration> migrations = sidecar::Migrations();
  const int now = migrations.back().version;
  const auto version = sidecar::ReadSidecarVersion(**session);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, now);
  ASSERT_TRUE(Prepare().ok());
  migrations.push_back(
      {.version = now + 1, .statements = {"ALTER TABLE _sluice.gate ADD COLUMN note TEXT"}});
  ASSERT_TRUE(sidecar::InstallSidecar(**session, "vt_commerce", migrations).ok());
  ASSERT_TRUE(sidecar::InstallSidecar(**session, "vt_commerce", migrations).ok()) << "again";
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.gate WHERE note IS NULL"), "1") << "rows lost";
  const absl::Status refused =
      sidecar::InstallSidecar(**session, "vt_commerce", sidecar::Migrations());
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(absl::StrCat("version ", now + 1)));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(absl::StrCat("knows ", now)));
}

// An agent that starts while views of its reader stand finds all as it needs it.
TEST_F(MoveTablesTest, InstallsTheSidecarBesideViewsOfTheReader) {
  ASSERT_TRUE(Prepare().ok());
  ASSERT_TRUE(Set(State::kReadable, 1).ok());
  agent::SessionPool another(AgentOptions(mysqld_->Root().socket));
  auto session = another.Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  const absl::Status installed =
      sidecar::InstallSidecar(**session, "vt_commerce", sidecar::Migrations());
  EXPECT_TRUE(installed.ok()) << installed;
  EXPECT_EQ(AppErrno("SELECT * FROM customer"), 0U);
}

TEST_F(MoveTablesTest, WritesAJournalOnce) {
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE(sidecar::WriteJournal(**session, "c1", "commerce.in", R"({"a": 1})").ok());
  ASSERT_TRUE(sidecar::WriteJournal(**session, "c1", "commerce.in", R"({"a": 1})").ok());
  EXPECT_EQ(sidecar::WriteJournal(**session, "c1", "commerce.in", R"({"a": 2})").code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Scalar("SELECT record FROM _sluice.journal"), R"({"a": 1})");
}

}  // namespace
}  // namespace sluice::gate
