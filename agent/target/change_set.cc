// ChangeSet: the last image of each key.

#include "agent/target/change_set.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"

namespace sluice::target {
namespace {

constexpr size_t kFirstBlockCells = 256;
constexpr size_t kBlockCellsMax = 16384;

uint64_t HashOfKey(const TablePlan& plan, std::span<const binlog::ImageCell> image) {
  uint64_t hash = 0;
  for (const size_t ordinal : plan.key) {
    hash = absl::HashOf(hash, image[ordinal].bytes);
  }
  return hash;
}

bool SameKey(const TablePlan& plan, std::span<const binlog::ImageCell> a,
             std::span<const binlog::ImageCell> b) {
  return std::all_of(plan.key.begin(), plan.key.end(),
                     [&](size_t ordinal) { return a[ordinal].bytes == b[ordinal].bytes; });
}

}  // namespace

std::span<binlog::ImageCell> ChangeSet::NewCells(size_t count) {
  if (free_.size() < count) {
    const size_t last = bytes_ / sizeof(binlog::ImageCell);
    const size_t size = std::max(count, std::clamp(last, kFirstBlockCells, kBlockCellsMax));
    blocks_.push_back(std::make_unique<binlog::ImageCell[]>(size));
    free_ = {blocks_.back().get(), size};
    bytes_ += size * sizeof(binlog::ImageCell);
  }
  const std::span<binlog::ImageCell> cells = free_.first(count);
  free_ = free_.subspan(count);
  return cells;
}

// The row of the image's key; a new one is not present and without an image.
FinalChange& ChangeSet::Find(TableIndex& index, const binlog::RowImage& image) {
  TableChanges& table = tables_[index.table];
  const auto added = static_cast<uint32_t>(table.rows.size());
  const auto [place, is_new] = index.rows.try_emplace(HashOfKey(*table.plan, image), added);
  if (!is_new) {
    uint32_t at = place->second;
    while (true) {
      FinalChange& row = table.rows[at];
      if (SameKey(*table.plan, row.image, image)) {
        return row;
      }
      if (row.next == kNone) {
        row.next = added;
        break;
      }
      at = row.next;
    }
  }
  FinalChange& row = table.rows.emplace_back();
  row.next = kNone;
  return row;
}

void ChangeSet::Put(TableIndex& index, bool present, const binlog::RowImage& image,
                    const binlog::TableMapEvent* map) {
  FinalChange& row = Find(index, image);
  if (row.image.size() != image.size()) {
    row.image = NewCells(image.size());
  }
  std::copy(image.begin(), image.end(), row.image.begin());
  row.present = present;
  row.map = map;
}

std::span<const binlog::ImageCell> ChangeSet::Keep(const binlog::RowImage* image) {
  if (image == nullptr) {
    return {};
  }
  const std::span<binlog::ImageCell> cells = NewCells(image->size());
  std::copy(image->begin(), image->end(), cells.begin());
  return cells;
}

void ChangeSet::AddKeyless(const TablePlan& plan, const binlog::TableMapEvent* map,
                           const binlog::RowImage* before, const binlog::RowImage* after) {
  ++changes_;
  keyless_.push_back({.plan = &plan, .map = map, .before = Keep(before), .after = Keep(after)});
}

void ChangeSet::Add(const TablePlan& plan, const std::shared_ptr<const binlog::TableMapEvent>& map,
                    const binlog::RowImage* before, const binlog::RowImage* after) {
  if (!plan.HasKey()) {
    if (keyless_map_ != map.get()) {
      keyless_map_ = map.get();
      maps_.push_back(map);
    }
    AddKeyless(plan, map.get(), before, after);
    return;
  }
  const auto [place, is_new] = index_.try_emplace(&plan);
  TableIndex& index = place->second;
  if (is_new) {
    index.table = tables_.size();
    tables_.push_back(TableChanges{.plan = &plan, .rows = {}});
  }
  if (index.last_map != map.get()) {
    index.last_map = map.get();
    maps_.push_back(map);
  }
  ++changes_;
  // The old key first: where both keys are the same, the new image stays.
  if (before != nullptr && (after == nullptr || !SameKey(plan, *before, *after))) {
    Put(index, false, *before, map.get());
  }
  if (after != nullptr) {
    Put(index, true, *after, map.get());
  }
}

}  // namespace sluice::target
