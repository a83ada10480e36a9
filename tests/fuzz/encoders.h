// The way back: values as text into the bytes of the binlog, written independently of the decoders.

#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "absl/strings/string_view.h"
#include "common/binlog/event.h"

namespace sluice::fuzz {

// REQUIRES in each: the text is what the decoder of the type has printed.
std::string EncodeDecimal(absl::string_view text, unsigned precision, unsigned scale);
std::string EncodeDate(absl::string_view text);
std::string EncodeTime2(absl::string_view text, unsigned digits);
std::string EncodeDatetime2(absl::string_view text, unsigned digits);
std::string EncodeTimestamp2(absl::string_view text, unsigned digits);

// MySQL's binary JSON; `large` takes offsets of 4 bytes also where 2 would do.
std::string EncodeJson(const nlohmann::json& document, bool large);

// The body of a GTID_TAGGED event.
std::string EncodeTaggedGtid(const binlog::GtidEvent& event);

}  // namespace sluice::fuzz
