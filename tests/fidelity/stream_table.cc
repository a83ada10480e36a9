// StreamTable: statements of a table's life.

#include "tests/fidelity/stream_table.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/create_statement.h"
#include "common/mysql/create_statement.h"

namespace sluice::testing {
namespace {

constexpr uint64_t kStreamId = 1;
constexpr size_t kCopied = 0;
constexpr size_t kUpdated = 500;
constexpr size_t kRekeyed = 900;
constexpr size_t kDeleted = 950;
constexpr size_t kInserted = 1000;
constexpr size_t kFew = 3;
constexpr size_t kWays = 3;

void Do(mysql::Connection& session, const std::string& sql) {
  const auto done = session.Execute(sql);
  ASSERT_TRUE(done.ok()) << done.status() << "\n" << sql.substr(0, 800);
}

void Move(StreamWorld& world, std::vector<StreamTable>& tables,
          const std::vector<std::string>& names) {
  const auto writer = WritingSession(world.source_mysqld(), "+00:00");
  const auto other_zone = WritingSession(world.source_mysqld(), "-11:00");
  for (const std::string& statement : InnerTypes()) {
    ASSERT_NO_FATAL_FAILURE(Do(*writer, statement));
  }
  for (StreamTable& table : tables) {
    ASSERT_NO_FATAL_FAILURE(table.Create(*writer));
    ASSERT_NO_FATAL_FAILURE(table.Fill(*writer));
  }
  ASSERT_NO_FATAL_FAILURE(CreateBehindGate(world, names));
  ASSERT_TRUE(world.Create(StreamWorld::Spec(kStreamId, names)).ok());
  const SeenStatus status = world.AwaitStatus(
      kStreamId,
      [](const SeenStatus& s) {
        return s.state == schemas::StreamState::RUNNING || s.state == schemas::StreamState::ERROR;
      },
      absl::Minutes(3));
  ASSERT_EQ(status.state, schemas::StreamState::RUNNING) << status.message;
  for (StreamTable& table : tables) {
    ASSERT_NO_FATAL_FAILURE(table.Change(*other_zone));
  }
  ASSERT_NO_FATAL_FAILURE(world.Drain(kStreamId));
  ASSERT_TRUE(world.Control(kStreamId, schemas::StreamAction::STOP, 1).ok());
  OpenGate(world, names);
}

}  // namespace

StreamTable::StreamTable(KeyCase key, ColumnGroup group)
    : key_(std::move(key)),
      group_(std::move(group)),
      name_(absl::StrCat(group_.name, "_", key_.name)) {}

size_t StreamTable::cases() const {
  return group_.values() * kWays;
}
size_t StreamTable::rows() const {
  return kWays * group_.rows_max() + kFew;
}

void StreamTable::Create(mysql::Connection& session) const {
  std::vector<std::string> parts;
  for (size_t i = 0; i < group_.columns.size(); ++i) {
    parts.push_back(absl::StrCat("c", i, " ", group_.columns[i].definition));
  }
  if (!key_.clause.empty()) {
    parts.push_back(key_.clause);
  }
  Do(session, absl::StrCat("CREATE TABLE ", name_, " (", kRowNumber, " INT NOT NULL, ",
                           key_.columns, absl::StrJoin(parts, ", "), ")"));
}

void StreamTable::Fill(mysql::Connection& session) {
  const size_t rows = group_.rows_max();
  ASSERT_NO_FATAL_FAILURE(Insert(session, kCopied, rows));
  ASSERT_NO_FATAL_FAILURE(Insert(session, kUpdated, rows));
  ASSERT_NO_FATAL_FAILURE(Insert(session, kRekeyed, kFew));
  ASSERT_NO_FATAL_FAILURE(Insert(session, kDeleted, kFew));
}

void StreamTable::Change(mysql::Connection& session) {
  const size_t rows = group_.rows_max();
  ASSERT_NO_FATAL_FAILURE(Do(session, "BEGIN"));
  ASSERT_NO_FATAL_FAILURE(Insert(session, kInserted, rows));
  for (size_t i = 0; i < rows; ++i) {
    ASSERT_NO_FATAL_FAILURE(Do(
        session, absl::StrCat("UPDATE ", name_, " SET ", absl::StrJoin(Values(i + 1, true), ", "),
                              " WHERE n = ", kUpdated + i)));
  }
  ASSERT_NO_FATAL_FAILURE(Rekey(session));
  ASSERT_NO_FATAL_FAILURE(Do(session, absl::StrCat("DELETE FROM ", name_, " WHERE n BETWEEN ",
                                                   kDeleted, " AND ", kDeleted + kFew)));
  ASSERT_NO_FATAL_FAILURE(Do(session, "COMMIT"));
}

void StreamTable::Rekey(mysql::Connection& session) {
  for (size_t i = 0; i < kFew && !key_.written.empty(); ++i) {
    const std::vector<std::string> tuple = key_.Tuple(next_key_++);
    std::vector<std::string> terms;
    for (size_t column = 0; column < tuple.size(); ++column) {
      terms.push_back(absl::StrCat(key_.written[column], " = ", tuple[column]));
    }
    ASSERT_NO_FATAL_FAILURE(
        Do(session, absl::StrCat("UPDATE ", name_, " SET ", absl::StrJoin(terms, ", "),
                                 " WHERE n = ", kRekeyed + i)));
  }
}

// The values of the i-th row, with or without "column = ".
std::vector<std::string> StreamTable::Values(size_t i, bool named) const {
  std::vector<std::string> values;
  for (size_t column = 0; column < group_.columns.size(); ++column) {
    if (!IsGenerated(group_.columns[column])) {
      values.push_back(absl::StrCat(named ? absl::StrCat("c", column, " = ") : "",
                                    ValueAt(group_.columns[column], i)));
    }
  }
  return values;
}

void StreamTable::Insert(mysql::Connection& session, size_t first, size_t rows) {
  std::vector<std::string> names = {kRowNumber};
  names.insert(names.end(), key_.written.begin(), key_.written.end());
  for (size_t column = 0; column < group_.columns.size(); ++column) {
    if (!IsGenerated(group_.columns[column])) {
      names.push_back(absl::StrCat("c", column));
    }
  }
  std::vector<std::string> tuples;
  for (size_t i = 0; i < rows; ++i) {
    std::vector<std::string> values = {absl::StrCat(first + i)};
    for (std::string& part : key_.Tuple(next_key_++)) {
      values.push_back(std::move(part));
    }
    for (std::string& value : Values(i, false)) {
      values.push_back(std::move(value));
    }
    tuples.push_back(absl::StrCat("(", absl::StrJoin(values, ", "), ")"));
  }
  Do(session, absl::StrCat("INSERT INTO ", name_, " (", absl::StrJoin(names, ", "), ") VALUES ",
                           absl::StrJoin(tuples, ", ")));
}

std::unique_ptr<mysql::Connection> WritingSession(const Mysqld& server,
                                                  const std::string& time_zone) {
  auto connection = ConnectTo(server, kSourceDatabase);
  if (connection != nullptr) {
    const auto set = connection->Execute(
        absl::StrCat("SET NAMES utf8mb4, time_zone = '", time_zone,
                     "', sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', "
                     "sql_generate_invisible_primary_key = 1"));
    EXPECT_TRUE(set.ok()) << set.status();
  }
  return connection;
}

void CreateBehindGate(StreamWorld& world, const std::vector<std::string>& tables) {
  const auto source = ConnectTo(world.source_mysqld(), "");
  const auto target = ConnectTo(world.target_mysqld(), kTargetDatabase);
  for (mysql::Connection* session : {source.get(), target.get()}) {
    ASSERT_TRUE(mysql::ConfigureDefinitionSession(*session).ok());
  }
  for (const std::string& table : tables) {
    const auto shown = mysql::ReadCreateStatement(*source, kSourceDatabase, table);
    ASSERT_TRUE(shown.ok()) << shown.status();
    const auto create = gate::RewriteCreateTable(*shown, gate::ClosedName(table), {});
    ASSERT_TRUE(create.ok()) << create.status();
    const absl::Status created =
        mysql::CreateAsPrinted(*target, *create, mysql::QuoteName(gate::ClosedName(table)));
    ASSERT_TRUE(created.ok()) << created << "\n" << *create;
  }
}

void OpenGate(StreamWorld& world, const std::vector<std::string>& tables) {
  // Hundreds of tables in one statement take longer than a session waits for an answer.
  constexpr size_t kTablesMax = 50;
  std::vector<std::string> renames;
  for (size_t i = 0; i < tables.size(); ++i) {
    renames.push_back(absl::StrCat(mysql::QuoteName(gate::ClosedName(tables[i])), " TO ",
                                   mysql::QuoteName(tables[i])));
    if (renames.size() == kTablesMax || i + 1 == tables.size()) {
      world.OnTarget({absl::StrCat("RENAME TABLE ", absl::StrJoin(renames, ", "))});
      renames.clear();
    }
  }
}

RawDifferences MoveAndCompare(StreamWorld& world, std::vector<StreamTable>& tables) {
  std::vector<std::string> names;
  for (const StreamTable& table : tables) {
    names.push_back(table.name());
  }
  Move(world, tables, names);
  if (::testing::Test::HasFatalFailure()) {
    return {};
  }
  const auto source = TakeRows(world.source_mysqld(), kSourceDatabase, names);
  const auto target = TakeRows(world.target_mysqld(), kTargetDatabase, names);
  EXPECT_TRUE(source.ok()) << source.status();
  EXPECT_TRUE(target.ok()) << target.status();
  if (!source.ok() || !target.ok()) {
    return {};
  }
  return Compare(*source, *target, [](uint64_t row) { return row < kUpdated; });
}

}  // namespace sluice::testing
