// GtidSet: the set operations and the text form. The binary form is in gtid_set_codec.cc.

#include "common/gtid/gtid_set.h"

#include <algorithm>
#include <cctype>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace sluice::gtid {
namespace {

using Interval = std::pair<uint64_t, uint64_t>;
using Intervals = std::vector<Interval>;

constexpr size_t kUuidChars = 36;
constexpr size_t kTagCharsMax = 32;

bool IsUuid(absl::string_view text) {
  if (text.size() != kUuidChars) {
    return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const auto c = static_cast<unsigned char>(text[i]);
    if (dash ? c != '-' : !absl::ascii_isxdigit(c)) {
      return false;
    }
  }
  return true;
}

bool ParseNumber(absl::string_view text, uint64_t* number) {
  text = absl::StripAsciiWhitespace(text);
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  return digits && absl::SimpleAtoi(text, number) && *number >= 1 && *number <= kNumberMax;
}

bool ParseInterval(absl::string_view text, Interval* interval) {
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos) {
    if (!ParseNumber(text, &interval->first)) {
      return false;
    }
    interval->second = interval->first;
    return true;
  }
  return ParseNumber(text.substr(0, dash), &interval->first) &&
         ParseNumber(text.substr(dash + 1), &interval->second) &&
         interval->first <= interval->second;
}

// Inserts [first, last], merging whatever it overlaps or touches.
void Insert(Intervals& intervals, Interval added) {
  // The first interval that ends no earlier than just before the new one.
  auto from = std::lower_bound(
      intervals.begin(), intervals.end(), added.first,
      [](const Interval& have, uint64_t first) { return have.second + 1 < first; });
  auto to = from;
  while (to != intervals.end() && to->first <= added.second + 1) {
    added.first = std::min(added.first, to->first);
    added.second = std::max(added.second, to->second);
    ++to;
  }
  if (from == to) {
    intervals.insert(from, added);
    return;
  }
  *from = added;
  intervals.erase(from + 1, to);
}

Intervals Difference(const Intervals& have, const Intervals& taken) {
  Intervals left;
  auto cut = taken.begin();
  for (auto [first, last] : have) {
    while (cut != taken.end() && cut->second < first) {
      ++cut;
    }
    for (auto c = cut; c != taken.end() && c->first <= last && first <= last; ++c) {
      if (c->first > first) {
        left.emplace_back(first, c->first - 1);
      }
      first = c->second + 1;
    }
    if (first <= last) {
      left.emplace_back(first, last);
    }
  }
  return left;
}

bool Covers(const Intervals& have, const Interval& wanted) {
  auto it = std::lower_bound(
      have.begin(), have.end(), wanted.first,
      [](const Interval& interval, uint64_t first) { return interval.second < first; });
  return it != have.end() && it->first <= wanted.first && wanted.second <= it->second;
}

void AppendIntervals(const Intervals& intervals, std::string& text) {
  for (const auto& [first, last] : intervals) {
    absl::StrAppend(&text, ":", first);
    if (last != first) {
      absl::StrAppend(&text, "-", last);
    }
  }
}

}  // namespace

bool IsTag(absl::string_view text) {
  if (text.empty() || text.size() > kTagCharsMax ||
      absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c));
  });
}

std::string Gtid::ToString() const {
  return tag.empty() ? absl::StrCat(uuid, ":", number) : absl::StrCat(uuid, ":", tag, ":", number);
}

absl::StatusOr<GtidSet> GtidSet::Parse(absl::string_view text) {
  const auto refuse = [text](absl::string_view why) {
    constexpr size_t kShown = 200;
    return absl::InvalidArgumentError(absl::StrCat("not a GTID set (", why, "): '",
                                                   text.substr(0, kShown),
                                                   text.size() > kShown ? "…'" : "'"));
  };
  absl::string_view body = absl::StripAsciiWhitespace(text);
  if (absl::StartsWith(body, "MySQL56/")) {
    body.remove_prefix(absl::string_view("MySQL56/").size());
  }
  GtidSet set;
  for (absl::string_view source : absl::StrSplit(body, ',')) {
    source = absl::StripAsciiWhitespace(source);
    if (source.empty()) {
      continue;
    }
    std::vector<absl::string_view> parts = absl::StrSplit(source, ':');
    const absl::string_view uuid = absl::StripAsciiWhitespace(parts[0]);
    if (!IsUuid(uuid)) {
      return refuse(absl::StrCat("'", uuid.substr(0, 64), "' is not a UUID"));
    }
    absl::string_view tag;
    size_t intervals_of_tag = 0;
    for (size_t i = 1; i < parts.size(); ++i) {
      const absl::string_view part = absl::StripAsciiWhitespace(parts[i]);
      Interval interval;
      if (ParseInterval(part, &interval)) {
        set.AddInterval(uuid, tag, interval.first, interval.second);
        ++intervals_of_tag;
      } else if (IsTag(part) && (i == 1 || intervals_of_tag > 0)) {
        tag = part;
        intervals_of_tag = 0;
      } else {
        return refuse(absl::StrCat("'", part.substr(0, 64), "' is neither a tag nor an interval"));
      }
    }
    if (intervals_of_tag == 0) {
      return refuse("no interval after the source");
    }
  }
  return set;
}

void GtidSet::Add(const Gtid& gtid) {
  AddInterval(gtid.uuid, gtid.tag, gtid.number, gtid.number);
}

void GtidSet::AddInterval(absl::string_view uuid, absl::string_view tag, uint64_t first,
                          uint64_t last) {
  if (first > last || first == 0 || last > kNumberMax) {
    return;
  }
  Insert(sources_[{absl::AsciiStrToLower(uuid), absl::AsciiStrToLower(tag)}], {first, last});
}

void GtidSet::Union(const GtidSet& other) {
  if (&other == this) {
    return;
  }
  for (const auto& [source, intervals] : other.sources_) {
    Intervals& mine = sources_[source];
    if (mine.empty()) {
      mine = intervals;
      continue;
    }
    for (const Interval& interval : intervals) {
      Insert(mine, interval);
    }
  }
}

void GtidSet::Subtract(const GtidSet& other) {
  if (&other == this) {
    sources_.clear();
    return;
  }
  for (const auto& [source, intervals] : other.sources_) {
    const auto mine = sources_.find(source);
    if (mine == sources_.end()) {
      continue;
    }
    mine->second = Difference(mine->second, intervals);
    if (mine->second.empty()) {
      sources_.erase(mine);
    }
  }
}

bool GtidSet::Contains(const Gtid& gtid) const {
  const auto mine = sources_.find({gtid.uuid, gtid.tag});
  return mine != sources_.end() && Covers(mine->second, {gtid.number, gtid.number});
}

bool GtidSet::Contains(const GtidSet& other) const {
  return std::all_of(other.sources_.begin(), other.sources_.end(), [this](const auto& theirs) {
    const auto mine = sources_.find(theirs.first);
    return mine != sources_.end() &&
           std::all_of(theirs.second.begin(), theirs.second.end(),
                       [&](const Interval& wanted) { return Covers(mine->second, wanted); });
  });
}

bool GtidSet::IsCloseBehind(const GtidSet& newer, uint64_t numbers) const {
  GtidSet lacking = newer;
  lacking.Subtract(*this);
  return std::all_of(lacking.sources_.begin(), lacking.sources_.end(), [&](const auto& theirs) {
    const uint64_t last = newer.sources_.at(theirs.first).back().second;
    return last - theirs.second.front().first < numbers;
  });
}

uint64_t GtidSet::Count() const {
  uint64_t count = 0;
  for (const auto& [source, intervals] : sources_) {
    for (const auto& [first, last] : intervals) {
      count += last - first + 1;
    }
  }
  return count;
}

bool GtidSet::HasTags() const {
  return std::any_of(sources_.begin(), sources_.end(),
                     [](const auto& source) { return !source.first.second.empty(); });
}

std::string GtidSet::ToString() const {
  std::string text;
  const std::string* previous_uuid = nullptr;
  for (const auto& [source, intervals] : sources_) {
    const auto& [uuid, tag] = source;
    if (previous_uuid == nullptr || *previous_uuid != uuid) {
      absl::StrAppend(&text, text.empty() ? "" : ",", uuid);
    }
    if (!tag.empty()) {
      absl::StrAppend(&text, ":", tag);
    }
    AppendIntervals(intervals, text);
    previous_uuid = &uuid;
  }
  return text;
}

}  // namespace sluice::gtid
