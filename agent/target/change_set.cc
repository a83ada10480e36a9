// ChangeSet: the last image of each key.

#include "agent/target/change_set.h"

#include <utility>

namespace sluice::target {
namespace {

size_t ImageBytes(const binlog::RowImage& image) {
  size_t bytes = 0;
  for (const binlog::ImageCell& cell : image) {
    bytes += cell.bytes.size() + 1;
  }
  return bytes;
}

}  // namespace

absl::string_view ChangeSet::KeyBytes(const TablePlan& plan, const binlog::RowImage& image) {
  key_.clear();
  for (const size_t ordinal : plan.key) {
    const absl::string_view bytes = image[ordinal].bytes;
    auto size = static_cast<uint32_t>(bytes.size());
    for (int i = 0; i < 4; ++i) {
      key_.push_back(static_cast<char>(size & 0xFFU));
      size >>= 8U;
    }
    key_.append(bytes.data(), bytes.size());
  }
  return key_;
}

void ChangeSet::Put(TableIndex& index, bool present, binlog::RowImage image,
                    const binlog::TableMapEvent* map) {
  TableChanges& table = tables_[index.table];
  const absl::string_view key = KeyBytes(*table.plan, image);
  const auto [place, is_new] = index.rows.try_emplace(key, table.rows.size());
  if (is_new) {
    table.rows.emplace_back();
  }
  FinalChange& row = table.rows[place->second];
  row.present = present;
  row.image = std::move(image);
  row.map = map;
}

void ChangeSet::Add(const TablePlan& plan, const std::shared_ptr<const binlog::TableMapEvent>& map,
                    binlog::RowChange change) {
  const auto [place, is_new] = index_.try_emplace(&plan);
  if (is_new) {
    place->second.table = tables_.size();
    tables_.push_back(TableChanges{.plan = &plan, .rows = {}});
  }
  if (maps_.empty() || maps_.back() != map) {
    maps_.push_back(map);
  }
  ++changes_;
  // The old key first: where both keys are the same, the new image stays.
  if (change.before.has_value()) {
    bytes_ += ImageBytes(*change.before);
    Put(place->second, false, *std::move(change.before), map.get());
  }
  if (change.after.has_value()) {
    bytes_ += ImageBytes(*change.after);
    Put(place->second, true, *std::move(change.after), map.get());
  }
}

void ChangeSet::Clear() {
  tables_.clear();
  index_.clear();
  maps_.clear();
  changes_ = 0;
  bytes_ = 0;
}

}  // namespace sluice::target
