// ShardedFixture: databases and rules of a keyspace that moves shard by shard.

#include "tests/proxy/sharded_fixture.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/mysql/connection.h"

namespace sluice::proxy {
namespace {

using routing::TabletType;

struct Side {
  const char* alias;
  const char* keyspace;
  const char* shard;
  TabletType type;
  bool on_first;
  const char* database;
  const char* who;
};

constexpr Side kSides[] = {
    {"zone1-510", "orders", "-80", TabletType::kPrimary, true, "vt_orders_low", "orders/-80"},
    {"zone1-520", "orders", "80-", TabletType::kPrimary, false, "vt_orders_high", "orders/80-"},
    {"zone1-610", "orders2", "-80", TabletType::kPrimary, false, "new-orders -80", "orders2/-80"},
    {"zone1-620", "orders2", "80-", TabletType::kPrimary, true, "vt_orders2_high", "orders2/80-"},
    {"zone1-511", "orders", "-80", TabletType::kReplica, false, "vt_low_replica",
     "replica of orders/-80"},
    {"zone1-611", "orders2", "-80", TabletType::kReplica, true, "vt_new_replica",
     "replica of orders2/-80"},
};

void MustRun(mysql::Connection& connection, const std::string& sql) {
  const auto result = connection.Execute(sql);
  ASSERT_TRUE(result.ok()) << sql << ": " << result.status();
}

}  // namespace

void ShardedFixture::SetUp() {
  ProxyFixture::SetUp();
  if (HasFatalFailure()) {
    return;
  }
  spec_.keyspaces.insert(spec_.keyspaces.end(), {"orders", "orders2"});
  for (const Side& side : kSides) {
    const sluice::testing::Mysqld& server = side.on_first ? *first_ : *second_;
    auto connection = Direct(server, "");
    const std::string name = mysql::QuoteName(side.database);
    MustRun(*connection, absl::StrCat("CREATE DATABASE ", name));
    for (const char* table : {"t", "u"}) {
      MustRun(*connection, absl::StrCat("CREATE TABLE ", name, ".", table,
                                        " (id INT PRIMARY KEY AUTO_INCREMENT, who VARCHAR(40))"));
    }
    MustRun(*connection, absl::StrCat("INSERT INTO ", name, ".t VALUES (1, '", side.who, "')"));
    spec_.tablets.push_back({side.alias, side.keyspace, side.shard, side.type, "127.0.0.1",
                             server.port(), side.database, "zone1", true});
  }
  spec_.rules = routing::RulesOfMove({"orders", "orders2", {"t", "u"}, false, false, false});
  SwitchShards({});
  Publish();
}

void ShardedFixture::SwitchShards(const std::vector<std::string>& shards) {
  spec_.shard_rules.clear();
  for (const char* shard : {"-80", "80-"}) {
    const bool switched = std::find(shards.begin(), shards.end(), shard) != shards.end();
    spec_.shard_rules.push_back(switched ? ShardRule{"orders", shard, "orders2"}
                                         : ShardRule{"orders2", shard, "orders"});
  }
}

Hold ShardedFixture::HoldOfShard(const std::string& shard, absl::Duration lease) {
  return {absl::StrCat("cutover of ", shard),
          {"orders.t", "orders2.t"},
          {absl::StrCat("orders/", shard), absl::StrCat("orders2/", shard)},
          lease};
}

std::unique_ptr<mysql::Connection> ShardedFixture::At(const std::string& place) {
  for (const Side& side : kSides) {
    if (place == side.who) {
      return Direct(side.on_first ? *first_ : *second_, side.database);
    }
  }
  ADD_FAILURE() << "no side " << place;
  return nullptr;
}

void ShardedFixture::Rename(const std::string& place, const std::string& from,
                            const std::string& to) {
  MustRun(*At(place), absl::StrCat("RENAME TABLE ", from, " TO ", to));
}

void ShardedFixture::CopyRows(const std::string& from_place, const std::string& from,
                              const std::string& to_place, const std::string& to) {
  const auto rows = At(from_place)->Query(absl::StrCat("SELECT id, who FROM ", from));
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::string values;
  for (const auto& row : rows->rows) {
    absl::StrAppend(&values, values.empty() ? "" : ", ", "(", *row[0], ", '", *row[1], "')");
  }
  const auto target = At(to_place);
  MustRun(*target, absl::StrCat("DELETE FROM ", to));
  MustRun(*target, absl::StrCat("INSERT INTO ", to, " VALUES ", values));
}

}  // namespace sluice::proxy
