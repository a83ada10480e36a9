// Harvest: the tables that a script of MySQL's regression suite makes, kept instead of dropped.

#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/agent/target/stream_world.h"

namespace sluice::testing {

struct HarvestCounts {
  uint64_t scripts = 0;
  uint64_t statements = 0;  // that were run
  uint64_t failed = 0;      // as many are meant to
  uint64_t tables = 0;
  uint64_t rows = 0;
};

// Runs the definitions and changes of scripts on the source. A table that a script drops gets
// another name instead, so that every state in which a script left a table is kept. Tables without
// a key get an invisible one; all are InnoDB's. Owned by one thread.
class Harvest {
 public:
  Harvest(StreamWorld& world, std::string root);

  // Runs one script; a failing statement is counted and passed over.
  void Run(const std::string& script);

  // The tables with rows that stand by themselves: no foreign key, no view. Others are dropped.
  std::vector<std::string> Tables();
  // The script that made a table.
  [[nodiscard]] std::string Origin(const std::string& table) const;
  [[nodiscard]] const HarvestCounts& counts() const { return counts_; }

 private:
  void Connect();
  void Execute(const std::string& statement);
  // Gives the tables of a DROP, or all that are left, a name of their own.
  void Keep(const std::vector<std::string>& tables);
  std::vector<std::string> Standing();
  [[nodiscard]] std::set<std::string> Movable(mysql::Connection& reader) const;

  StreamWorld& world_;
  const std::string root_;
  std::unique_ptr<mysql::Connection> session_;
  std::string script_;
  std::vector<std::string> origins_;  // by the number in the kept name
  HarvestCounts counts_;
};

}  // namespace sluice::testing
