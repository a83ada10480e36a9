// Summary: the figures of a demonstration, as JSON and as text.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "integration/workload/workload.h"

namespace sluice::demo {

struct CutoverStep {
  std::string name;
  int64_t started_us = 0;  // from the beginning of the cutover
  int64_t took_us = 0;
};

struct CutoverSummary {
  std::string command;  // "switchtraffic", "reversetraffic"
  double longest_client_pause_ms = 0;
  std::vector<CutoverStep> steps;
};

struct Summary {
  workload::WorkloadReport workload;
  uint64_t rows_compared = 0;
  uint64_t rows_different = 0;
  std::vector<CutoverSummary> cutovers;

  [[nodiscard]] bool good() const {
    return workload.lost_writes == 0 && workload.duplicated_writes == 0 && rows_different == 0 &&
           workload.wrong_reads == 0 && workload.client_errors == 0;
  }
};

std::string SummaryToJson(const Summary& summary);
std::string SummaryToText(const Summary& summary);
// One bar a step, drawn to scale.
std::string TimelineToText(const CutoverSummary& cutover);

}  // namespace sluice::demo
