// What must hold of every literal and expression that we write into a statement.

#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sluice::fuzz {

// Aborts unless our own tokenizer reads the text as one expression that neither ends early nor
// swallows what stands beside it in a list of values.
void CheckExpression(absl::string_view sql);

// The bytes that a server reads in a string literal: '…', _charset'…' or _charset 0x….
std::string StringValue(absl::string_view literal);

// Aborts unless the text is a number as SQL knows it.
void CheckNumber(absl::string_view sql);

}  // namespace sluice::fuzz
