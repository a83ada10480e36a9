// ConfigFile: a TOML configuration file read with types, defaults and errors that name the key.

#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

struct IntRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

// Keys are dotted paths ("mysql.port"). A getter that meets a wrong value remembers the error and
// returns the default, so a program reads all its settings and then asks Finish() once:
//
//   SLUICE_ASSIGN_OR_RETURN(ConfigFile file, ConfigFile::Load(path));
//   options.port = file.Int("mysql.port", 3306, {1, 65535});
//   options.uid = file.RequireInt("tablet.uid", {1, 4294967295});
//   SLUICE_RETURN_IF_ERROR(file.Finish());
//
// Copies share what they remember. Thread-compatible.
class ConfigFile {
 public:
  // NOT_FOUND or INVALID_ARGUMENT names the file, and line and column of a syntax error.
  static absl::StatusOr<ConfigFile> Load(const std::string& path);
  // `name` stands for the file's name in errors.
  static absl::StatusOr<ConfigFile> Parse(absl::string_view text, absl::string_view name);

  [[nodiscard]] bool Has(absl::string_view key) const;
  // True when the key holds a list, of whatever.
  [[nodiscard]] bool HasList(absl::string_view key) const;

  std::string String(absl::string_view key, absl::string_view default_value = "");
  int64_t Int(absl::string_view key, int64_t default_value, IntRange range = {});
  bool Bool(absl::string_view key, bool default_value);
  // Text such as "30s", "500ms", "1m30s". Not negative.
  absl::Duration Duration(absl::string_view key, absl::Duration default_value);
  std::vector<std::string> StringList(absl::string_view key);

  // As above, but a key that is absent is an error too.
  std::string RequireString(absl::string_view key);
  int64_t RequireInt(absl::string_view key, IntRange range = {});

  // The tables of [[key]] in order; none when absent. Errors inside name "key[2].member".
  std::vector<ConfigFile> TableList(absl::string_view key);
  // The names below a table ("" for the root), in order of their text.
  std::vector<std::string> Names(absl::string_view key);
  // The table under one name of Names(key), whatever characters the name holds.
  ConfigFile Table(absl::string_view key, absl::string_view name);

  // Adds an error of the caller's own about a key.
  void AddError(absl::string_view key, absl::string_view message);

  // INVALID_ARGUMENT with every error met so far and every key of the file that no getter asked
  // for: "agent.toml: key mysql.port: expected an integer between 1 and 65535; unknown key
  // mysql.prot".
  [[nodiscard]] absl::Status Finish() const;

 private:
  struct File;
  struct Node;
  ConfigFile(std::shared_ptr<File> file, std::shared_ptr<const Node> node);

  std::shared_ptr<File> file_;
  std::shared_ptr<const Node> node_;  // null: an empty table
};

}  // namespace sluice
