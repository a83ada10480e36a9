// GateFixture: a real mysqld with a shard's database, the agent's account with no more than the
// documented privileges, and an application's account.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/gate/gate_keeper.h"
#include "agent/gate/table_dropper.h"
#include "agent/gate/target_preparer.h"
#include "agent/session/session_pool.h"
#include "common/mysql/connection.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::gate {

inline absl::Time Soon() {
  return absl::Now() + absl::Seconds(20);
}

class GateFixture : public ::testing::Test {
 protected:
  void SetUp() override;

  // Root's session; every statement must succeed.
  void Root(const std::string& sql);
  std::string Scalar(const std::string& sql);
  // The names of the database's tables and views, joined by commas.
  std::string Tables();

  std::unique_ptr<mysql::Connection> App();
  // The application's error number for a statement; 0 when it succeeds.
  unsigned AppErrno(const std::string& sql);

  static mysql::ConnectionOptions AgentOptions(const std::string& socket);

  static GateChange Change(State wanted, uint64_t epoch, const std::string& marker = "");
  absl::StatusOr<GateOutcome> Set(State wanted, uint64_t epoch, const std::string& marker = "");
  State ReadState();

  // Does the work in a process of its own in which SLUICE_CRASH_AT names the point; true when that
  // process died there. Work: "set <state> <epoch> [marker [server, or the database beside it]]",
  // "prepare", "drop <epoch>", "finish drop <epoch>" of kTables,
  // "end <drop|rename|keep> <epoch> <tables>" of Many(), "batch <state> <epoch> <gates>" of
  // Shard().
  bool CrashAt(const std::string& point, const std::string& work);

  // Of tables parent and child, which refers to it, for workflow commerce.in.
  static TargetPreparation Preparation(const std::string& workflow = "commerce.in");
  static DropRequest DropOfPrepared(DropMode mode, uint64_t epoch);

  // Tables many_0, many_1, … of one workflow; every tenth refers to the one before it.
  static TargetPreparation Many(size_t count);
  static DropRequest EndOfMany(DropMode mode, uint64_t epoch, size_t count);

  // Databases vt_s0, vt_s1, … with tables of the same names, shards of one workflow.
  void MakeShards(size_t count);
  static GateChange Shard(size_t number, State wanted, uint64_t epoch);
  // Asks for all of them at once, the first one a little before the others.
  static std::vector<absl::StatusOr<GateOutcome>> SetAll(GateKeeper& keeper,
                                                         const std::vector<GateChange>& changes,
                                                         const std::function<void()>& after_first);

  std::unique_ptr<testing::Mysqld> mysqld_;
  std::unique_ptr<mysql::Connection> root_;
  std::unique_ptr<agent::SessionPool> pool_;
  std::unique_ptr<GateKeeper> keeper_;
};

inline const GateId kId{.workflow = "customer.move", .database = "vt_commerce"};
inline const std::vector<std::string> kTables = {"corder", "customer"};

}  // namespace sluice::gate
