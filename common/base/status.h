// Helpers over absl::Status: context, subjects, wire codes.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// The same status with `context` in front of its message: "context: message". OK stays OK. Payloads
// are kept.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// The same status with the thing that it concerns (a table, workflow, tablet) as a payload.
absl::Status WithSubject(absl::Status status, absl::string_view subject);

// The subject, or an empty string.
std::string SubjectOf(const absl::Status& status);

// The MySQL error number attached by common/mysql, or 0.
unsigned MysqlErrnoOf(const absl::Status& status);
absl::Status WithMysqlErrno(absl::Status status, unsigned mysql_errno);

}  // namespace sluice
