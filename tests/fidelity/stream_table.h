// StreamTable: a table of one group of columns under one kind of key, and its way through a stream.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/mysql/connection.h"
#include "tests/agent/target/stream_world.h"
#include "tests/fidelity/keys.h"
#include "tests/fidelity/raw_rows.h"
#include "tests/fidelity/types.h"

namespace sluice::testing {

// Rows are numbered by the way they take: copied alone; copied and then changed through the binlog;
// copied and given another key; copied and deleted; inserted through the binlog. Owned by one
// thread.
class StreamTable {
 public:
  StreamTable(KeyCase key, ColumnGroup group);

  [[nodiscard]] const std::string& name() const { return name_; }
  // Values times ways (copy, UPDATE, INSERT).
  [[nodiscard]] size_t cases() const;
  // That stand there in the end.
  [[nodiscard]] size_t rows() const;

  void Create(mysql::Connection& session) const;
  void Fill(mysql::Connection& session);    // before the copy
  void Change(mysql::Connection& session);  // behind it

 private:
  void Rekey(mysql::Connection& session);
  [[nodiscard]] std::vector<std::string> Values(size_t i, bool named) const;
  void Insert(mysql::Connection& session, size_t first, size_t rows);

  const KeyCase key_;
  const ColumnGroup group_;
  const std::string name_;
  size_t next_key_ = 0;
};

// A session in which all values of types.h can be written.
std::unique_ptr<mysql::Connection> WritingSession(const Mysqld& server,
                                                  const std::string& time_zone);

// Makes the target's tables from the source's definitions under their closed names; and gives them
// their own names.
void CreateBehindGate(StreamWorld& world, const std::vector<std::string>& tables);
void OpenGate(StreamWorld& world, const std::vector<std::string>& tables);

// Creates the tables on the source, fills them, makes the target's tables from the source's
// definitions behind a closed gate, copies them by a stream, changes them, applies that, opens the
// gate, and takes and compares what both sides have. Failures are reported.
RawDifferences MoveAndCompare(StreamWorld& world, std::vector<StreamTable>& tables);

}  // namespace sluice::testing
