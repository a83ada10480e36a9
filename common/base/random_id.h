// Random identifiers: idempotency ids and W3C Trace Context.

#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sluice {

// 128 random bits from the kernel as 32 lower-case hex digits. Thread-safe.
std::string NewId();

// "00-<trace>-<span>-01" of a new trace.
std::string NewTraceparent();
// The same trace with a new span; a new trace where `parent` is not a traceparent.
std::string ChildTraceparent(absl::string_view parent);
bool IsTraceparent(absl::string_view text);

}  // namespace sluice
