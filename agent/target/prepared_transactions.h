// PreparedTransactions: the rows of XA transactions that are prepared on the source and not decided
// yet. Pure.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/gtid/gtid_set.h"

namespace sluice::target {

// XA PREPARE and XA COMMIT are two transactions in the binlog, each with a GTID of its own, any
// number of others between them. The first one holds the rows, the second one only the name (xid).
//
// A prepared part is kept here, in memory, and its GTID is not among those that are applied until
// the decision is: the position has a gap there, and whoever begins at it is sent the part anew. So
// no crash loses it and none applies it early. Owned by one thread.
class PreparedTransactions {
 public:
  struct Prepared {
    gtid::Gtid gtid;
    std::shared_ptr<const std::string> events;  // TABLE_MAP and rows events, whole
  };

  explicit PreparedTransactions(size_t bytes_max) : bytes_max_(bytes_max) {}

  // FAILED_PRECONDITION, with the remedy, when all of them together are too large to be kept.
  absl::Status Keep(const std::string& xid, const Prepared& prepared);
  [[nodiscard]] absl::Status TooLarge(absl::string_view xid, size_t bytes) const;
  // The one of this name, which is not kept any longer; nullopt for one without rows of ours.
  std::optional<Prepared> Take(absl::string_view xid);

  [[nodiscard]] size_t size() const { return prepared_.size(); }

 private:
  const size_t bytes_max_;
  size_t bytes_ = 0;
  absl::flat_hash_map<std::string, Prepared> prepared_;  // by xid, as the binlog spells it
};

}  // namespace sluice::target
