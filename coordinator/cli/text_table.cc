// Aligned columns.

#include "coordinator/cli/text_table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "common/base/check.h"

namespace sluice::cli {

TextTable::TextTable(std::vector<std::string> headings)
    : headings_(std::move(headings)), aligns_(headings_.size(), Align::kLeft) {}

void TextTable::SetAlign(size_t column, Align align) {
  aligns_.at(column) = align;
}

void TextTable::Add(std::vector<std::string> row) {
  SLUICE_CHECK(row.size() <= headings_.size());
  row.resize(headings_.size());
  for (std::string& cell : row) {
    cell = Printable(cell);
  }
  rows_.push_back(std::move(row));
}

std::string TextTable::Line(const std::vector<std::string>& row,
                            const std::vector<size_t>& widths) const {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    const std::string blanks(widths[i] - Characters(row[i]), ' ');
    line += i == 0 ? "" : "  ";
    line += aligns_[i] == Align::kRight ? blanks + row[i] : row[i] + blanks;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string TextTable::ToText() const {
  std::vector<size_t> widths;
  bool headed = false;
  for (const std::string& heading : headings_) {
    widths.push_back(Characters(heading));
    headed = headed || !heading.empty();
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Characters(row[i]));
    }
  }
  std::string text = headed ? Line(headings_, widths) : "";
  for (const auto& row : rows_) {
    text += Line(row, widths);
  }
  return text;
}

std::string Printable(absl::string_view text, bool keep_newlines) {
  std::string printable(text);
  for (char& c : printable) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && !(keep_newlines && c == '\n')) {
      c = c == '\n' || c == '\t' ? ' ' : '?';
    }
  }
  return printable;
}

size_t Characters(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace sluice::cli
