// Looking at a copy until it is done: `status --watch`.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/coordinator/cli/run_fixture.h"

namespace sluice::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Answers with the rows copied so far, a thousand more each time.
class Copy {
 public:
  std::string Look(const std::string& status = "Copying") {
    const absl::MutexLock lock(&mutex_);
    rows_ += 1000;
    return absl::StrCat(
        R"({"workflow": "customer.w", "traffic_state": "Reads Not Switched.", "table_copy_state":
           {"corder": {"rows_copied": )",
        rows_, R"(, "rows_total": 3000, "phase": ")", rows_ == 3000 ? "COMPLETE" : "IN_PROGRESS",
        R"("}}, "shard_streams": {"customer/0": {"streams": [{"id": 1, "tablet":
           {"cell": "zone1", "uid": 200}, "status": ")",
        status, R"("}]}}})");
  }

 private:
  absl::Mutex mutex_;
  int64_t rows_ ABSL_GUARDED_BY(mutex_) = 0;
};

using WatchTest = RunTest;

TEST_F(WatchTest, AWatchedCopyIsALineForEachLookUntilItIsDone) {
  Copy copy;
  Serve([&](const auto&, auto) -> absl::StatusOr<std::string> { return copy.Look(); });
  const Result result = Sluice({"movetables", "status", "customer.w", "--watch"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr(" 33.3% 1000/3000 rows "), HasSubstr(" 66.7% 2000/3000 rows "),
                    HasSubstr("ends in about"), HasSubstr(" 100.0% 3000/3000 rows "),
                    HasSubstr("Traffic State: Reads Not Switched.")));
}

TEST_F(WatchTest, OnATerminalAWatchedCopyIsRedrawnInItsPlace) {
  Copy copy;
  Serve([&](const auto&, auto) -> absl::StatusOr<std::string> { return copy.Look(); });
  const Result result = Sluice({"movetables", "progress", "--watch", "customer.w"}, true);
  EXPECT_EQ(result.code, 0) << result.err;
  // Nine lines each time.
  EXPECT_THAT(result.out, HasSubstr("Traffic State: Reads Not Switched.\n\x1b[9A\x1b[J"));
  EXPECT_THAT(result.out, HasSubstr("total"));
}

TEST_F(WatchTest, AWatchInJsonIsADocumentOnEachLine) {
  Copy copy;
  Serve([&](const auto&, auto) -> absl::StatusOr<std::string> { return copy.Look(); });
  const Result result = Sluice({"--format=json", "movetables", "status", "--watch", "customer.w"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 3);
}

TEST_F(WatchTest, AWatchEndsWithOneWhenTheCopyDoesNotGoOn) {
  Copy copy;
  Serve([&](const auto&, auto) -> absl::StatusOr<std::string> { return copy.Look("Stopped"); });
  const Result result = Sluice({"movetables", "status", "customer.w", "--watch"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("every stream is stopped"));
}

TEST_F(WatchTest, AWatchWaitsForACoordinatorThatAnsweredOnce) {
  Copy copy;
  std::atomic<int> looks = 0;
  Serve([&](const auto&, auto) -> absl::StatusOr<std::string> {
    return ++looks == 2 ? absl::StatusOr<std::string>(absl::UnavailableError("restarting"))
                        : copy.Look();
  });
  EXPECT_EQ(Sluice({"movetables", "status", "customer.w", "--watch"}).code, 0);
  EXPECT_EQ(looks, 4);
}

}  // namespace
}  // namespace sluice::cli
