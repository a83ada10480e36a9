// Statuses with a subject and context.

#include "common/base/status.h"

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr absl::string_view kSubjectUrl = "sluice/subject";
constexpr absl::string_view kMysqlErrnoUrl = "sluice/mysql_errno";

}  // namespace

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) {
    return status;
  }
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&annotated](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

absl::Status WithSubject(absl::Status status, absl::string_view subject) {
  if (!status.ok()) {
    status.SetPayload(kSubjectUrl, absl::Cord(subject));
  }
  return status;
}

std::string SubjectOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kSubjectUrl);
  return payload.has_value() ? std::string(*payload) : std::string();
}

unsigned MysqlErrnoOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kMysqlErrnoUrl);
  unsigned number = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &number)) {
    return 0;
  }
  return number;
}

absl::Status WithMysqlErrno(absl::Status status, unsigned mysql_errno) {
  if (!status.ok()) {
    status.SetPayload(kMysqlErrnoUrl, absl::Cord(absl::StrCat(mysql_errno)));
  }
  return status;
}

}  // namespace sluice
