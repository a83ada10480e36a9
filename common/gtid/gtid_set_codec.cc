// GtidSet: the binary forms 0 and 1 of the replication protocol (libs/mysql/gtids/readme.md).

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/gtid/gtid_set.h"

namespace sluice::gtid {
namespace {

constexpr size_t kUuidBytes = 16;

void AppendLe(uint64_t value, size_t bytes, std::string& out) {
  for (size_t i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(value & 0xffU));
    value >>= 8U;
  }
}

void AppendUuid(absl::string_view uuid, std::string& out) {
  std::string digits;
  std::copy_if(uuid.begin(), uuid.end(), std::back_inserter(digits),
               [](char c) { return c != '-'; });
  digits.resize(2 * kUuidBytes, '0');
  out += absl::HexStringToBytes(digits);
}

absl::Status Malformed(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("malformed GTID set bytes: ", why));
}

}  // namespace

std::string UuidFromBytes(absl::string_view bytes) {
  std::string text = absl::BytesToHexString(bytes.substr(0, kUuidBytes));
  for (const size_t dash : {8U, 13U, 18U, 23U}) {
    if (dash < text.size()) {
      text.insert(dash, 1, '-');
    }
  }
  return text;
}

std::string GtidSet::Encode() const {
  const bool tagged = HasTags();
  std::string out;
  if (tagged) {
    out.push_back(1);
    AppendLe(sources_.size(), 6, out);
    out.push_back(1);
  } else {
    AppendLe(sources_.size(), 8, out);
  }
  for (const auto& [source, intervals] : sources_) {
    AppendUuid(source.first, out);
    if (tagged) {
      // A variable-length integer: a length below 64 is one byte, shifted by its stop bit.
      out.push_back(static_cast<char>(source.second.size() << 1U));
      out += source.second;
    }
    AppendLe(intervals.size(), 8, out);
    for (const auto& [first, last] : intervals) {
      AppendLe(first, 8, out);
      AppendLe(last + 1, 8, out);
    }
  }
  return out;
}

absl::StatusOr<GtidSet> GtidSet::Decode(absl::string_view bytes) {
  if (bytes.size() < 8) {
    return Malformed("shorter than its header");
  }
  const auto version = static_cast<uint8_t>(bytes[7]);
  if (version > 1 || (version == 1 && bytes[0] != 1)) {
    return Malformed(absl::StrCat("version ", version, " is unknown"));
  }
  ByteReader reader(bytes);
  uint64_t sources = 0;
  if (version == 1) {
    reader.Bytes(1);
    sources = reader.UintLe(6);
    reader.Bytes(1);
  } else {
    sources = reader.UintLe(8);
  }
  GtidSet set;
  for (uint64_t s = 0; s < sources && !reader.failed(); ++s) {
    const absl::string_view uuid_bytes = reader.Bytes(kUuidBytes);
    const absl::string_view tag = version == 1 ? reader.Bytes(reader.VarlenUint()) : "";
    const uint64_t intervals = reader.U64();
    if (reader.failed() || intervals > reader.remaining() / 16 || (!tag.empty() && !IsTag(tag))) {
      return Malformed("a source exceeds the bytes");
    }
    const std::string uuid = UuidFromBytes(uuid_bytes);
    for (uint64_t i = 0; i < intervals; ++i) {
      const uint64_t first = reader.U64();
      const uint64_t end = reader.U64();
      if (first == 0 || first >= end || end - 1 > kNumberMax) {
        return Malformed(absl::StrCat("interval ", first, " to ", end));
      }
      set.AddInterval(uuid, tag, first, end - 1);
    }
  }
  if (reader.failed()) {
    return Malformed("cut short");
  }
  if (!reader.done()) {
    return Malformed("bytes are left over");
  }
  return set;
}

}  // namespace sluice::gtid
