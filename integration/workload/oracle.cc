// Oracle: the set of states that each row may be in.

#include "integration/workload/oracle.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice::workload {
namespace {

constexpr size_t kFindingsMax = 10;

}  // namespace

void Oracle::BeginPut(uint64_t key, const std::string& value) {
  pending_kind_ = Kind::kPut;
  pending_key_ = key;
  pending_value_ = value;
}

void Oracle::BeginDelete(uint64_t key) {
  BeginPut(key, kAbsent);
}

void Oracle::BeginIncrement(uint64_t key) {
  pending_kind_ = Kind::kIncrement;
  pending_key_ = key;
}

void Oracle::Acknowledged() {
  ++acknowledged_;
  RowState& row = rows_[pending_key_];
  if (pending_kind_ == Kind::kIncrement) {
    row.counter = true;
    ++row.increments_acknowledged;
  } else {
    row.may_be = {pending_value_};
  }
  pending_kind_ = Kind::kNone;
}

void Oracle::Unknown() {
  ++unknown_;
  RowState& row = rows_[pending_key_];
  if (pending_kind_ == Kind::kIncrement) {
    row.counter = true;
    ++row.increments_unknown;
  } else {
    if (row.may_be.empty()) {
      row.may_be.emplace_back(kAbsent);
    }
    row.may_be.push_back(pending_value_);
  }
  pending_kind_ = Kind::kNone;
}

void Oracle::Refused() {
  pending_kind_ = Kind::kNone;
}

bool Oracle::Exists(uint64_t key) const {
  const auto row = rows_.find(key);
  return row != rows_.end() && row->second.may_be.size() == 1 &&
         row->second.may_be.front() != kAbsent;
}

bool Oracle::MayRead(uint64_t key, const std::string* value) const {
  const auto row = rows_.find(key);
  if (row == rows_.end() || row->second.counter) {
    return true;
  }
  const std::string seen = value == nullptr ? std::string(kAbsent) : *value;
  return std::find(row->second.may_be.begin(), row->second.may_be.end(), seen) !=
         row->second.may_be.end();
}

Oracle::Verdict Oracle::Judge(const std::map<uint64_t, std::string>& found) const {
  Verdict verdict;
  const auto note = [&](uint64_t key, absl::string_view expected, absl::string_view seen) {
    if (verdict.findings.size() < kFindingsMax) {
      verdict.findings.push_back(
          absl::StrCat("row ", key, ": expected ", expected, ", found ", seen));
    }
  };
  for (const auto& [key, row] : rows_) {
    const auto seen = found.find(key);
    const std::string value = seen == found.end() ? std::string(kAbsent) : seen->second;
    if (row.counter) {
      uint64_t count = 0;
      if (!absl::SimpleAtoi(value, &count) || count < row.increments_acknowledged) {
        verdict.lost += row.increments_acknowledged - std::min(count, row.increments_acknowledged);
        note(key, absl::StrCat("at least ", row.increments_acknowledged), value);
      } else if (count > row.increments_acknowledged + row.increments_unknown) {
        verdict.duplicated += count - row.increments_acknowledged - row.increments_unknown;
        note(key, absl::StrCat("at most ", row.increments_acknowledged + row.increments_unknown),
             value);
      }
    } else if (!row.may_be.empty() &&
               std::find(row.may_be.begin(), row.may_be.end(), value) == row.may_be.end()) {
      (row.may_be.back() == kAbsent ? verdict.duplicated : verdict.lost) += 1;
      note(key, row.may_be.back(), value);
    }
  }
  for (const auto& [key, value] : found) {
    if (rows_.find(key) == rows_.end()) {
      ++verdict.duplicated;
      note(key, "no row", value);
    }
  }
  return verdict;
}

}  // namespace sluice::workload
