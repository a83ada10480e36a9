// GateRecord: what is durable of a gate, and the rules of its epochs.

#include "agent/gate/gate_record.h"

#include "absl/strings/str_cat.h"
#include "agent/gate/planner.h"
#include "common/base/status.h"

namespace sluice::gate {

absl::string_view GateKindName(GateKind kind) {
  return kind == GateKind::kServer ? "server" : "tables";
}

bool FencesServer(const GateRow& row) {
  return row.kind == GateKind::kServer && row.state != kForgotten &&
         row.state != StateName(State::kOpen);
}

bool KeepsServerClosed(const GateRow& row) {
  const bool opens = row.state == kChanging && row.wanted == StateName(State::kOpen);
  return FencesServer(row) && row.state != kLettingGo && !opens;
}

absl::Status CheckEpoch(const GateId& id, const std::optional<GateRow>& row, uint64_t epoch,
                        absl::string_view wanted) {
  if (!row.has_value() || epoch > row->epoch) {
    return absl::OkStatus();
  }
  if (epoch < row->epoch) {
    return WithSubject(absl::FailedPreconditionError(absl::StrCat(
                           "gate of ", id.workflow, " in ", id.database, ": request of epoch ",
                           epoch, " is older than epoch ", row->epoch, ", which it obeyed last")),
                       id.workflow);
  }
  if (row->wanted != wanted) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat(
            "gate of ", id.workflow, " in ", id.database, ": request of epoch ", epoch, " wants ",
            wanted, ", but a request of the same epoch ", row->epoch, " wanted ", row->wanted)),
        id.workflow);
  }
  return absl::OkStatus();
}

}  // namespace sluice::gate
