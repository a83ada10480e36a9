// TRANSACTION_PAYLOAD: a compressed transaction and the events inside.
//
// Input: what is to be made of the rest (1 byte), and the body of a payload event, or the bytes of
// events to pack.

#include <zstd.h>

#include "absl/strings/escaping.h"
#include "common/base/check.h"
#include "common/binlog/event.h"
#include "common/binlog/payload_reader.h"
#include "tests/agent/source/binlog_events.h"
#include "tests/common/binlog/captured_events.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using sluice::testing::AppendUint;
using sluice::testing::MakeQuery;
using sluice::testing::MakeRows;
using sluice::testing::MakeTableMap;
using sluice::testing::MakeXid;

constexpr size_t kEventBytesMax = size_t{256} << 10U;
constexpr size_t kTotalBytesMax = size_t{4} << 20U;

struct Unpacked {
  absl::Status status;
  std::vector<std::string> events;
};

Unpacked Unpack(absl::string_view event) {
  Unpacked unpacked;
  auto reader = binlog::PayloadReader::Open(event);
  if (!reader.ok()) {
    unpacked.status = reader.status();
    return unpacked;
  }
  size_t total = 0;
  while (total < kTotalBytesMax) {
    const auto inner = reader->Next(kEventBytesMax);
    if (!inner.ok() || inner->empty()) {
      unpacked.status = inner.status();
      return unpacked;
    }
    SLUICE_CHECK(inner->size() >= binlog::kHeaderBytes && inner->size() <= kEventBytesMax);
    SLUICE_CHECK_OK(binlog::DecodeHeader(*inner).status());
    unpacked.events.emplace_back(*inner);
    total += inner->size();
  }
  return unpacked;
}

void AppendPacked(uint64_t value, std::string& out) {
  out.push_back(static_cast<char>(0xfd));
  AppendUint(value, 3, out);
}

std::string Payload(uint64_t compression, absl::string_view packed) {
  std::string body;
  for (const auto& [field, value] :
       {std::pair<char, uint64_t>{1, packed.size()}, std::pair<char, uint64_t>{2, compression}}) {
    body.push_back(field);
    body.push_back(compression == 255 || field == 1 ? 4 : 1);
    if (body.back() == 4) {
      AppendPacked(value, body);
    } else {
      body.push_back(static_cast<char>(value));
    }
  }
  body.push_back('\0');
  body.append(packed.data(), packed.size());
  return sluice::testing::MakeEvent(binlog::EventType::kTransactionPayload, body);
}

std::string Compress(absl::string_view plain) {
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  const size_t size = ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3);
  SLUICE_CHECK(ZSTD_isError(size) == 0);
  packed.resize(size);
  return packed;
}

// Packed or not, and in one frame or in two, the events are the same.
void CheckForms(absl::string_view events) {
  const Exact plain(Payload(255, events));
  const Unpacked expected = Unpack(plain.view());
  const Exact one(Payload(0, Compress(events)));
  const size_t half = events.size() / 2;
  const Exact two(Payload(0, Compress(events.substr(0, half)) + Compress(events.substr(half))));
  for (const absl::string_view event : {one.view(), two.view()}) {
    const Unpacked unpacked = Unpack(event);
    SLUICE_CHECK(unpacked.status.code() == expected.status.code());
    SLUICE_CHECK(unpacked.events == expected.events);
  }
  size_t bytes = 0;
  for (const std::string& event : expected.events) {
    SLUICE_CHECK(events.substr(bytes, event.size()) == event);
    bytes += event.size();
  }
  SLUICE_CHECK(!expected.status.ok() || bytes == events.size());
}

void Run(absl::string_view input) {
  if (input.empty()) {
    return;
  }
  const bool pack = (static_cast<uint8_t>(input[0]) & 1U) != 0;
  const absl::string_view rest = input.substr(1);
  if (pack) {
    CheckForms(rest);
    return;
  }
  const Exact event(sluice::testing::MakeEvent(binlog::EventType::kTransactionPayload, rest));
  (void)Unpack(event.view());
}

std::vector<std::string> Seeds() {
  const std::string captured = absl::HexStringToBytes(binlog::kPayloadHex);
  const std::string events = MakeQuery("shop", "BEGIN") + MakeTableMap(9, "shop", "customer", 2) +
                             MakeRows(binlog::EventType::kWriteRows, 9, 2, {{1, 2}, {3, 4}}) +
                             MakeXid();
  const auto body = [](const std::string& event) {
    return std::string(1, '\0') + event.substr(binlog::kHeaderBytes);
  };
  return {
      body(captured.substr(0, captured.size() - 4)),
      body(Payload(255, events)),
      body(Payload(0, Compress(events))),
      body(Payload(0, Compress(std::string(100'000, 'a')))),
      "\x01" + events,
      "\x01" + MakeXid() + "cut",
  };
}

}  // namespace

const Target kTransactionPayload = {
    .run = Run, .seeds = Seeds, .memory_bytes = size_t{160} << 20U};  // a window of zstd

}  // namespace sluice::fuzz
