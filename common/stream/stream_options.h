// StreamOptions: what an operator may say of the streams of a workflow, in every process that
// handles it, with its spelling and its wire form.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "schemas/control.capnp.h"

namespace sluice::stream {

// What to do about a DDL statement of the source that names a table of the stream.
enum class OnDdl {
  kIgnore,      // pass over it
  kStop,        // stop before it, in state error
  kExec,        // run it on the target; a failure stops the stream
  kExecIgnore,  // run it on the target; go on when it fails
};

// Whether secondary keys are left out of a table until its rows are copied.
enum class DeferKeys {
  kAuto,  // where the table is large enough to gain
  kAlways,
  kNever,
};

struct NamedValue {
  std::string name;
  std::string value;
  friend bool operator==(const NamedValue&, const NamedValue&) = default;
};

// The fields of control.capnp StreamOptions. A value; thread-compatible.
struct StreamOptions {
  OnDdl on_ddl = OnDdl::kStop;
  bool allow_no_key = false;
  bool drop_foreign_keys = false;  // those that leave the moved tables
  DeferKeys defer_secondary_keys = DeferKeys::kAuto;
  std::vector<std::string> cells;  // empty: any cell
  // DATETIMEs are converted from the one to the other; both are empty or neither.
  std::string source_time_zone;
  std::string target_time_zone;
  std::vector<NamedValue> tuning;

  [[nodiscard]] bool ConvertsTimes() const { return !source_time_zone.empty(); }

  friend bool operator==(const StreamOptions&, const StreamOptions&) = default;
};

// What the stream back gets: the zones change places, and the cells, which are those of the old
// source, do not count.
StreamOptions ReverseOptions(const StreamOptions& forward);

// "IGNORE", "STOP", "EXEC", "EXEC_IGNORE".
absl::string_view OnDdlName(OnDdl on_ddl);
// Takes the names in any case, '-' for '_'. INVALID_ARGUMENT names the text and the choices.
absl::StatusOr<OnDdl> ParseOnDdl(absl::string_view text);
// "auto", "always", "never".
absl::string_view DeferKeysName(DeferKeys defer);

StreamOptions ReadStreamOptions(schemas::StreamOptions::Reader reader);
void WriteStreamOptions(const StreamOptions& options, schemas::StreamOptions::Builder builder);

}  // namespace sluice::stream
