// BinlogFilter: what of a server's binlog a stream must see, cut out of its events. Pure.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/source/event_unwrapper.h"
#include "agent/source/wanted_tables.h"
#include "common/binlog/event.h"
#include "common/gtid/gtid_set.h"

namespace sluice::source {

// Hands on, without checksum and out of compressed payloads: the GTID event of every transaction;
// of those that touch a wanted table or _sluice.marker also BEGIN, TABLE_MAP and rows of these
// tables; every QUERY that is neither BEGIN nor SAVEPOINT, since it may be DDL or a statement of a
// moved table; and the event that ends the transaction (XID, QUERY, XA_PREPARE).
//
// What it can't tell to be harmless is an error, never left out. Owned by one thread.
class BinlogFilter {
 public:
  BinlogFilter(std::string database, absl::flat_hash_set<std::string> tables);
  explicit BinlogFilter(WantedTables wanted);

  // Appends what is to be handed on of one event as mysqld sent it. FAILED_PRECONDITION, naming the
  // cause and remedy, for a binlog that cannot be followed (anonymous transactions, statements of
  // LOAD DATA); DATA_LOSS for an incident event; UNIMPLEMENTED, with its name,
  // for an event that may hold data and is not known; INVALID_ARGUMENT for malformed bytes.
  //
  // One event may be a whole transaction of any size, compressed, or hold rows of any size: `drain`
  // is then called whenever a good deal of it stands in `out`, to take it away, in the middle of an
  // event too; its failure is returned.
  using Drain = std::function<absl::Status(std::string& out)>;
  absl::Status Feed(absl::string_view event, std::string& out, const Drain& drain = nullptr);

  // The same for an event that an EventUnwrapper has handed on.
  absl::Status FeedBare(const binlog::EventHeader& header, absl::string_view event,
                        std::string& out);

  // The GTID of the transaction whose end the last call saw, once.
  std::optional<gtid::Gtid> TakeCompleted();
  // A transaction has begun and not ended.
  [[nodiscard]] bool in_transaction() const { return current_.has_value(); }

 private:
  absl::Status FeedBody(const binlog::EventHeader& header, absl::string_view event,
                        std::string& out);
  absl::Status FeedQuery(absl::string_view event, std::string& out);
  absl::Status FeedTableMap(absl::string_view event, std::string& out);
  absl::Status FeedRows(absl::string_view event, std::string& out);
  absl::Status EmitRows(absl::string_view event, std::string& out);
  void BeginGtid(gtid::Gtid gtid);
  // `event` may be the first piece of one that is `length` bytes long.
  void EmitInTransaction(absl::string_view event, size_t length, std::string& out);
  void EndTransaction();

  const WantedTables wanted_;
  EventUnwrapper unwrapper_;
  const Drain* drain_ = nullptr;  // of the Feed that runs; none: nullptr
  std::optional<gtid::Gtid> current_;
  std::optional<gtid::Gtid> completed_;
  bool begun_ = false;         // BEGIN or XA START was seen
  std::string pending_begin_;  // that event, until something relevant follows it
  absl::flat_hash_set<uint64_t> wanted_ids_;
};

}  // namespace sluice::source
