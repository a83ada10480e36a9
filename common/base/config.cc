// Reads TOML files into checked values.

#include "common/base/config.h"

#include <toml++/toml.h>

#include <cerrno>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace sluice {
namespace {

constexpr size_t kFileBytesMax = 1U << 20U;

std::string Join(absl::string_view prefix, absl::string_view key) {
  return prefix.empty() || key.empty() ? absl::StrCat(prefix, key) : absl::StrCat(prefix, ".", key);
}

std::string_view ToStd(absl::string_view text) {
  return {text.data(), text.size()};
}

std::string RangeText(IntRange range) {
  constexpr IntRange kAny;
  if (range.min == kAny.min && range.max == kAny.max) {
    return "expected an integer";
  }
  if (range.max == kAny.max) {
    return absl::StrCat("expected an integer of at least ", range.min);
  }
  return absl::StrCat("expected an integer between ", range.min, " and ", range.max);
}

}  // namespace

struct ConfigFile::File {
  std::string name;
  toml::table root;
  std::vector<std::string> errors;
  std::set<std::string> asked;  // full paths of keys that a getter asked for
};

struct ConfigFile::Node {
  const toml::table* table = nullptr;
  std::string prefix;

  // The value under a dotted key, or null.
  [[nodiscard]] const toml::node* Find(absl::string_view key) const {
    const toml::table* at = table;
    const toml::node* found = table;
    if (key.empty()) {
      return found;
    }
    for (const absl::string_view part : absl::StrSplit(key, '.')) {
      found = at == nullptr ? nullptr : at->get(ToStd(part));
      at = found == nullptr ? nullptr : found->as_table();
    }
    return found;
  }
};

ConfigFile::ConfigFile(std::shared_ptr<File> file, std::shared_ptr<const Node> node)
    : file_(std::move(file)), node_(std::move(node)) {}

absl::StatusOr<ConfigFile> ConfigFile::Load(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return absl::ErrnoToStatus(errno, absl::StrCat("configuration file ", path));
  }
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (stream.fail() && !stream.eof())) {
    return absl::UnavailableError(absl::StrCat("configuration file ", path, ": can't be read"));
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  return Parse(text, path);
}

absl::StatusOr<ConfigFile> ConfigFile::Parse(absl::string_view text, absl::string_view name) {
  if (text.size() > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": larger than ", kFileBytesMax, " bytes"));
  }
  auto file = std::make_shared<File>();
  file->name = std::string(name);
  try {
    file->root = toml::parse(ToStd(text));
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", error.source().begin.line, ":",
                                                   error.source().begin.column, ": ",
                                                   error.what()));
  }
  auto node = std::make_shared<Node>(Node{.table = &file->root, .prefix = ""});
  return ConfigFile(std::move(file), std::move(node));
}

bool ConfigFile::Has(absl::string_view key) const {
  return node_->Find(key) != nullptr;
}

bool ConfigFile::HasList(absl::string_view key) const {
  const toml::node* found = node_->Find(key);
  return found != nullptr && found->is_array();
}

std::string ConfigFile::String(absl::string_view key, absl::string_view default_value) {
  file_->asked.insert(Join(node_->prefix, key));
  const toml::node* found = node_->Find(key);
  if (found == nullptr) {
    return std::string(default_value);
  }
  if (const auto* text = found->as_string(); text != nullptr) {
    return text->get();
  }
  AddError(key, "expected text in quotes");
  return std::string(default_value);
}

int64_t ConfigFile::Int(absl::string_view key, int64_t default_value, IntRange range) {
  file_->asked.insert(Join(node_->prefix, key));
  const toml::node* found = node_->Find(key);
  if (found == nullptr) {
    return default_value;
  }
  const auto* number = found->as_integer();
  if (number == nullptr || number->get() < range.min || number->get() > range.max) {
    AddError(key, RangeText(range));
    return default_value;
  }
  return number->get();
}

bool ConfigFile::Bool(absl::string_view key, bool default_value) {
  file_->asked.insert(Join(node_->prefix, key));
  const toml::node* found = node_->Find(key);
  if (found == nullptr) {
    return default_value;
  }
  if (const auto* value = found->as_boolean(); value != nullptr) {
    return value->get();
  }
  AddError(key, "expected true or false");
  return default_value;
}

absl::Duration ConfigFile::Duration(absl::string_view key, absl::Duration default_value) {
  if (!Has(key)) {
    file_->asked.insert(Join(node_->prefix, key));
    return default_value;
  }
  absl::Duration duration;
  const toml::node* found = node_->Find(key);
  if (found->is_string() && absl::ParseDuration(String(key), &duration) &&
      duration >= absl::ZeroDuration()) {
    return duration;
  }
  file_->asked.insert(Join(node_->prefix, key));
  AddError(key, "expected a duration such as \"30s\" or \"500ms\"");
  return default_value;
}

std::vector<std::string> ConfigFile::StringList(absl::string_view key) {
  file_->asked.insert(Join(node_->prefix, key));
  const toml::node* found = node_->Find(key);
  if (found == nullptr) {
    return {};
  }
  std::vector<std::string> list;
  const toml::array* array = found->as_array();
  if (array != nullptr) {
    for (const toml::node& element : *array) {
      if (const auto* text = element.as_string(); text != nullptr) {
        list.push_back(text->get());
      }
    }
  }
  if (array == nullptr || list.size() != array->size()) {
    AddError(key, "expected a list of texts in quotes");
    return {};
  }
  return list;
}

std::string ConfigFile::RequireString(absl::string_view key) {
  std::string text = String(key);
  if (!Has(key)) {
    AddError(key, "is missing");
  } else if (text.empty() && node_->Find(key)->is_string()) {
    AddError(key, "must not be empty");
  }
  return text;
}

int64_t ConfigFile::RequireInt(absl::string_view key, IntRange range) {
  if (!Has(key)) {
    AddError(key, absl::StrCat("is missing, ", RangeText(range)));
  }
  return Int(key, 0, range);
}

std::vector<ConfigFile> ConfigFile::TableList(absl::string_view key) {
  file_->asked.insert(Join(node_->prefix, key));
  const toml::node* found = node_->Find(key);
  if (found == nullptr) {
    return {};
  }
  const toml::array* array = found->as_array();
  std::vector<ConfigFile> tables;
  for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
    if (const toml::table* table = array->get(i)->as_table(); table != nullptr) {
      const std::string prefix = absl::StrCat(Join(node_->prefix, key), "[", i, "]");
      file_->asked.insert(prefix);
      tables.push_back(
          ConfigFile(file_, std::make_shared<Node>(Node{.table = table, .prefix = prefix})));
    }
  }
  if (array == nullptr || tables.size() != array->size()) {
    AddError(key, absl::StrCat("expected tables [[", Join(node_->prefix, key), "]]"));
    return {};
  }
  return tables;
}

std::vector<std::string> ConfigFile::Names(absl::string_view key) {
  const toml::node* found = node_->Find(key);
  const toml::table* table = found == nullptr ? nullptr : found->as_table();
  if (found != nullptr && table == nullptr) {
    file_->asked.insert(Join(node_->prefix, key));
    AddError(key, "expected a table");
  }
  std::vector<std::string> names;
  if (table != nullptr) {
    for (const auto& [name, value] : *table) {
      names.emplace_back(name.str());
    }
  }
  return names;
}

ConfigFile ConfigFile::Table(absl::string_view key, absl::string_view name) {
  const std::string prefix = Join(Join(node_->prefix, key), name);
  const toml::node* parent = node_->Find(key);
  const toml::table* table = parent == nullptr ? nullptr : parent->as_table();
  const toml::node* found = table == nullptr ? nullptr : table->get(ToStd(name));
  const toml::table* inner = found == nullptr ? nullptr : found->as_table();
  if (found != nullptr && inner == nullptr) {
    file_->asked.insert(prefix);
    AddError(Join(key, name), "expected a table");
  }
  return {file_, std::make_shared<Node>(Node{.table = inner, .prefix = prefix})};
}

void ConfigFile::AddError(absl::string_view key, absl::string_view message) {
  file_->errors.push_back(absl::StrCat("key ", Join(node_->prefix, key), ": ", message));
}

namespace {

// Collects the paths of leaves that were not asked for.
void CollectUnknown(const toml::node& node, const std::string& path,
                    const std::set<std::string>& asked, std::vector<std::string>& unknown) {
  if (const toml::table* table = node.as_table(); table != nullptr) {
    if (!asked.contains(path) || table->empty() || path.ends_with(']')) {
      for (const auto& [name, value] : *table) {
        CollectUnknown(value, Join(path, std::string(name.str())), asked, unknown);
      }
    }
    return;
  }
  if (!asked.contains(path)) {
    unknown.push_back(absl::StrCat("unknown key ", path));
    return;
  }
  if (const toml::array* array = node.as_array(); array != nullptr) {
    for (size_t i = 0; i < array->size(); ++i) {
      const std::string element = absl::StrCat(path, "[", i, "]");
      if (asked.contains(element)) {
        CollectUnknown(*array->get(i), element, asked, unknown);
      }
    }
  }
}

}  // namespace

absl::Status ConfigFile::Finish() const {
  std::vector<std::string> problems = file_->errors;
  CollectUnknown(file_->root, "", file_->asked, problems);
  if (problems.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(file_->name, ": ", absl::StrJoin(problems, "; ")));
}

}  // namespace sluice
