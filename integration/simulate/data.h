// Data: what is durable in a mysqld and replicates, and the transactions that change it.

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/gate/gate_machine.h"
#include "integration/simulate/gtids.h"
#include "tests/agent/gate/schema_model.h"

namespace sluice::simulate {

// The moving tables: accounts, whose rows are overwritten again and again, and orders, whose keys
// mysqld numbers.
inline constexpr uint8_t kAccounts = 0;
inline constexpr uint8_t kOrders = 1;
inline constexpr uint8_t kTables = 2;
inline constexpr std::array<const char*, kTables> kTableNames = {"accounts", "orders"};
inline constexpr uint32_t kKeys = 6;  // of accounts
inline constexpr const char* kDatabase = "d";

struct Row {
  uint64_t version = 0;  // 0: there is none
  uint64_t token = 0;    // of the write that it comes from
  friend bool operator==(const Row&, const Row&) = default;
};

struct RowChange {
  uint8_t table = kAccounts;
  uint32_t key = 0;
  Row row;
  Row before;
  bool by_closed_name = false;
};

struct StreamRow {
  uint64_t id = 0;
  std::string workflow;
  uint8_t from_side = 0;
  bool running = false;
  bool frozen = false;
  bool awaits_position = false;
  std::string error;
  Gtids position;
  uint64_t version = 1;
  uint64_t epoch = 0;
  std::vector<std::string> markers;  // the last few that were applied
  friend bool operator==(const StreamRow&, const StreamRow&) = default;
};

struct Data {
  gate::SchemaModel schema{{}};
  std::array<std::map<uint32_t, Row>, kTables> rows;
  uint32_t next_order = 1;  // AUTO_INCREMENT
  std::optional<gate::GateRow> gate;
  std::set<std::string> markers;
  std::set<std::string> journal;
  std::map<uint64_t, StreamRow> streams;
  Gtids executed;
};

enum class Author : uint8_t { kClient, kStream, kAgent };

struct Tx {
  Gtid gtid;
  Author author = Author::kAgent;
  std::vector<RowChange> rows;
  std::string marker;
  std::function<void(Data&)> rest;  // what else it changes
  uint64_t token = 0;               // of a client
  uint32_t term = 0;                // how many cutovers of writes were committed before it
};
using TxPointer = std::shared_ptr<const Tx>;

inline void Apply(const Tx& tx, Data& data) {
  for (const RowChange& change : tx.rows) {
    std::map<uint32_t, Row>& rows = data.rows.at(change.table);
    if (change.row.version == 0) {
      rows.erase(change.key);
    } else {
      rows[change.key] = change.row;
      if (change.table == kOrders) {
        data.next_order = std::max(data.next_order, change.key + 1);
      }
    }
  }
  if (!tx.marker.empty()) {
    data.markers.insert(tx.marker);
  }
  if (tx.rest) {
    tx.rest(data);
  }
  data.executed.Add(tx.gtid);
}

inline gate::Object ObjectUnder(const Data& data, uint8_t table, bool closed) {
  const gate::TableNames names = data.schema.Names(kTableNames.at(table));
  return closed ? names.closed : names.name;
}

}  // namespace sluice::simulate
