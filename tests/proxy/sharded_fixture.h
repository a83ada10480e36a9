// ShardedFixture: a keyspace of two shards that moves to another one shard by shard; for tests.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/proxy/proxy_fixture.h"

namespace sluice::proxy {

// orders and orders2 have the shards -80 and 80-, each with a database of its own on one of the two
// mysqlds, so that the sides of a shard are on different servers; both sides of -80 have a REPLICA.
// Each has the tables t (id, who) and u (id, who); in t stands one row, who saying where it is.
// Table rules lead both names to orders, shard rules as after SwitchShards({}).
class ShardedFixture : public ProxyFixture {
 protected:
  void SetUp() override;

  // The shard rules with these shards served by orders2, in spec_; Publish makes them known.
  void SwitchShards(const std::vector<std::string>& shards);
  static Hold HoldOfShard(const std::string& shard, absl::Duration lease = absl::Seconds(20));

  // On the server of a side, without the proxy: "orders/-80".
  std::unique_ptr<mysql::Connection> At(const std::string& place);
  // Gives what a table has to another one: closes a side, or opens it.
  void Rename(const std::string& place, const std::string& from, const std::string& to);
  void CopyRows(const std::string& from_place, const std::string& from, const std::string& to_place,
                const std::string& to);
};

}  // namespace sluice::proxy
