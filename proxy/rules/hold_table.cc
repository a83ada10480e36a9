// HoldTable: an index over the holds of one epoch.

#include "proxy/rules/hold_table.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {
namespace {

void AddSorted(HoldTable::Indices& indices, size_t index) {
  const auto place = std::lower_bound(indices.begin(), indices.end(), index);
  if (place == indices.end() || *place != index) {
    indices.insert(place, index);
  }
}

}  // namespace

void AddOnce(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    names.push_back(std::move(name));
  }
}

HoldTable::HoldTable(std::vector<Hold> holds) : holds_(std::move(holds)), tables_(holds_.size()) {
  for (size_t i = 0; i < holds_.size(); ++i) {
    const Hold& hold = holds_[i];
    if (hold.shards.empty()) {
      for (const std::string& table : hold.tables) {
        AddSorted(everywhere_[table], i);
      }
      continue;
    }
    for (const std::string& place : hold.shards) {
      AddSorted(at_place_[place], i);
    }
    tables_[i].insert(hold.tables.begin(), hold.tables.end());
  }
}

HoldTable::Indices HoldTable::Of(const Touched& touched) const {
  Indices found;
  if (holds_.empty()) {
    return found;
  }
  if (!everywhere_.empty()) {
    for (const std::string& table : touched.tables) {
      if (const auto holds = everywhere_.find(table); holds != everywhere_.end()) {
        for (const size_t index : holds->second) {
          AddSorted(found, index);
        }
      }
    }
  }
  if (at_place_.empty()) {
    return found;
  }
  for (const std::string& place : touched.places) {
    const auto holds = at_place_.find(place);
    if (holds == at_place_.end()) {
      continue;
    }
    for (const size_t index : holds->second) {
      const bool names_one =
          std::any_of(touched.tables.begin(), touched.tables.end(),
                      [&](const std::string& table) { return tables_[index].contains(table); });
      if (names_one) {
        AddSorted(found, index);
      }
    }
  }
  return found;
}

}  // namespace sluice::proxy
