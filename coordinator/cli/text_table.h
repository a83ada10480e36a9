// TextTable: rows of cells as aligned columns. Pure.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::cli {

// Columns are two blanks apart; lines end without blanks. The headings' line is left out when all
// of them are empty. Bytes that would control a terminal are shown as '?'. Thread-compatible.
class TextTable {
 public:
  enum class Align { kLeft, kRight };

  explicit TextTable(std::vector<std::string> headings);

  // Columns are left-aligned until told.
  void SetAlign(size_t column, Align align);
  // Cells that are missing are empty. REQUIRES: not more cells than headings.
  void Add(std::vector<std::string> row);
  [[nodiscard]] bool empty() const { return rows_.empty(); }

  [[nodiscard]] std::string ToText() const;

 private:
  [[nodiscard]] std::string Line(const std::vector<std::string>& row,
                                 const std::vector<size_t>& widths) const;

  std::vector<std::string> headings_;
  std::vector<Align> aligns_;
  std::vector<std::vector<std::string>> rows_;
};

// The text with control bytes replaced; newlines too unless they are kept.
std::string Printable(absl::string_view text, bool keep_newlines = false);

// The number of characters of UTF-8 text, as a terminal counts plain ones.
size_t Characters(absl::string_view text);

}  // namespace sluice::cli
