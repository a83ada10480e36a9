// Summary: writing of the figures.

#include "integration/demo/summary.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice::demo {

std::string SummaryToJson(const Summary& summary) {
  nlohmann::ordered_json document;
  const workload::WorkloadReport& run = summary.workload;
  document["acknowledged_writes"] = run.acknowledged_writes;
  document["lost_writes"] = run.lost_writes;
  document["duplicated_writes"] = run.duplicated_writes;
  document["rows_compared"] = summary.rows_compared;
  document["rows_different"] = summary.rows_different;
  document["longest_client_pause_ms"] = run.longest_pause_ms;
  document["client_errors"] = run.client_errors;
  document["transaction_errors"] = run.transaction_errors;
  document["lost_connections"] = run.lost_connections;
  document["unknown_writes"] = run.unknown_writes;
  document["reads"] = run.reads;
  document["wrong_reads"] = run.wrong_reads;
  document["findings"] = run.findings;
  document["cutovers"] = nlohmann::ordered_json::array();
  for (const CutoverSummary& cutover : summary.cutovers) {
    nlohmann::ordered_json steps = nlohmann::ordered_json::array();
    for (const CutoverStep& step : cutover.steps) {
      steps.push_back(
          {{"name", step.name}, {"started_us", step.started_us}, {"took_us", step.took_us}});
    }
    document["cutovers"].push_back({{"command", cutover.command},
                                    {"longest_client_pause_ms", cutover.longest_client_pause_ms},
                                    {"steps", steps}});
  }
  return document.dump(2) + "\n";
}

std::string SummaryToText(const Summary& summary) {
  const workload::WorkloadReport& run = summary.workload;
  std::string text;
  absl::StrAppendFormat(&text, "  writes acknowledged       %d\n", run.acknowledged_writes);
  absl::StrAppendFormat(&text, "  writes lost               %d\n", run.lost_writes);
  absl::StrAppendFormat(&text, "  writes doubled            %d\n", run.duplicated_writes);
  absl::StrAppendFormat(&text, "  reads                     %d (%d wrong)\n", run.reads,
                        run.wrong_reads);
  absl::StrAppendFormat(&text, "  rows compared, both sides %d (%d different)\n",
                        summary.rows_compared, summary.rows_different);
  absl::StrAppendFormat(&text, "  client errors             %d\n", run.client_errors);
  absl::StrAppendFormat(&text, "  longest client pause      %.1f ms\n", run.longest_pause_ms);
  for (const std::string& finding : run.findings) {
    absl::StrAppend(&text, "  finding: ", finding, "\n");
  }
  return text;
}

std::string TimelineToText(const CutoverSummary& cutover) {
  constexpr int kWidth = 40;
  int64_t end = 1;
  for (const CutoverStep& step : cutover.steps) {
    end = std::max(end, step.started_us + step.took_us);
  }
  std::string text;
  for (const CutoverStep& step : cutover.steps) {
    const auto from = static_cast<int>(step.started_us * kWidth / end);
    const auto length = std::max(1, static_cast<int>(step.took_us * kWidth / end));
    absl::StrAppendFormat(&text, "  %-28s %8d us |%s%s\n", step.name, step.took_us,
                          std::string(static_cast<size_t>(from), ' '),
                          std::string(static_cast<size_t>(length), '#'));
  }
  return text;
}

}  // namespace sluice::demo
