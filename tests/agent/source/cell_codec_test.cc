// Tests of the cell codec.

#include "agent/source/cell_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace sluice::source {
namespace {

TEST(CellCodecTest, EveryLengthAndNullComeBack) {
  std::vector<std::optional<std::string>> values = {std::nullopt, ""};
  for (const size_t size : {1U, 250U, 251U, 252U, 65535U, 65536U, 16777215U, 16777216U}) {
    values.emplace_back(std::string(size, 'x'));
  }
  values.emplace_back(std::string("\xFB\x00\xFF", 3));
  std::string bytes;
  for (const auto& value : values) {
    AppendCell(value.has_value() ? mysql::Cell(*value) : std::nullopt, bytes);
  }
  CellReader reader(bytes);
  std::vector<mysql::Cell> row;
  ASSERT_TRUE(reader.ReadRow(values.size(), row).ok());
  EXPECT_TRUE(reader.done());
  ASSERT_EQ(row.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(row[i].has_value(), values[i].has_value()) << i;
    if (row[i].has_value()) {
      EXPECT_EQ(std::string(*row[i]), *values[i]) << i;
    }
  }
}

TEST(CellCodecTest, EveryCutOffRowIsRefused) {
  std::string bytes;
  AppendCell(absl::string_view("abc"), bytes);
  AppendCell(std::nullopt, bytes);
  const std::string large(300, 'y');
  AppendCell(absl::string_view(large), bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::vector<mysql::Cell> row;
    EXPECT_TRUE(absl::IsInvalidArgument(
        CellReader(absl::string_view(bytes).substr(0, size)).ReadRow(3, row)))
        << size;
  }
}

TEST(CellCodecTest, AReservedLengthByteIsRefused) {
  std::vector<mysql::Cell> row;
  EXPECT_TRUE(absl::IsInvalidArgument(CellReader("\xFF").ReadRow(1, row)));
}

}  // namespace
}  // namespace sluice::source
