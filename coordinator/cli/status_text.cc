// Status documents and their text.

#include "coordinator/cli/status_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/json_read.h"
#include "coordinator/cli/text_table.h"

namespace sluice::cli {
namespace {

constexpr int kBarWidth = 30;
constexpr absl::string_view kComplete = "COMPLETE";

double PercentOf(int64_t part, int64_t whole) {
  return whole <= 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

TableCopy ReadTable(const std::string& name, const Json& json) {
  TableCopy copy;
  copy.table = name;
  copy.rows_copied = IntOf(json, "rows_copied");
  copy.rows_total = IntOf(json, "rows_total");
  copy.bytes_copied = IntOf(json, "bytes_copied");
  copy.bytes_total = IntOf(json, "bytes_total");
  copy.phase = TextOf(json, "phase");
  copy.percent = copy.phase == kComplete ? 100
                                         : NumberOf(json, "rows_percentage",
                                                    PercentOf(copy.rows_copied, copy.rows_total));
  return copy;
}

StreamStatus ReadStream(const std::string& shard, const Json& json) {
  StreamStatus stream;
  const Json& tablet = Member(json, "tablet");
  stream.id = TextOf(json, "id");
  stream.keyspace = shard.substr(0, shard.find('/'));
  stream.alias = tablet.is_object()
                     ? absl::StrCat(TextOf(tablet, "cell"), "-", TextOf(tablet, "uid"))
                     : AsText(tablet);
  stream.status = TextOf(json, "status");
  stream.info = TextOf(json, "info");
  const int64_t lag_ms = IntOf(json, "lag_ms", -1);
  if (stream.info.empty() && lag_ms >= 0) {
    stream.info = absl::StrCat("VStream Lag: ", lag_ms / 1000, "s.");
  }
  if (!stream.info.empty() && !absl::EndsWith(stream.info, ".")) {
    stream.info += ".";
  }
  return stream;
}

std::string Fraction(const std::string& part, const std::string& whole) {
  return absl::StrCat(part, "/", whole);
}

std::vector<std::string> CopyRow(const TableCopy& copy, std::string last) {
  return {absl::StrCat("  ", copy.table),
          ProgressBar(copy.percent, kBarWidth),
          PercentText(copy.percent),
          Fraction(absl::StrCat(copy.rows_copied), absl::StrCat(copy.rows_total, " rows")),
          Fraction(BytesText(copy.bytes_copied), BytesText(copy.bytes_total)),
          std::move(last)};
}

}  // namespace

bool WorkflowStatus::CopyIsDone() const {
  if (tables.empty()) {
    return !streams.empty() &&
           std::all_of(streams.begin(), streams.end(),
                       [](const StreamStatus& stream) { return stream.status == "Running"; });
  }
  return std::all_of(tables.begin(), tables.end(),
                     [](const TableCopy& copy) { return copy.phase == kComplete; });
}

std::string WorkflowStatus::WhyStuck() const {
  if (CopyIsDone() || streams.empty()) {
    return "";
  }
  bool stopped = true;
  for (const StreamStatus& stream : streams) {
    if (stream.status == "Error") {
      return absl::StrCat("stream ", stream.id, " on ", stream.keyspace, "/", stream.alias,
                          " has failed: ", stream.info);
    }
    stopped = stopped && stream.status == "Stopped";
  }
  return stopped ? "every stream is stopped" : "";
}

TableCopy WorkflowStatus::Total() const {
  TableCopy total;
  total.table = "total";
  for (const TableCopy& copy : tables) {
    total.rows_copied += copy.rows_copied;
    total.rows_total += std::max(copy.rows_total, copy.rows_copied);
    total.bytes_copied += copy.bytes_copied;
    total.bytes_total += std::max(copy.bytes_total, copy.bytes_copied);
  }
  total.percent = CopyIsDone() ? 100 : PercentOf(total.rows_copied, total.rows_total);
  return total;
}

absl::StatusOr<WorkflowStatus> ReadStatus(absl::string_view json, absl::string_view workflow) {
  SLUICE_ASSIGN_OR_RETURN(const Json document, ParseJson(json));
  WorkflowStatus status;
  status.workflow = TextOf(document, "workflow");
  if (status.workflow.empty()) {
    status.workflow = std::string(workflow);
  }
  status.traffic_state = TextOf(document, "traffic_state");
  status.message = TextOf(document, "message");
  status.under_way = TextOf(document, "under_way");
  const Json& tables = Member(document, "table_copy_state");
  for (const auto& [name, copy] : tables.items()) {
    status.tables.push_back(ReadTable(name, copy));
  }
  const Json& shards = Member(document, "shard_streams");
  for (const auto& [shard, streams] : shards.items()) {
    for (const Json& stream : Member(streams, "streams")) {
      status.streams.push_back(ReadStream(shard, stream));
    }
  }
  return status;
}

std::string StatusText(const WorkflowStatus& status, absl::string_view total_note) {
  std::string text = absl::StrCat("The following vreplication streams exist for workflow ",
                                  status.workflow, ":\n\n");
  for (const StreamStatus& stream : status.streams) {
    absl::StrAppend(&text, "id=", stream.id, " on ", stream.keyspace, "/", stream.alias,
                    ": Status: ", stream.status, ".", stream.info.empty() ? "" : " ",
                    Printable(stream.info), "\n");
  }
  if (!status.tables.empty()) {
    TextTable table({"", "", "", "", "", ""});
    for (const size_t column : {2U, 3U, 4U}) {
      table.SetAlign(column, TextTable::Align::kRight);
    }
    for (const TableCopy& copy : status.tables) {
      table.Add(CopyRow(copy, copy.phase));
    }
    if (!total_note.empty()) {
      table.Add(CopyRow(status.Total(), std::string(total_note)));
    }
    absl::StrAppend(&text, "\nTable Copy Status:\n", table.ToText());
  }
  if (!status.message.empty()) {
    absl::StrAppend(&text, "\nMessage: ", Printable(status.message), "\n");
  }
  if (!status.under_way.empty()) {
    absl::StrAppend(&text, "\nUnder way: ", Printable(status.under_way), "\n");
  }
  absl::StrAppend(&text, "\nTraffic State: ", status.traffic_state, "\n");
  return text;
}

std::string ProgressBar(double percent, int width) {
  const double part = std::clamp(percent, 0.0, 100.0) / 100.0;
  // Full only when it is.
  const auto filled = static_cast<size_t>(std::floor(part * width));
  return absl::StrCat("[", std::string(filled, '#'),
                      std::string(static_cast<size_t>(width) - filled, '-'), "]");
}

std::string BytesText(int64_t bytes) {
  constexpr std::array<absl::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B")
                   : absl::StrFormat("%.1f %s", amount, kUnits.at(unit));
}

std::string PercentText(double percent) {
  // Not "100.0%" a moment too early.
  return absl::StrFormat("%.1f%%", percent < 100 ? std::min(percent, 99.9) : 100.0);
}

}  // namespace sluice::cli
