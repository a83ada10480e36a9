// StreamOptions: spelling and wire form.

#include "common/stream/stream_options.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/wire/wire.h"

namespace sluice::stream {
namespace {

OnDdl FromWire(schemas::OnDdl on_ddl) {
  switch (on_ddl) {
    case schemas::OnDdl::IGNORE:
      return OnDdl::kIgnore;
    case schemas::OnDdl::STOP:
      return OnDdl::kStop;
    case schemas::OnDdl::EXEC:
      return OnDdl::kExec;
    case schemas::OnDdl::EXEC_IGNORE:
      return OnDdl::kExecIgnore;
  }
  return OnDdl::kStop;  // of a later version: a person must look
}

schemas::OnDdl ToWire(OnDdl on_ddl) {
  switch (on_ddl) {
    case OnDdl::kIgnore:
      return schemas::OnDdl::IGNORE;
    case OnDdl::kStop:
      return schemas::OnDdl::STOP;
    case OnDdl::kExec:
      return schemas::OnDdl::EXEC;
    case OnDdl::kExecIgnore:
      return schemas::OnDdl::EXEC_IGNORE;
  }
  return schemas::OnDdl::STOP;
}

DeferKeys FromWire(schemas::DeferKeys defer) {
  switch (defer) {
    case schemas::DeferKeys::AUTO:
      return DeferKeys::kAuto;
    case schemas::DeferKeys::ALWAYS:
      return DeferKeys::kAlways;
    case schemas::DeferKeys::NEVER:
      return DeferKeys::kNever;
  }
  return DeferKeys::kNever;
}

schemas::DeferKeys ToWire(DeferKeys defer) {
  switch (defer) {
    case DeferKeys::kAuto:
      return schemas::DeferKeys::AUTO;
    case DeferKeys::kAlways:
      return schemas::DeferKeys::ALWAYS;
    case DeferKeys::kNever:
      return schemas::DeferKeys::NEVER;
  }
  return schemas::DeferKeys::NEVER;
}

}  // namespace

StreamOptions ReverseOptions(const StreamOptions& forward) {
  StreamOptions reverse = forward;
  reverse.cells.clear();
  std::swap(reverse.source_time_zone, reverse.target_time_zone);
  return reverse;
}

absl::string_view OnDdlName(OnDdl on_ddl) {
  switch (on_ddl) {
    case OnDdl::kIgnore:
      return "IGNORE";
    case OnDdl::kStop:
      return "STOP";
    case OnDdl::kExec:
      return "EXEC";
    case OnDdl::kExecIgnore:
      return "EXEC_IGNORE";
  }
  return "STOP";
}

absl::StatusOr<OnDdl> ParseOnDdl(absl::string_view text) {
  const std::string name = absl::StrReplaceAll(text, {{"-", "_"}});
  for (const OnDdl on_ddl : {OnDdl::kIgnore, OnDdl::kStop, OnDdl::kExec, OnDdl::kExecIgnore}) {
    if (absl::EqualsIgnoreCase(name, OnDdlName(on_ddl))) {
      return on_ddl;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is none of IGNORE, STOP, EXEC and EXEC_IGNORE"));
}

absl::string_view DeferKeysName(DeferKeys defer) {
  switch (defer) {
    case DeferKeys::kAuto:
      return "auto";
    case DeferKeys::kAlways:
      return "always";
    case DeferKeys::kNever:
      return "never";
  }
  return "never";
}

StreamOptions ReadStreamOptions(schemas::StreamOptions::Reader reader) {
  StreamOptions options;
  options.on_ddl = FromWire(reader.getOnDdl());
  options.allow_no_key = reader.getAllowNoKey();
  options.drop_foreign_keys = reader.getDropForeignKeys();
  options.defer_secondary_keys = FromWire(reader.getDeferSecondaryKeys());
  options.cells = wire::Strs(reader.getCells());
  options.source_time_zone = wire::Str(reader.getSourceTimeZone());
  options.target_time_zone = wire::Str(reader.getTargetTimeZone());
  for (const auto item : reader.getTuning()) {
    options.tuning.push_back(
        {.name = wire::Str(item.getName()), .value = wire::Str(item.getValue())});
  }
  return options;
}

void WriteStreamOptions(const StreamOptions& options, schemas::StreamOptions::Builder builder) {
  builder.setOnDdl(ToWire(options.on_ddl));
  builder.setAllowNoKey(options.allow_no_key);
  builder.setDropForeignKeys(options.drop_foreign_keys);
  builder.setDeferSecondaryKeys(ToWire(options.defer_secondary_keys));
  wire::Fill(builder.initCells(wire::Size(options.cells)), options.cells);
  builder.setSourceTimeZone(options.source_time_zone);
  builder.setTargetTimeZone(options.target_time_zone);
  auto tuning = builder.initTuning(wire::Size(options.tuning));
  for (unsigned i = 0; i < tuning.size(); ++i) {
    tuning[i].setName(options.tuning[i].name);
    tuning[i].setValue(options.tuning[i].value);
  }
}

}  // namespace sluice::stream
