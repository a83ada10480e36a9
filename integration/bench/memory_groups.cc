// The most memory that an agent takes with what is too large for it.

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/bench/bench.h"
#include "integration/bench/data.h"
#include "integration/bench/programs.h"
#include "integration/bench/server.h"
#include "integration/bench/stage.h"

namespace sluice::bench {
namespace {

constexpr char kBlobs[] = "memory-blobs";
constexpr char kTransaction[] = "memory-transaction";
constexpr uint64_t kRowBytes = 16U << 10U;  // of the large transaction
constexpr uint64_t kBlobBytes = 64U << 20U;

absl::Status ResetPeaks(Stage& stage) {
  for (const pid_t pid : stage.AgentPids()) {
    SLUICE_RETURN_IF_ERROR(ResetPeak(pid));
  }
  return absl::OkStatus();
}

absl::Status NotePeaks(Bench& bench, Stage& stage, const std::string& measure) {
  double most = 0;
  const char* role = "source_agent_mib";
  for (const pid_t pid : stage.AgentPids()) {
    SLUICE_ASSIGN_OR_RETURN(const double mib, PeakMib(pid));
    bench.Detail(measure, role, mib);
    role = "target_agent_mib";
    most = std::max(most, mib);
  }
  Bench::Say(absl::StrCat(measure, ": ", most, " MiB"));
  bench.Sample(measure, most);
  SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage.Verify());
  bench.Verified(measure, rows);
  return absl::OkStatus();
}

// Every run has agents of its own: what an earlier one has taken and kept is no excuse.
absl::Status CopyBlobs(Bench& bench) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Start(bench));
  const uint64_t bytes = std::min(kBlobBytes, bench.Scaled(10 * kBlobBytes, 1U << 20U));
  SLUICE_RETURN_IF_ERROR(
      MakeTables(stage->source(), {BlobTable("blobs", bench.Scaled(8, 2), bytes)}, false));
  SLUICE_RETURN_IF_ERROR(ResetPeaks(*stage));
  SLUICE_ASSIGN_OR_RETURN(const double seconds, stage->CopyAll());
  bench.Detail(kBlobs, "copy_s", seconds);
  return NotePeaks(bench, *stage, kBlobs);
}

absl::Status ApplyLargeTransaction(Bench& bench) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Start(bench));
  TableSpec table = BlobTable("big", 10, kRowBytes);
  SLUICE_RETURN_IF_ERROR(MakeTables(stage->source(), {table}, false));
  SLUICE_RETURN_IF_ERROR(stage->CopyAll().status());
  SLUICE_RETURN_IF_ERROR(ResetPeaks(*stage));
  const uint64_t rows = bench.Scaled((2ULL << 30U) / kRowBytes, 100);
  SLUICE_RETURN_IF_ERROR(
      RunAll(stage->source(),
             {absl::StrCat("SET SESSION cte_max_recursion_depth = ", rows),
              absl::StrCat(
                  "INSERT INTO big (id, b) WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + "
                  "1 FROM n WHERE i < ",
                  rows + 10, ") SELECT ", table.values, " FROM n")}));
  SLUICE_ASSIGN_OR_RETURN(const std::string executed, ExecutedOf(stage->source()));
  SLUICE_RETURN_IF_ERROR(stage->AwaitApplied(executed, absl::Hours(1)));
  return NotePeaks(bench, *stage, kTransaction);
}

Group MemoryGroup(const char* name, const std::string& what, absl::Status (*once)(Bench& bench)) {
  return {.measures = {{.name = name,
                        .unit = "MiB",
                        .target = 256,
                        .better = Better::kLower,
                        .what = "most resident memory of an agent " + what}},
          .run = [once](Bench& bench) -> absl::Status {
            for (size_t run = 0; run < bench.options().runs; ++run) {
              SLUICE_RETURN_IF_ERROR(once(bench));
            }
            return absl::OkStatus();
          }};
}

}  // namespace

std::vector<Group> MemoryGroups() {
  return {
      MemoryGroup(kBlobs, "during a copy of BLOBs of 64 MiB", CopyBlobs),
      MemoryGroup(kTransaction, "while a transaction of 2 GB is applied", ApplyLargeTransaction)};
}

}  // namespace sluice::bench
