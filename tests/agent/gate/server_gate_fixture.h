// ServerGateTest: a real mysqld that the agent's account may close as a whole.

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {

// What a server that is read-only says to who would write.
inline constexpr unsigned kReadOnly = 1290;

class ServerGateTest : public GateFixture {
 protected:
  void SetUp() override {
    GateFixture::SetUp();
    for (const char* sql :
         {"GRANT SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN, SHOW_ROUTINE, SHOW DATABASES ON *.*"
          " TO sluice@localhost",
          "GRANT SELECT ON mysql.* TO sluice@localhost",
          "GRANT EVENT ON `vt\\_commerce`.* TO sluice@localhost",
          "GRANT ALL ON vt_commerce.* TO app@'%'"}) {
      Root(sql);
    }
  }

  static GateChange Server(State wanted, uint64_t epoch) {
    GateChange change = Change(wanted, epoch, wanted == State::kOpen ? "" : "m");
    change.kind = GateKind::kServer;
    return change;
  }
  absl::StatusOr<GateOutcome> Close(uint64_t epoch) {
    return keeper_->Set(Server(State::kClosed, epoch), Soon());
  }

  std::string Obstacles(const std::vector<std::string>& beside = {}) {
    auto found = keeper_->ServerObstacles({.id = kId, .tables = kTables, .beside = beside});
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? absl::StrJoin(*found, "; ") : "";
  }

  std::string Persisted() {
    return Scalar(
        "SELECT CONCAT(@@GLOBAL.read_only, @@GLOBAL.super_read_only, (SELECT COUNT(*) FROM"
        " performance_schema.persisted_variables WHERE VARIABLE_NAME = 'read_only'))");
  }

  void ExpectClosed() {
    EXPECT_EQ(ReadState(), State::kReadable);
    EXPECT_EQ(Persisted(), "101");
    EXPECT_EQ(AppErrno("SELECT * FROM corder JOIN customer ON customer.id = customer_id"), 0U);
    for (const char* sql :
         {"INSERT INTO corder (customer_id) VALUES (1)", "UPDATE customer SET email = 'x'",
          "DELETE FROM corder", "REPLACE INTO customer VALUES (1, 'x')", "TRUNCATE TABLE corder",
          "DROP TABLE corder", "ALTER TABLE customer ADD COLUMN more INT",
          "CREATE TABLE more (id INT)", "RENAME TABLE customer TO other",
          "CREATE TRIGGER t BEFORE INSERT ON customer FOR EACH ROW SET NEW.email = 'x'",
          "LOCK TABLES customer WRITE"}) {
      EXPECT_EQ(AppErrno(sql), kReadOnly) << sql;
    }
    EXPECT_EQ(Scalar("SELECT GROUP_CONCAT(id, customer_id) FROM vt_commerce.corder"), "11,22,32");
    EXPECT_EQ(Tables(), "corder,customer");
  }
};

}  // namespace sluice::gate
