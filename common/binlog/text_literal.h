// Literals of strings, bytes and floating-point numbers for a session with SET NAMES binary.

#pragma once

#include <cstdint>
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

enum class NumberForm : uint8_t {
  kNatural,   // 12
  kInteger,   // and -12
  kDecimal,   // and -12.50
  kFloating,  // and -1.25e1
};
// Whether the text is one number of the form, or of one above it in the list. Anything else would
// be another expression in a statement, such as "1-2".
bool IsNumber(absl::string_view text, NumberForm form);

}  // namespace sluice::binlog
