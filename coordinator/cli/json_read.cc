// Lenient access to JSON documents.

#include "coordinator/cli/json_read.h"

#include <nlohmann/json.hpp>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice::cli {

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  Json document = Json::parse(text.begin(), text.end(), nullptr, false);
  if (document.is_discarded()) {
    return absl::DataLossError(
        absl::StrCat("the coordinator's answer is not JSON: ", text.substr(0, 200)));
  }
  return document;
}

const Json& Member(const Json& value, absl::string_view key) {
  static const Json kNull;
  if (!value.is_object()) {
    return kNull;
  }
  const auto found = value.find(std::string(key));
  return found == value.end() ? kNull : *found;
}

std::string AsText(const Json& value) {
  if (value.is_null()) {
    return "";
  }
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string TextOf(const Json& value, absl::string_view key) {
  return AsText(Member(value, key));
}

int64_t IntOf(const Json& value, absl::string_view key, int64_t fallback) {
  const Json& member = Member(value, key);
  int64_t number = fallback;
  if (member.is_number()) {
    number = member.get<int64_t>();
  } else if (member.is_string() && !absl::SimpleAtoi(member.get<std::string>(), &number)) {
    number = fallback;
  }
  return number;
}

double NumberOf(const Json& value, absl::string_view key, double fallback) {
  const Json& member = Member(value, key);
  return member.is_number() ? member.get<double>() : fallback;
}

bool BoolOf(const Json& value, absl::string_view key) {
  const Json& member = Member(value, key);
  return member.is_boolean() && member.get<bool>();
}

std::string JoinOf(const Json& value, absl::string_view key, absl::string_view separator) {
  const Json& member = Member(value, key);
  if (!member.is_structured()) {
    return AsText(member);
  }
  std::vector<std::string> parts;
  for (const Json& item : member) {
    parts.push_back(AsText(item));
  }
  return absl::StrJoin(parts, separator);
}

}  // namespace sluice::cli
