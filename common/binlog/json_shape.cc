// JsonShape: reading a document's text, and asking for documents like it.

#include "common/binlog/json_shape.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice::binlog {
namespace {

constexpr size_t kTextBytesMax = 4096;
constexpr size_t kScalarsMax = 24;
constexpr size_t kContainersMax = 12;
constexpr int kDepthMax = 8;
constexpr uint64_t kIntegerMax = 4'294'967'295;  // above, the parser makes a number unsigned

// Reads one document. Stops at whatever it does not know.
class Reader {
 public:
  explicit Reader(absl::string_view text) : text_(text) {}

  std::optional<JsonShape> Read() {
    if (!Value("$", 0)) {
      return std::nullopt;
    }
    Skip();
    return text_.empty() ? std::optional<JsonShape>(std::move(shape_)) : std::nullopt;
  }

 private:
  void Skip() { text_ = absl::StripLeadingAsciiWhitespace(text_); }

  bool Take(char c) {
    Skip();
    if (text_.empty() || text_[0] != c) {
      return false;
    }
    text_.remove_prefix(1);
    return true;
  }

  bool Value(const std::string& path, int depth) {
    if (depth > kDepthMax || shape_.scalars.size() >= kScalarsMax ||
        shape_.containers.size() >= kContainersMax) {
      return false;
    }
    if (Take('{')) {
      return Members('}', path, depth);
    }
    return Take('[') ? Members(']', path, depth) : Scalar(path);
  }

  bool Members(char end, const std::string& path, int depth) {
    const size_t container = shape_.containers.size();
    shape_.containers.push_back({.path = path, .length = 0});
    uint32_t length = 0;
    for (; !Take(end); ++length) {
      if (length > 0 && !Take(',')) {
        return false;
      }
      std::string member = absl::StrCat(path, "[", length, "]");
      if (end == '}') {
        absl::string_view name;
        if (!String(name) || !Take(':') || !IsPlainName(name)) {
          return false;
        }
        member = absl::StrCat(path, ".\"", name, "\"");
      }
      if (!Value(member, depth + 1)) {
        return false;
      }
    }
    shape_.containers[container].length = length;
    return true;
  }

  bool Scalar(const std::string& path) {
    Skip();
    absl::string_view string;
    if (absl::StartsWith(text_, "\"")) {
      return String(string) && Add(path, "STRING");
    }
    const absl::string_view token =
        text_.substr(0, std::min(text_.find_first_of(",]} "), text_.size()));
    text_.remove_prefix(token.size());
    if (token == "null") {
      return Add(path, "NULL");
    }
    if (token == "true" || token == "false") {
      return Add(path, "BOOLEAN");
    }
    int64_t integer = 0;
    if (absl::SimpleAtoi(token, &integer)) {
      return integer <= static_cast<int64_t>(kIntegerMax) && Add(path, "INTEGER");
    }
    double number = 0;
    return !token.empty() &&
           token.find_first_not_of("-+.eE0123456789") == absl::string_view::npos &&
           token.find_first_of(".eE") != absl::string_view::npos &&
           absl::SimpleAtod(token, &number) && Add(path, "DOUBLE");
  }

  // A string's raw text, escapes as they are.
  bool String(absl::string_view& raw) {
    if (!Take('"')) {
      return false;
    }
    size_t end = 0;
    while (end < text_.size() && text_[end] != '"') {
      end += text_[end] == '\\' ? 2U : 1U;
    }
    if (end >= text_.size()) {
      return false;
    }
    raw = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return true;
  }

  // One that needs no escape, neither in a path nor in a statement.
  static bool IsPlainName(absl::string_view name) {
    return std::all_of(name.begin(), name.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' ||
             c == ' ' || c == '.';
    });
  }

  bool Add(const std::string& path, absl::string_view type) {
    shape_.scalars.push_back({.path = path, .type = type});
    return true;
  }

  absl::string_view text_;
  JsonShape shape_;
};

}  // namespace

std::optional<JsonShape> ShapeOf(absl::string_view text) {
  return text.size() > kTextBytesMax ? std::nullopt : Reader(text).Read();
}

std::string ShapeCondition(const JsonShape& shape, absl::string_view quoted_name) {
  std::string sql;
  const auto also = [&sql] { absl::StrAppend(&sql, sql.empty() ? "" : " AND "); };
  for (const JsonShape::Container& container : shape.containers) {
    also();
    absl::StrAppend(&sql, "JSON_LENGTH(", quoted_name, ", _utf8mb4'", container.path,
                    "') = ", container.length);
  }
  for (const JsonShape::Scalar& scalar : shape.scalars) {
    also();
    const std::string value =
        absl::StrCat("JSON_EXTRACT(", quoted_name, ", _utf8mb4'", scalar.path, "')");
    absl::StrAppend(&sql, "JSON_TYPE(", value, ") = '", scalar.type, "'");
    if (scalar.type == "INTEGER") {
      absl::StrAppend(&sql, " AND ", value, " <= ", kIntegerMax);
    }
  }
  return sql;
}

}  // namespace sluice::binlog
