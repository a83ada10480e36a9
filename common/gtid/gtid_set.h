// GtidSet: a set of MySQL global transaction identifiers, tags included.

#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::gtid {

// The greatest number of a transaction: the server's GNO_END is excluded.
inline constexpr uint64_t kNumberMax =
    static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) - 1;

// 1 to 32 letters, digits and underscores, the first one no digit.
bool IsTag(absl::string_view text);

// One transaction: source UUID, optional tag, number.
struct Gtid {
  std::string uuid;  // 36 characters, lower case
  std::string tag;   // lower case; empty when untagged
  uint64_t number = 0;

  [[nodiscard]] std::string ToString() const;
  friend bool operator==(const Gtid&, const Gtid&) = default;
};

// "34e78057-e52e-11f1-ad86-02fc00000001" of the 16 bytes of a UUID.
std::string UuidFromBytes(absl::string_view bytes);

// A set of GTIDs in the text form of the manual ("uuid[:tag]:1-5:7, uuid2:1").
//
// Invariant: intervals of one source are sorted, disjoint and not adjacent; no source is empty.
// Thread-compatible, copyable.
class GtidSet {
 public:
  GtidSet() = default;

  // INVALID_ARGUMENT names the text when it is not a GTID set. White space and newlines are
  // allowed between parts; the empty string is the empty set; a prefix "MySQL56/" is accepted.
  static absl::StatusOr<GtidSet> Parse(absl::string_view text);

  void Add(const Gtid& gtid);
  void AddInterval(absl::string_view uuid, absl::string_view tag, uint64_t first, uint64_t last);
  void Union(const GtidSet& other);
  void Subtract(const GtidSet& other);

  [[nodiscard]] bool Contains(const Gtid& gtid) const;
  [[nodiscard]] bool Contains(const GtidSet& other) const;
  // True when all that `newer` has and this set lacks is, of each source, among the last `numbers`
  // numbers that `newer` has of it: this set is a little older, and has no gap of long ago.
  [[nodiscard]] bool IsCloseBehind(const GtidSet& newer, uint64_t numbers) const;
  [[nodiscard]] bool empty() const { return sources_.empty(); }
  // The number of transactions in the set.
  [[nodiscard]] uint64_t Count() const;
  [[nodiscard]] bool HasTags() const;

  // Canonical text, sources in order of UUID then tag, no white space.
  [[nodiscard]] std::string ToString() const;

  // The encoding of COM_BINLOG_DUMP_GTID: version 0 without tags, version 1 with
  // (libs/mysql/gtids/readme.md in the MySQL source).
  [[nodiscard]] std::string Encode() const;
  // Decodes either version; INVALID_ARGUMENT on malformed bytes. Bounded by the input's size.
  static absl::StatusOr<GtidSet> Decode(absl::string_view bytes);

  friend bool operator==(const GtidSet&, const GtidSet&) = default;

 private:
  // (uuid, tag) -> [first, last], both included.
  std::map<std::pair<std::string, std::string>, std::vector<std::pair<uint64_t, uint64_t>>>
      sources_;
};

}  // namespace sluice::gtid
