// Gtids: a set of transactions; of each server's own, all up to a number.

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace sluice::simulate {

struct Gtid {
  uint32_t server = 0;
  uint64_t number = 0;  // from 1
  friend bool operator==(const Gtid&, const Gtid&) = default;
};

// A value. A server commits in the order of its binlog and replicas apply in that order, so there
// are no gaps.
class Gtids {
 public:
  static Gtids Parse(absl::string_view text) {
    Gtids set;
    for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(part, ':');
      Gtid last;
      if (absl::SimpleAtoi(ends.first, &last.server) &&
          absl::SimpleAtoi(ends.second, &last.number)) {
        set.Add(last);
      }
    }
    return set;
  }
  [[nodiscard]] std::string Text() const {
    std::string text;
    for (const Gtid& last : last_) {
      absl::StrAppend(&text, text.empty() ? "" : ",", last.server, ":", last.number);
    }
    return text;
  }

  [[nodiscard]] uint64_t Of(uint32_t server) const {
    const auto found = Find(server);
    return found == last_.end() || found->server != server ? 0 : found->number;
  }
  [[nodiscard]] bool Has(const Gtid& gtid) const { return Of(gtid.server) >= gtid.number; }
  [[nodiscard]] bool Contains(const Gtids& other) const {
    return std::all_of(other.last_.begin(), other.last_.end(),
                       [this](const Gtid& last) { return Has(last); });
  }
  void Add(const Gtid& gtid) {
    const auto found = last_.begin() + (Find(gtid.server) - last_.begin());
    if (found == last_.end() || found->server != gtid.server) {
      last_.insert(found, gtid);
    } else {
      found->number = std::max(found->number, gtid.number);
    }
  }
  [[nodiscard]] const std::vector<Gtid>& last() const { return last_; }
  friend bool operator==(const Gtids&, const Gtids&) = default;

 private:
  [[nodiscard]] std::vector<Gtid>::const_iterator Find(uint32_t server) const {
    return std::lower_bound(last_.begin(), last_.end(), server,
                            [](const Gtid& each, uint32_t number) { return each.server < number; });
  }

  std::vector<Gtid> last_;  // by server
};

}  // namespace sluice::simulate
