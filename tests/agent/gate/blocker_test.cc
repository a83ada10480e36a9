// How those who stand in a gate's way are told to people.

#include "agent/gate/blocker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::gate {
namespace {

TEST(BlockerTest, TellsSessionsFromTransactionsWithoutOneAndFromMysqldItself) {
  const Blocker session = {.connection_id = 20,
                           .user = "app",
                           .host = "10.0.0.7",
                           .age_ms = 3'100,
                           .statement = "UPDATE t SET v = 1"};
  Blocker prepared;
  prepared.kind = BlockerKind::kPreparedXa;
  Blocker mysqld;
  mysqld.kind = BlockerKind::kServer;
  mysqld.statement = "thread/innodb/dict_stats_thread";
  EXPECT_EQ(DescribeBlockers({session, prepared, mysqld}),
            "connection 20 (app@10.0.0.7, for 3.1s: UPDATE t SET v = 1); "
            "a prepared XA transaction (see XA RECOVER); "
            "mysqld itself (thread/innodb/dict_stats_thread), for a moment");
  EXPECT_EQ(DescribeBlockers({}), "nobody that can be seen now");
}

}  // namespace
}  // namespace sluice::gate
