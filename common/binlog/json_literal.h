// JSON documents as SQL expressions: from the binary form, and from the text protocol.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/binlog/json_shape.h"

namespace sluice::binlog {

// Appends an expression whose value is the document, inner types included: the document's text cast
// to JSON where that gives the same types back, else calls of JSON_OBJECT and JSON_ARRAY around
// typed values. For a session with SET NAMES binary and time zone +00:00. INVALID_ARGUMENT on
// malformed bytes, FAILED_PRECONDITION for a value of a MySQL type that no expression produces.
absl::Status AppendJsonLiteral(absl::string_view document, std::string& sql);

// What the copy selects of a JSON column (a quoted name): the document's text, and where text alone
// would lose inner types, the types of its scalars in front. A shape that many documents have makes
// it cheaper for them (nullptr: none is known); it never changes what is selected.
std::string JsonSelectExpression(absl::string_view quoted_name, const JsonShape* shape = nullptr);
// Whether that cell is a document's text and nothing else.
bool IsPlainJsonText(absl::string_view selected);

// Appends an expression for what JsonSelectExpression selected; otherwise as AppendJsonLiteral.
absl::Status AppendJsonTextLiteral(absl::string_view selected, std::string& sql);

}  // namespace sluice::binlog
