// ApplyJsonDiffs: a JSON document out of the one before it and the diffs of a partial update. Pure.

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::binlog {

// `document` is MySQL's binary JSON, `diffs` the value of a JSON column in a PARTIAL_UPDATE_ROWS
// event: operation, path and value, one after the other (sql/json_diff.h). Returns binary JSON in
// which every value that no diff touches has its inner type. INVALID_ARGUMENT for malformed bytes
// and for a diff that does not apply to the document.
absl::StatusOr<std::string> ApplyJsonDiffs(absl::string_view document, absl::string_view diffs);

}  // namespace sluice::binlog
