// Literals of strings, bytes and floating-point numbers for a session with SET NAMES binary.

#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sluice::binlog {

// 'text' with escapes, appended without a temporary copy.
void AppendQuoted(absl::string_view bytes, std::string& sql);

// Text whose bytes are in a character set: plain where they are ASCII, else with the introducer.
void AppendCharsetText(absl::string_view bytes, absl::string_view charset, std::string& sql);

// Bytes: plain where they are ASCII, else _binary'…'.
void AppendBinary(absl::string_view bytes, std::string& sql);

// A finite number as a DOUBLE literal, also a number in JSON, that is read back to the last bit;
// "-0.0" keeps its sign.
void AppendDouble(double value, std::string& sql);

}  // namespace sluice::binlog
