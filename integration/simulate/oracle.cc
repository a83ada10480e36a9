// Oracle: the promises.

#include "integration/simulate/oracle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

// A failover brings the record of a gate that has closed the server, and not read_only. Until the
// new PRIMARY's agent has looked it is open, which the design says.
bool CanBeWritten(const Mysqld& mysqld, uint8_t table) {
  return ObjectUnder(mysqld.data(), table, false) == gate::Object::kTable && !mysqld.read_only() &&
         !mysqld.LeftOpen();
}

}  // namespace

Oracle::Oracle(World& world, uint32_t shards) : world_(world), shards_(shards) {
  for (Shard& shard : shards_) {
    shard.floors.fill(1);
    for (std::vector<uint64_t>& chain : shard.chains) {
      chain.push_back(0);  // the rows of the beginning
    }
    shard.writes[0] = {{.version = 1}};
  }
}

void Oracle::Violate(const std::string& what) {
  if (violation_.empty()) {
    violation_ = what;
    world_.trace.Note("VIOLATION", what);
  }
}

void Oracle::Binlogged(const Mysqld& mysqld, const Tx& tx) {
  if (tx.author != Author::kClient) {
    return;
  }
  Shard& shard = shards_.at(mysqld.shard());
  if (!shard.excused && mysqld.side() != world_.ServingSide()) {
    Violate(absl::StrCat(mysqld.name(), " takes a write of a client though the other side serves"));
  }
  for (const RowChange& change : tx.rows) {
    if (change.table == kAccounts) {
      Chain(mysqld, change, tx.token);
    } else {
      Number(mysqld, change, tx.token);
    }
  }
}

void Oracle::Chain(const Mysqld& mysqld, const RowChange& change, uint64_t token) {
  Shard& shard = shards_.at(mysqld.shard());
  std::vector<uint64_t>& chain = shard.chains.at(change.key);
  const uint64_t before = change.before.token;
  if (chain.back() != before) {
    // A client was never told of it, a failover lost it, and a stream had carried it over before:
    // so it has happened after all.
    const auto lost = shard.writes.find(before);
    const bool carried = lost != shard.writes.end() &&
                         std::any_of(lost->second.begin(), lost->second.end(), [&](Write& write) {
                           const bool is = write.lost && !write.acknowledged &&
                                           write.table == kAccounts && write.key == change.key &&
                                           write.before == chain.back();
                           write.lost = write.lost && !is;
                           return is;
                         });
    if (carried) {
      chain.push_back(before);
    } else if (!shard.excused) {
      Violate(absl::StrCat(mysqld.name(), ": write ", token, " of account ", change.key,
                           " is made upon ", before, ", though the last one was ", chain.back()));
    }
  }
  chain.push_back(token);
  shard.writes[token].push_back(
      {.table = kAccounts, .key = change.key, .version = change.row.version, .before = before});
}

void Oracle::Number(const Mysqld& mysqld, const RowChange& change, uint64_t token) {
  Shard& shard = shards_.at(mysqld.shard());
  const bool deletes = change.row.version == 0;
  const uint32_t elsewhere = shard.highest_order.at(1U - mysqld.side());
  if (!deletes) {
    if (counters_raised_ && !shard.excused && change.key <= elsewhere) {
      Violate(absl::StrCat(mysqld.name(), ": order ", change.key,
                           " is numbered again, though the counters were raised above ",
                           elsewhere));
    }
    uint32_t& highest = shard.highest_order.at(mysqld.side());
    highest = std::max(highest, change.key);
    const auto there = shard.orders.find(change.key);
    if (there != shard.orders.end() && !there->second.second && !shard.excused) {
      Violate(absl::StrCat(mysqld.name(), ": order ", change.key, " stands there already"));
    }
  }
  shard.orders[change.key] = {deletes ? change.before.token : token, deletes};
  shard.writes[token].push_back({.table = kOrders,
                                 .key = change.key,
                                 .version = 1,
                                 .before = change.before.token,
                                 .deletes = deletes});
}

// In the databases: what is open on both sides could be written on both.
void Oracle::JudgeGates(const Mysqld& mysqld) {
  const Mysqld& other = world_.Primary(1U - mysqld.side(), mysqld.shard());
  for (uint8_t table = 0; table < kTables; ++table) {
    if (CanBeWritten(mysqld, table) && CanBeWritten(other, table)) {
      Violate(absl::StrCat(kTableNames.at(table), " is open on ", mysqld.name(), " and on ",
                           other.name()));
    }
  }
}

void Oracle::Applied(const Mysqld& mysqld) {
  if (!excused(mysqld.shard())) {
    JudgeGates(mysqld);
  }
}

void Oracle::Opened(const Mysqld& mysqld) {
  if (excused(mysqld.shard())) {
    return;
  }
  if (mysqld.replica()) {
    Violate(absl::StrCat(mysqld.name(), " is made writable, and another server is the PRIMARY"));
  }
  JudgeGates(mysqld);
}

// Who is told of a PRIMARY is told when its agent has looked.
void Oracle::MetLeftOpen(const Mysqld& mysqld) {
  ++world_.counts.gates["writes that would have met a server left open by a failover"];
  if (!excused(mysqld.shard()) && world_.IsKnown(mysqld)) {
    Violate(absl::StrCat(mysqld.name(), " is known for the PRIMARY, and a gate has left it open"));
  }
}

void Oracle::Lost(const Mysqld& mysqld, const std::vector<TxPointer>& transactions, bool seen) {
  Shard& shard = shards_.at(mysqld.shard());
  shard.excused = shard.excused || seen;
  for (const TxPointer& tx : transactions) {
    if (tx->author != Author::kClient) {
      continue;
    }
    for (Write& write : shard.writes[tx->token]) {
      write.lost = true;
      lost_acknowledged_ += write.acknowledged ? 1U : 0U;
      if (write.table == kAccounts) {
        std::erase(shard.chains.at(write.key), tx->token);
      } else if (write.deletes) {
        shard.orders[write.key] = {write.before, false};
      } else {
        shard.orders.erase(write.key);
      }
    }
  }
}

// The first write of a client behind the commit has its term, or a later one.
void Oracle::ReversePlaced(const Mysqld& mysqld, const StreamRow& stream) {
  const Mysqld& source = world_.Primary(stream.from_side, mysqld.shard());
  if (excused(mysqld.shard())) {
    return;
  }
  for (const TxPointer& tx : source.binlog()) {
    if (tx->author == Author::kClient && tx->term >= term_ && stream.position.Has(tx->gtid)) {
      return Violate(absl::StrCat("the reverse stream to ", mysqld.name(),
                                  " begins behind a client's write on the new side"));
    }
  }
}

void Oracle::Acknowledged(uint32_t number, uint64_t token) {
  Shard& shard = shards_.at(number);
  const auto found = shard.writes.find(token);
  if (found == shard.writes.end()) {
    return Violate(absl::StrCat("write ", token, " is acknowledged and was never committed"));
  }
  ++acknowledged_;
  for (Write& write : found->second) {
    write.acknowledged = true;
    if (write.lost) {
      ++lost_acknowledged_;
      if (!shard.excused) {
        Violate(absl::StrCat("write ", token, " is acknowledged, and a failover has lost it"));
      }
    } else if (write.table == kAccounts) {
      shard.floors.at(write.key) = std::max(shard.floors.at(write.key), write.version);
    }
  }
}

uint64_t Oracle::Floor(uint32_t shard, uint32_t key) const {
  return shards_.at(shard).floors.at(key);
}

void Oracle::Read(const Mysqld& mysqld, uint32_t key, uint64_t floor, const Row& row) {
  ++reads_;
  if (!excused(mysqld.shard()) && row.version < floor) {
    Violate(absl::StrCat("a read of account ", key, " on ", mysqld.name(), " sees version ",
                         row.version, ", though ", floor, " was acknowledged before"));
  }
}

void Oracle::JudgeOwner(const Mysqld& owner) {
  const Shard& shard = shards_.at(owner.shard());
  if (shard.excused) {
    return;
  }
  for (uint32_t key = 0; key < kKeys; ++key) {
    const Row& row = owner.data().rows.at(kAccounts).at(key);
    const uint64_t last = shard.chains.at(key).back();
    if (row.token == last) {
      continue;
    }
    // One that a failover lost before anybody was told, and that a stream had carried over.
    const auto found = shard.writes.find(row.token);
    const bool carried = found != shard.writes.end() && !found->second.empty() &&
                         found->second.front().lost && !found->second.front().acknowledged;
    if (!carried) {
      return Violate(absl::StrCat(owner.name(), ": account ", key, " is of write ", row.token,
                                  ", the last one was ", last));
    }
  }
  const std::map<uint32_t, Row>& rows = owner.data().rows.at(kOrders);
  for (const auto& [id, order] : shard.orders) {
    const auto found = rows.find(id);
    const bool there = found != rows.end() && found->second.token == order.first;
    if (there == order.second) {
      return Violate(absl::StrCat(owner.name(), ": order ", id, " of write ", order.first,
                                  order.second ? " is back" : " is lost"));
    }
  }
}

void Oracle::JudgeCopy(const Mysqld& owner, const Mysqld& copy) {
  if (!excused(owner.shard()) && owner.data().rows != copy.data().rows) {
    Violate(absl::StrCat(copy.name(), " has not all that ", owner.name(), " has"));
  }
}

}  // namespace sluice::simulate
