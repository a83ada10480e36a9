// Property tests of merging: merged changes against a plain model of a table, and of copying while
// changes go on.

#include "agent/target/change_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace sluice::target {
namespace {

// A row of t(k VARCHAR PRIMARY KEY, u INT NULL UNIQUE, v INT) whose key ignores case and trailing
// spaces, as a collation may.
struct ModelRow {
  std::string k;
  std::optional<int> u;
  int v = 0;
  friend bool operator==(const ModelRow&, const ModelRow&) = default;
};

std::string Fold(const std::string& key) {
  return absl::AsciiStrToLower(absl::StripTrailingAsciiWhitespace(key));
}

// The server: keys and unique values are compared by its rules, never by bytes.
class ModelTable {
 public:
  void Delete(const std::string& key) { rows_.erase(Fold(key)); }

  void Replace(const ModelRow& row) {
    Delete(row.k);
    if (row.u.has_value()) {
      std::erase_if(rows_, [&](const auto& entry) { return entry.second.u == row.u; });
    }
    rows_[Fold(row.k)] = row;
  }

  [[nodiscard]] const std::map<std::string, ModelRow>& rows() const { return rows_; }
  [[nodiscard]] bool HasKey(const std::string& key) const { return rows_.contains(Fold(key)); }
  [[nodiscard]] bool HasUnique(int u) const {
    return std::any_of(rows_.begin(), rows_.end(),
                       [&](const auto& entry) { return entry.second.u == u; });
  }

 private:
  std::map<std::string, ModelRow> rows_;
};

struct ModelChange {
  std::optional<ModelRow> before;
  std::optional<ModelRow> after;
};

TablePlan Plan() {
  mysql::TableSchema schema;
  schema.database = "d";
  schema.name = "t";
  for (const char* name : {"k", "u", "v"}) {
    schema.columns.emplace_back().name = name;
  }
  schema.key_columns = {"k"};
  return *MakeTablePlan(std::move(schema), "t");
}

// Writes a history that a server could have written, row change by row change.
class HistoryMaker {
 public:
  explicit HistoryMaker(unsigned seed) : random_(seed) {}

  // Appends the changes of one statement to `changes`; all of them are applied to table().
  void Statement(std::vector<ModelChange>& changes) {
    switch (Below(8)) {
      case 0:
      case 1:
        Insert(changes);
        break;
      case 2:
        Delete(changes);
        break;
      case 3:
        Recase(changes);
        break;
      case 4:
        Rekey(changes);
        break;
      case 5:
        SwapUnique(changes);
        break;
      case 6:
        Reinsert(changes);
        break;
      default:
        Update(changes);
        break;
    }
  }

  [[nodiscard]] const ModelTable& table() const { return table_; }
  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  std::mt19937& random() { return random_; }

 private:
  void Apply(const ModelChange& change, std::vector<ModelChange>& changes) {
    if (change.before.has_value()) {
      table_.Delete(change.before->k);
    }
    if (change.after.has_value()) {
      ASSERT_FALSE(table_.HasKey(change.after->k));
      ASSERT_FALSE(change.after->u.has_value() && table_.HasUnique(*change.after->u));
      table_.Replace(*change.after);
    }
    changes.push_back(change);
  }

  std::optional<ModelRow> Any() {
    if (table_.rows().empty()) {
      return std::nullopt;
    }
    auto it = table_.rows().begin();
    std::advance(it, Below(static_cast<int>(table_.rows().size())));
    return it->second;
  }

  // A spelling of one of few keys: the same letters in other cases, with and without a space.
  std::string Spell(const std::string& folded) {
    std::string key = folded;
    for (char& c : key) {
      if (Below(2) == 0) {
        c = absl::ascii_toupper(static_cast<unsigned char>(c));
      }
    }
    return Below(3) == 0 ? key + " " : key;
  }

  void Insert(std::vector<ModelChange>& changes) {
    ModelRow row{Spell(absl::StrCat("k", std::string(1, static_cast<char>('a' + Below(12))))),
                 std::nullopt, Below(1000)};
    if (Below(2) == 0) {
      const int u = Below(8);
      if (!table_.HasUnique(u)) {
        row.u = u;
      }
    }
    if (!table_.HasKey(row.k)) {
      Apply({std::nullopt, row}, changes);
    }
  }

  void Delete(std::vector<ModelChange>& changes) {
    if (const auto row = Any()) {
      Apply({row, std::nullopt}, changes);
    }
  }

  void Update(std::vector<ModelChange>& changes) {
    if (const auto row = Any()) {
      ModelRow next = *row;
      next.v = Below(1000);
      const int u = Below(8);
      if (Below(2) == 0 && !table_.HasUnique(u)) {
        next.u = u;
      } else if (Below(4) == 0) {
        next.u.reset();
      }
      Apply({row, next}, changes);
    }
  }

  void Recase(std::vector<ModelChange>& changes) {
    if (const auto row = Any()) {
      ModelRow next = *row;
      next.k = Spell(Fold(row->k));
      Apply({row, next}, changes);
    }
  }

  void Rekey(std::vector<ModelChange>& changes) {
    if (const auto row = Any()) {
      ModelRow next = *row;
      next.k = Spell(absl::StrCat("k", std::string(1, static_cast<char>('a' + Below(12)))));
      if (!table_.HasKey(next.k)) {
        Apply({row, next}, changes);
      }
    }
  }

  void SwapUnique(std::vector<ModelChange>& changes) {
    const auto a = Any();
    const auto b = Any();
    if (!a || !b || a->k == b->k || !a->u || !b->u) {
      return;
    }
    ModelRow a_free = *a;
    a_free.u.reset();
    ModelRow b_next = *b;
    b_next.u = a->u;
    ModelRow a_next = *a;
    a_next.u = b->u;
    Apply({a, a_free}, changes);
    Apply({b, b_next}, changes);
    Apply({a_free, a_next}, changes);
  }

  void Reinsert(std::vector<ModelChange>& changes) {
    if (const auto row = Any()) {
      ModelRow next{Spell(Fold(row->k)), row->u, Below(1000)};
      Apply({row, std::nullopt}, changes);
      Apply({std::nullopt, next}, changes);
    }
  }

  std::mt19937 random_;
  ModelTable table_;
};

// Merges changes and writes what comes out into a model table, in the order that ChangeWriter
// keeps: deletes, then REPLACEs, here in any order.
class MergedWriter {
 public:
  explicit MergedWriter(std::mt19937& random) : random_(random) {}

  void Add(const ModelChange& change) {
    const std::optional<binlog::RowImage> before = Image(change.before);
    const std::optional<binlog::RowImage> after = Image(change.after);
    changes_.Add(plan_, map_, before ? &*before : nullptr, after ? &*after : nullptr);
  }

  void WriteTo(ModelTable& table) {
    for (const TableChanges& changes : changes_.tables()) {
      std::vector<const FinalChange*> rows;
      for (const FinalChange& row : changes.rows) {
        rows.push_back(&row);
      }
      std::shuffle(rows.begin(), rows.end(), random_);
      for (const FinalChange* row : rows) {
        if (!row->present) {
          table.Delete(std::string(row->image[0].bytes));
        }
      }
      for (const FinalChange* row : rows) {
        if (row->present) {
          table.Replace(FromImage(row->image));
        }
      }
    }
    changes_ = ChangeSet();
    cells_.clear();
  }

 private:
  std::optional<binlog::RowImage> Image(const std::optional<ModelRow>& row) {
    if (!row.has_value()) {
      return std::nullopt;
    }
    binlog::RowImage image(3);
    image[0] = {.present = true, .null = false, .partial = false, .bytes = Keep(row->k)};
    image[1] = {.present = true,
                .null = !row->u.has_value(),
                .partial = false,
                .bytes = row->u ? Keep(absl::StrCat(*row->u)) : ""};
    image[2] = {
        .present = true, .null = false, .partial = false, .bytes = Keep(absl::StrCat(row->v))};
    return image;
  }

  static ModelRow FromImage(std::span<const binlog::ImageCell> image) {
    ModelRow row;
    row.k = std::string(image[0].bytes);
    if (!image[1].null) {
      row.u = std::stoi(std::string(image[1].bytes));
    }
    row.v = std::stoi(std::string(image[2].bytes));
    return row;
  }

  absl::string_view Keep(std::string text) { return cells_.emplace_back(std::move(text)); }

  std::mt19937& random_;
  const TablePlan plan_ = Plan();
  const std::shared_ptr<const binlog::TableMapEvent> map_ =
      std::make_shared<const binlog::TableMapEvent>();
  ChangeSet changes_;
  std::deque<std::string> cells_;
};

TEST(ChangeSetTest, MergedGroupsEqualTheSequentialHistoryAtEveryGroupsEnd) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    HistoryMaker maker(seed);
    MergedWriter writer(maker.random());
    ModelTable target;
    for (int group = 0; group < 12; ++group) {
      std::vector<ModelChange> changes;
      const int statements = 1 + maker.Below(12);
      for (int i = 0; i < statements; ++i) {
        maker.Statement(changes);
      }
      for (const ModelChange& change : changes) {
        writer.Add(change);
      }
      writer.WriteTo(target);
      ASSERT_EQ(target.rows(), maker.table().rows()) << "seed " << seed << " group " << group;
    }
  }
}

// The whole of docs/design.md §10.3: P, snapshots at or after it, copying by key with REPLACE for a
// while, then every event since, until the copy is done and the head is reached.
TEST(ChangeSetTest, CopyingInEpochsWhileChangesGoOnEndsEqual) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    HistoryMaker maker(seed);
    std::vector<std::vector<ModelChange>> history;
    std::vector<std::map<std::string, ModelRow>> states = {{}};
    for (int i = 0; i < 60; ++i) {
      history.emplace_back();
      const int statements = 1 + maker.Below(3);
      for (int k = 0; k < statements; ++k) {
        maker.Statement(history.back());
      }
      states.push_back(maker.table().rows());
    }
    auto between = [&](size_t low, size_t high) {
      return low + static_cast<size_t>(maker.Below(static_cast<int>(high - low + 1)));
    };
    MergedWriter writer(maker.random());
    ModelTable target;
    size_t position = between(0, 20);
    std::string last_key;
    for (bool done = false; !done;) {
      const size_t snapshot = between(position, std::min(position + 15, history.size()));
      auto it = states[snapshot].upper_bound(last_key);
      for (int rows = 1 + maker.Below(4); rows > 0 && it != states[snapshot].end(); --rows, ++it) {
        target.Replace(it->second);
        last_key = it->first;
      }
      done = it == states[snapshot].end();
      const size_t until = done ? history.size() : between(snapshot, history.size());
      while (position < until) {
        const size_t group_end = between(position + 1, until);
        for (; position < group_end; ++position) {
          for (const ModelChange& change : history[position]) {
            writer.Add(change);
          }
        }
        writer.WriteTo(target);
      }
    }
    ASSERT_EQ(target.rows(), states.back()) << "seed " << seed;
  }
}

TEST(ChangeSetTest, CountsWhatWasAddedAndHoldsOneRowPerKey) {
  const TablePlan plan = Plan();
  const auto map = std::make_shared<const binlog::TableMapEvent>();
  ChangeSet changes;
  EXPECT_TRUE(changes.empty());
  const binlog::RowImage image(3,
                               {.present = true, .null = false, .partial = false, .bytes = "abc"});
  changes.Add(plan, map, &image, &image);
  const size_t bytes = changes.bytes();
  EXPECT_GT(bytes, 3 * sizeof(binlog::ImageCell));
  changes.Add(plan, map, &image, nullptr);
  EXPECT_EQ(changes.changes(), 2U);
  EXPECT_EQ(changes.bytes(), bytes);
  ASSERT_EQ(changes.tables().size(), 1U);
  ASSERT_EQ(changes.tables()[0].rows.size(), 1U);
  EXPECT_FALSE(changes.tables()[0].rows[0].present);
  EXPECT_FALSE(changes.empty());
}

TEST(ChangeSetTest, ImagesSurviveEverythingThatIsAddedLater) {
  const TablePlan plan = Plan();
  const auto map = std::make_shared<const binlog::TableMapEvent>();
  ChangeSet changes;
  std::deque<std::string> keys;
  constexpr size_t kRows = 20'000;
  for (size_t i = 0; i < kRows; ++i) {
    keys.push_back(absl::StrCat("key ", i));
    binlog::RowImage image(
        3, {.present = true, .null = false, .partial = false, .bytes = keys.back()});
    changes.Add(plan, map, nullptr, &image);
    image.assign(3, {.present = true, .null = false, .partial = false, .bytes = "another"});
  }
  ASSERT_EQ(changes.tables()[0].rows.size(), kRows);
  for (size_t i = 0; i < kRows; ++i) {
    const FinalChange& row = changes.tables()[0].rows[i];
    ASSERT_TRUE(row.present);
    ASSERT_EQ(row.image[2].bytes, keys[i]);
  }
}

}  // namespace
}  // namespace sluice::target
