// AppendJsonLiteral: text where it is exact, typed expressions elsewhere.

#include "common/binlog/json_literal.h"

#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/binlog/json_binary.h"
#include "common/binlog/json_opaque.h"
#include "common/binlog/malformed.h"
#include "common/binlog/text_literal.h"

namespace sluice::binlog {
namespace {

using Kind = JsonValue::Kind;

absl::Status TooDeep() {
  return Malformed("JSON document", absl::StrCat("nested deeper than ", kJsonDepthMax));
}

bool IsContainer(const JsonValue& value) {
  return value.kind == Kind::kObject || value.kind == Kind::kArray;
}

// mysqld's parser makes an unsigned number of an integer that does not fit 32 bits, unless it is
// negative, and a signed one of all others.
bool TextKeepsType(const JsonValue& value) {
  constexpr int64_t kSignedMax = std::numeric_limits<uint32_t>::max();
  switch (value.kind) {
    case Kind::kOpaque:
      return false;
    case Kind::kInt:
      return value.integer <= kSignedMax;
    case Kind::kUint:
      return value.integer < 0 || value.integer > kSignedMax;
    default:
      return true;
  }
}

absl::Status CheckText(const JsonValue& value, JsonBudget& budget, int depth, bool* exact) {
  if (!IsContainer(value)) {
    *exact = *exact && TextKeepsType(value);
    return absl::OkStatus();
  }
  if (depth > kJsonDepthMax) {
    return TooDeep();
  }
  return ForEachMember(value, budget, [&](absl::string_view, const JsonValue& member) {
    return CheckText(member, budget, depth + 1, exact);
  });
}

void AppendJsonString(absl::string_view text, std::string& out) {
  constexpr absl::string_view kHex = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20) {
      out += "\\u00";
      out.push_back(kHex[byte >> 4U]);
      out.push_back(kHex[byte & 15U]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

absl::Status AppendText(const JsonValue& value, JsonBudget& budget, std::string& out) {
  switch (value.kind) {
    case Kind::kObject:
    case Kind::kArray: {
      const bool object = value.kind == Kind::kObject;
      out.push_back(object ? '{' : '[');
      bool first = true;
      SLUICE_RETURN_IF_ERROR(
          ForEachMember(value, budget, [&](absl::string_view key, const JsonValue& member) {
            if (!first) {
              out.push_back(',');
            }
            first = false;
            if (object) {
              AppendJsonString(key, out);
              out.push_back(':');
            }
            return AppendText(member, budget, out);
          }));
      out.push_back(object ? '}' : ']');
      break;
    }
    case Kind::kNull:
      out += "null";
      break;
    case Kind::kTrue:
      out += "true";
      break;
    case Kind::kFalse:
      out += "false";
      break;
    case Kind::kInt:
      absl::StrAppend(&out, value.integer);
      break;
    case Kind::kUint:
      absl::StrAppend(&out, static_cast<uint64_t>(value.integer));
      break;
    case Kind::kDouble:
      AppendDouble(value.floating, out);
      break;
    case Kind::kString:
    case Kind::kOpaque:
      AppendJsonString(value.bytes, out);
      break;
  }
  return absl::OkStatus();
}

absl::Status AppendExpression(const JsonValue& value, JsonBudget& budget, std::string& sql) {
  switch (value.kind) {
    case Kind::kObject:
    case Kind::kArray: {
      const bool object = value.kind == Kind::kObject;
      sql += object ? "JSON_OBJECT(" : "JSON_ARRAY(";
      bool first = true;
      SLUICE_RETURN_IF_ERROR(
          ForEachMember(value, budget, [&](absl::string_view key, const JsonValue& member) {
            if (!first) {
              sql.push_back(',');
            }
            first = false;
            if (object) {
              sql += "_utf8mb4";
              AppendQuoted(key, sql);
              sql.push_back(',');
            }
            return AppendExpression(member, budget, sql);
          }));
      sql.push_back(')');
      return absl::OkStatus();
    }
    case Kind::kUint:
      absl::StrAppend(&sql, "CAST(", static_cast<uint64_t>(value.integer), " AS UNSIGNED)");
      return absl::OkStatus();
    case Kind::kString:
      sql += "_utf8mb4";
      AppendQuoted(value.bytes, sql);
      return absl::OkStatus();
    case Kind::kOpaque:
      return AppendJsonOpaque(value.opaque_type, value.bytes, sql);
    default:
      return AppendText(value, budget, sql);  // numbers, true, false and null are the same in SQL
  }
}

}  // namespace

absl::Status AppendJsonLiteral(absl::string_view document, std::string& sql) {
  SLUICE_ASSIGN_OR_RETURN(const JsonValue root, ParseJson(document));
  bool exact = true;
  JsonBudget check_budget(document.size());
  SLUICE_RETURN_IF_ERROR(CheckText(root, check_budget, 1, &exact));
  JsonBudget budget(document.size());
  if (exact) {
    std::string text;
    SLUICE_RETURN_IF_ERROR(AppendText(root, budget, text));
    sql += "CAST(_utf8mb4";
    AppendQuoted(text, sql);
    sql += " AS JSON)";
    return absl::OkStatus();
  }
  if (IsContainer(root)) {
    return AppendExpression(root, budget, sql);
  }
  sql += "JSON_EXTRACT(JSON_ARRAY(";
  SLUICE_RETURN_IF_ERROR(AppendExpression(root, budget, sql));
  sql += "),_utf8mb4'$[0]')";
  return absl::OkStatus();
}

}  // namespace sluice::binlog
