// JSON documents through the text protocol, inner types included.
//
// A document of plain JSON values is selected as its text. Where a scalar has a type that its text
// does not tell (a decimal, a date, bytes, a small unsigned or a large signed number), the selected
// value is
//   \x01 type,type,… \x01 text
// with the JSON_TYPE of every scalar in the order of the text. The path '$**[0]' names each scalar
// of a document once, in that order, because a scalar counts as an array of itself.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/binlog/event.h"
#include "common/binlog/json_binary.h"
#include "common/binlog/json_literal.h"
#include "common/binlog/json_opaque.h"
#include "common/binlog/malformed.h"
#include "common/binlog/text_literal.h"

namespace sluice::binlog {
namespace {

constexpr char kMark = '\x01';  // no JSON text begins with it

void AppendUtf8(uint32_t code, std::string& out) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0U | (code >> 6U));
    put(0x80U | (code & 0x3fU));
  } else if (code < 0x10000) {
    put(0xe0U | (code >> 12U));
    put(0x80U | ((code >> 6U) & 0x3fU));
    put(0x80U | (code & 0x3fU));
  } else {
    put(0xf0U | (code >> 18U));
    put(0x80U | ((code >> 12U) & 0x3fU));
    put(0x80U | ((code >> 6U) & 0x3fU));
    put(0x80U | (code & 0x3fU));
  }
}

// Rewrites the server's JSON text as calls of JSON_OBJECT and JSON_ARRAY with typed scalars.
class TypedText {
 public:
  TypedText(absl::string_view types, absl::string_view text)
      : types_(absl::StrSplit(types, ',')), text_(text) {}

  absl::Status Append(std::string& sql) {
    SLUICE_RETURN_IF_ERROR(Value(1, sql));
    Skip();
    if (!text_.empty() || next_type_ != types_.size()) {
      return Bad("text and types do not fit");
    }
    return absl::OkStatus();
  }

 private:
  static absl::Status Bad(absl::string_view why) { return Malformed("JSON text", why); }

  void Skip() { text_ = absl::StripLeadingAsciiWhitespace(text_); }

  bool Take(char c) {
    Skip();
    if (text_.empty() || text_[0] != c) {
      return false;
    }
    text_.remove_prefix(1);
    return true;
  }

  absl::Status Value(int depth, std::string& sql) {
    if (depth > kJsonDepthMax + 1) {
      return Bad("nested too deeply");
    }
    if (Take('{')) {
      return Members('}', depth, sql);
    }
    if (Take('[')) {
      return Members(']', depth, sql);
    }
    return Scalar(sql);
  }

  absl::Status Members(char end, int depth, std::string& sql) {
    const bool object = end == '}';
    sql += object ? "JSON_OBJECT(" : "JSON_ARRAY(";
    for (bool first = true; !Take(end); first = false) {
      if (!first) {
        if (!Take(',')) {
          return Bad("a comma is missing");
        }
        sql.push_back(',');
      }
      if (object) {
        std::string key;
        SLUICE_RETURN_IF_ERROR(String(key));
        sql += "_utf8mb4";
        AppendQuoted(key, sql);
        sql.push_back(',');
        if (!Take(':')) {
          return Bad("a colon is missing");
        }
      }
      SLUICE_RETURN_IF_ERROR(Value(depth + 1, sql));
    }
    sql.push_back(')');
    return absl::OkStatus();
  }

  absl::Status Scalar(std::string& sql) {
    if (next_type_ == types_.size()) {
      return Bad("more scalars than types");
    }
    const absl::string_view type = types_[next_type_++];
    Skip();
    if (!text_.empty() && text_[0] == '"') {
      std::string value;
      SLUICE_RETURN_IF_ERROR(String(value));
      return StringScalar(type, value, sql);
    }
    const size_t end = std::min(text_.find_first_of(",]} "), text_.size());
    const absl::string_view token = text_.substr(0, end);
    text_.remove_prefix(end);
    return TokenScalar(type, token, sql);
  }

  static absl::Status StringScalar(absl::string_view type, const std::string& value,
                                   std::string& sql) {
    if (type == "STRING") {
      sql += "_utf8mb4";
      AppendQuoted(value, sql);
      return absl::OkStatus();
    }
    if (type == "BLOB" || type == "BIT" || type == "OPAQUE") {
      return Opaque(value, sql);
    }
    const uint8_t temporal = type == "DATE"        ? kTypeDate
                             : type == "TIME"      ? kTypeTimeOld
                             : type == "DATETIME"  ? kTypeDatetimeOld
                             : type == "TIMESTAMP" ? kTypeTimestampOld
                                                   : kTypeNull;
    if (temporal == kTypeNull || value.find_first_not_of("-0123456789:. ") != std::string::npos) {
      return Bad(absl::StrCat("a string of type ", type));
    }
    AppendJsonTemporal(temporal, value, sql);
    return absl::OkStatus();
  }

  // "base64:type252:…" with line breaks inside.
  static absl::Status Opaque(absl::string_view value, std::string& sql) {
    const std::vector<absl::string_view> parts = absl::StrSplit(value, absl::MaxSplits(':', 2));
    unsigned type = 0;
    std::string bytes;
    if (parts.size() != 3 || parts[0] != "base64" || !absl::StartsWith(parts[1], "type") ||
        !absl::SimpleAtoi(parts[1].substr(4), &type) || type > 255 ||
        !absl::Base64Unescape(parts[2], &bytes)) {
      return Bad("an opaque value");
    }
    return AppendJsonOpaque(static_cast<uint8_t>(type), bytes, sql);
  }

  static absl::Status TokenScalar(absl::string_view type, absl::string_view token,
                                  std::string& sql) {
    if (type == "NULL" || type == "BOOLEAN") {
      if (token != "null" && token != "true" && token != "false") {
        return Bad("a literal");
      }
      absl::StrAppend(&sql, token);
      return absl::OkStatus();
    }
    const NumberForm form = type == "DOUBLE"             ? NumberForm::kFloating
                            : type == "DECIMAL"          ? NumberForm::kDecimal
                            : type == "UNSIGNED INTEGER" ? NumberForm::kNatural
                                                         : NumberForm::kInteger;
    if (!IsNumber(token, form)) {
      return Bad("a number");
    }
    if (type == "DECIMAL") {
      const auto digits = static_cast<size_t>(
          std::count_if(token.begin(), token.end(), [](char c) { return c >= '0' && c <= '9'; }));
      const size_t point = token.find('.');
      const size_t scale = point == absl::string_view::npos ? 0 : token.size() - point - 1;
      return AppendJsonDecimal(token, static_cast<unsigned>(digits), static_cast<unsigned>(scale),
                               sql);
    }
    if (type == "UNSIGNED INTEGER") {
      absl::StrAppend(&sql, "CAST(", token, " AS UNSIGNED)");
    } else if (type == "DOUBLE") {
      const bool has_exponent = token.find_first_of("eE") != absl::string_view::npos;
      absl::StrAppend(&sql, token, has_exponent ? "" : "e0");
    } else if (type == "INTEGER") {
      absl::StrAppend(&sql, token);
    } else {
      return Bad(absl::StrCat("a number of type ", type));
    }
    return absl::OkStatus();
  }

  absl::Status String(std::string& out) {
    if (!Take('"')) {
      return Bad("a string is missing");
    }
    while (!text_.empty() && text_[0] != '"') {
      if (text_[0] != '\\') {
        const size_t plain = std::min(text_.find_first_of("\"\\"), text_.size());
        out.append(text_.data(), plain);
        text_.remove_prefix(plain);
        continue;
      }
      SLUICE_RETURN_IF_ERROR(Escape(out));
    }
    return Take('"') ? absl::OkStatus() : Bad("a string without end");
  }

  absl::Status Escape(std::string& out) {
    constexpr absl::string_view kNames = "\"\\/bfnrt";
    constexpr absl::string_view kBytes = "\"\\/\b\f\n\r\t";
    if (text_.size() < 2) {
      return Bad("an escape without end");
    }
    const char c = text_[1];
    text_.remove_prefix(2);
    if (c == 'u') {
      uint32_t code = 0;
      if (!Hex4(&code)) {
        return Bad("an escape");
      }
      // The server escapes control characters only; the others it prints as they are.
      if (code >= 0xd800 && code <= 0xdfff) {
        return Bad("a surrogate");
      }
      AppendUtf8(code, out);
      return absl::OkStatus();
    }
    const size_t index = kNames.find(c);
    if (index == absl::string_view::npos) {
      return Bad("an escape");
    }
    out.push_back(kBytes[index]);
    return absl::OkStatus();
  }

  bool Hex4(uint32_t* code) {
    if (text_.size() < 4 || !absl::SimpleHexAtoi(text_.substr(0, 4), code)) {
      return false;
    }
    text_.remove_prefix(4);
    return true;
  }

  std::vector<absl::string_view> types_;
  size_t next_type_ = 0;
  absl::string_view text_;
};

}  // namespace

bool IsPlainJsonText(absl::string_view selected) {
  return !selected.empty() && selected[0] != kMark;
}

std::string JsonSelectExpression(absl::string_view quoted_name, const JsonShape* shape) {
  const std::string scalars = absl::StrCat(
      " FROM JSON_TABLE(", quoted_name,
      ", _utf8mb4'$**[0]' COLUMNS (o FOR ORDINALITY, v JSON PATH _utf8mb4'$')) AS t WHERE ");
  // A null of JSON is a NULL of SQL here.
  std::string looked_at = absl::StrCat(
      "IF(EXISTS(SELECT 1", scalars,
      "JSON_TYPE(t.v) NOT IN ('OBJECT','ARRAY','STRING','INTEGER','DOUBLE','BOOLEAN') "
      // The parser would make it unsigned.
      "OR (JSON_TYPE(t.v) = 'INTEGER' AND t.v > 4294967295)), "
      "CONCAT(x'01', (SELECT GROUP_CONCAT(COALESCE(JSON_TYPE(t.v), 'NULL') ORDER BY t.o)",
      scalars, "COALESCE(JSON_TYPE(t.v), 'NULL') NOT IN ('OBJECT','ARRAY')), x'01', ", quoted_name,
      "), ", quoted_name, ")");
  if (shape == nullptr) {
    return looked_at;
  }
  return absl::StrCat("IF(", ShapeCondition(*shape, quoted_name), ", ", quoted_name, ", ",
                      looked_at, ")");
}

absl::Status AppendJsonTextLiteral(absl::string_view selected, std::string& sql) {
  if (selected.empty()) {
    return Malformed("JSON text", "empty");
  }
  if (selected[0] != kMark) {
    sql += "CAST(_utf8mb4";
    AppendQuoted(selected, sql);
    sql += " AS JSON)";
    return absl::OkStatus();
  }
  selected.remove_prefix(1);
  const size_t end = selected.find(kMark);
  if (end == absl::string_view::npos) {
    return Malformed("JSON text", "no end of its types");
  }
  const absl::string_view text = selected.substr(end + 1);
  std::string value;
  SLUICE_RETURN_IF_ERROR(TypedText(selected.substr(0, end), text).Append(value));
  const bool container = absl::StartsWith(text, "{") || absl::StartsWith(text, "[");
  absl::StrAppend(&sql, container ? "" : "JSON_EXTRACT(JSON_ARRAY(", value,
                  container ? "" : "),_utf8mb4'$[0]')");
  return absl::OkStatus();
}

}  // namespace sluice::binlog
