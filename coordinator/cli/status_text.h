// A workflow's status: what the document says, and its text for people. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::cli {

struct TableCopy {
  std::string table;
  int64_t rows_copied = 0;
  int64_t rows_total = 0;  // an estimate until the table is complete
  double percent = 0;
  int64_t bytes_copied = 0;
  int64_t bytes_total = 0;
  std::string phase;  // UNKNOWN, NOT_STARTED, IN_PROGRESS, COMPLETE
};

struct StreamStatus {
  std::string id;
  std::string keyspace;
  std::string alias;
  std::string status;
  std::string info;
};

struct WorkflowStatus {
  std::string workflow;
  std::string traffic_state;
  std::string message;
  std::string under_way;
  std::vector<TableCopy> tables;
  std::vector<StreamStatus> streams;

  // Every table is copied; with none named, every stream runs.
  [[nodiscard]] bool CopyIsDone() const;
  // The copy is not done and no stream works on it, or one has failed: why. Empty else.
  [[nodiscard]] std::string WhyStuck() const;
  // All tables together.
  [[nodiscard]] TableCopy Total() const;
};

// `workflow` is its name where the document has none. DATA_LOSS when it is no JSON.
absl::StatusOr<WorkflowStatus> ReadStatus(absl::string_view json, absl::string_view workflow);

// `total_note` is printed behind a line for all tables ("1200 rows/s, …"); no such line when empty.
std::string StatusText(const WorkflowStatus& status, absl::string_view total_note = "");

// "[#####-----]".
std::string ProgressBar(double percent, int width);
// "4.1 MiB".
std::string BytesText(int64_t bytes);
// "41.2%".
std::string PercentText(double percent);

}  // namespace sluice::cli
