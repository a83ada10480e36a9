// ChangeSet: row changes of consecutive transactions merged by key, the last image of each. Pure.

#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/target/table_plan.h"
#include "common/binlog/event.h"
#include "common/binlog/row_image.h"

namespace sluice::target {

// What is to become of the row of one key.
struct FinalChange {
  bool present = false;  // the row stands there with this image; else no row has this key
  uint32_t next = 0;     // of ChangeSet's index
  std::span<binlog::ImageCell> image;  // whole, or (not present) the last one of the row that went
  const binlog::TableMapEvent* map = nullptr;  // types of the image's cells
};

struct TableChanges {
  const TablePlan* plan = nullptr;
  std::vector<FinalChange> rows;  // one per key, as bytes, in the order in which keys were touched
};

// A change of a table without a key, as it came.
struct KeylessChange {
  const TablePlan* plan = nullptr;
  const binlog::TableMapEvent* map = nullptr;
  std::span<const binlog::ImageCell> before;  // empty of an insert
  std::span<const binlog::ImageCell> after;   // empty of a delete
};

// Two keys are the same row here only if their bytes are the same. The server may think more keys
// equal ('A' and 'a'), which does no harm when the changes of a table are written like this:
// first delete every key that is not present, then REPLACE every present row, in any order.
//
// Why: let S be the rows before the merged changes, S' after them. Images in a binlog carry the
// stored bytes, so a key that the server thinks equal to a new one ('A' to 'a') has left S by a
// change that names its very bytes; at most one of a class of equal keys is present at the end, and
// all others of the class that ever stood are deleted before it is written. When a REPLACE of row r
// removes a row q by some unique key, then q cannot be in S' as it stands, since r is; so q's own
// key was touched. Is q absent in S', it had to go; is it present with another image, that image is
// still to be written: had it been written already, r and q would both be in S' with the same
// unique value. So the table ends as S' after any prefix of a sound history, without regard to the
// order of the REPLACEs.
//
// While a table is being copied its rows may be older or newer than S; the argument why replay ends
// in the right state nevertheless is in docs/design.md (streams) and needs only that each change is
// written by key, which merging keeps.
//
// Changes of tables without a key are not merged: each is written once, in order.
//
// Owned by one thread at a time. Images point into event bytes that the owner keeps.
class ChangeSet {
 public:
  // The images are whole, their cells are copied. `map` describes both. A missing one is nullptr.
  void Add(const TablePlan& plan, const std::shared_ptr<const binlog::TableMapEvent>& map,
           const binlog::RowImage* before, const binlog::RowImage* after);

  [[nodiscard]] const std::vector<TableChanges>& tables() const { return tables_; }
  [[nodiscard]] const std::vector<KeylessChange>& keyless() const { return keyless_; }
  [[nodiscard]] bool empty() const { return changes_ == 0; }
  [[nodiscard]] size_t changes() const { return changes_; }  // as added, not as merged
  [[nodiscard]] size_t bytes() const { return bytes_; }      // of memory for cells

 private:
  struct TableIndex {
    size_t table = 0;                                 // in tables_
    absl::flat_hash_map<uint64_t, uint32_t> rows;     // hash of a key to the first row that has it
    const binlog::TableMapEvent* last_map = nullptr;  // is in maps_
  };
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  void Put(TableIndex& index, bool present, const binlog::RowImage& image,
           const binlog::TableMapEvent* map);
  FinalChange& Find(TableIndex& index, const binlog::RowImage& image);
  std::span<binlog::ImageCell> NewCells(size_t count);

  void AddKeyless(const TablePlan& plan, const binlog::TableMapEvent* map,
                  const binlog::RowImage* before, const binlog::RowImage* after);
  std::span<const binlog::ImageCell> Keep(const binlog::RowImage* image);

  std::vector<TableChanges> tables_;
  std::vector<KeylessChange> keyless_;
  const binlog::TableMapEvent* keyless_map_ = nullptr;  // is in maps_
  absl::flat_hash_map<const TablePlan*, TableIndex> index_;
  std::vector<std::shared_ptr<const binlog::TableMapEvent>> maps_;  // keeps them alive
  std::vector<std::unique_ptr<binlog::ImageCell[]>> blocks_;        // of cells
  std::span<binlog::ImageCell> free_;                               // of the last block
  size_t changes_ = 0;
  size_t bytes_ = 0;
};

}  // namespace sluice::target
