// PreparedTransactions: parts by the name of their transaction.

#include "agent/target/prepared_transactions.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::target {

absl::Status PreparedTransactions::Keep(const std::string& xid, const Prepared& prepared) {
  Take(xid);
  bytes_ += prepared.events->size();
  if (bytes_ > bytes_max_) {
    return TooLarge(xid, bytes_);
  }
  prepared_.emplace(xid, prepared);
  return absl::OkStatus();
}

absl::Status PreparedTransactions::TooLarge(absl::string_view xid, size_t bytes) const {
  return absl::FailedPreconditionError(
      absl::StrCat("XA transactions that the source has not decided yet hold ", bytes,
                   " bytes of rows of moving tables, the last one is ", xid, "; the limit is ",
                   bytes_max_, " bytes; decide them, cancel the workflow and create it anew"));
}

std::optional<PreparedTransactions::Prepared> PreparedTransactions::Take(absl::string_view xid) {
  const auto found = prepared_.find(xid);
  if (found == prepared_.end()) {
    return std::nullopt;
  }
  Prepared prepared = std::move(found->second);
  bytes_ -= prepared.events->size();
  prepared_.erase(found);
  return prepared;
}

}  // namespace sluice::target
