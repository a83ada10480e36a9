// SqliteStore: conformance, and what its file outlives.

#include "coordinator/store/sqlite_store.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "coordinator/store/sqlite.h"
#include "tests/coordinator/store/conformance.h"
#include "tests/coordinator/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice::store {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;

std::unique_ptr<Store> OpenIn(const std::string& folder) {
  auto opened = SqliteStore::Open(folder + "store");
  SLUICE_CHECK_OK(opened.status());
  return *std::move(opened);
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance, ::testing::Values(StoreMaker{"Sqlite", &OpenIn}),
                         [](const auto& made) { return made.param.name; });

TEST(SqliteStoreTest, AProcessThatDiesInATransactionLeavesTheLastCommit) {
  const TempDir dir;
  const std::string path = dir.File("store");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto opened = SqliteStore::Open(path);
    SLUICE_CHECK_OK(opened.status());
    SLUICE_CHECK_OK((*opened)->Transaction([](StoreTransaction& t) {
      return t.PutKeyspace({"commerce", {"0"}});
    }));
    (*opened)
        ->Transaction([](StoreTransaction& t) -> absl::Status {
          SLUICE_RETURN_IF_ERROR(t.PutKeyspace({"customer", {"0"}}));
          SLUICE_RETURN_IF_ERROR(t.WriteEpoch(7));
          _exit(137);
        })
        .IgnoreError();
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 137);
  auto store = SqliteStore::Open(path);
  ASSERT_THAT(store, IsOk());
  EXPECT_THAT((*store)->Read([](StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const auto keyspaces, reader.ListKeyspaces());
    EXPECT_EQ(keyspaces.size(), 1);
    SLUICE_ASSIGN_OR_RETURN(const uint64_t epoch, reader.ReadEpoch());
    EXPECT_EQ(epoch, 0);
    return absl::OkStatus();
  }),
              IsOk());
}

TEST(SqliteStoreTest, ASecondProcessIsKeptOutAsLongAsTheFirstLives) {
  const TempDir dir;
  const std::string path = dir.File("store");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto opened = SqliteStore::Open(path);
    SLUICE_CHECK_OK(opened.status());
    SLUICE_CHECK(write(ready[1], "x", 1) == 1);
    while (true) {
      pause();
    }
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT(SqliteStore::Open(path),
              StatusIs(absl::StatusCode::kUnavailable, "in use by another process"));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_THAT(SqliteStore::Open(path), IsOk());
  close(ready[0]);
  close(ready[1]);
}

TEST(SqliteStoreTest, AFileOfALaterVersionIsRefused) {
  const TempDir dir;
  const std::string path = dir.File("store");
  {
    auto database = SqliteDatabase::Open(path);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT((*database)->Execute("PRAGMA user_version = 99"), IsOk());
  }
  EXPECT_THAT(SqliteStore::Open(path),
              StatusIs(absl::StatusCode::kFailedPrecondition, "later version"));
}

TEST(SqliteStoreTest, AFileOfTheFirstVersionGetsWhatItLacks) {
  const TempDir dir;
  const std::string path = dir.File("store");
  const auto keyspaces = [](Store& store) {
    std::vector<KeyspaceRecord> list;
    EXPECT_THAT(store.Read([&](StoreReader& reader) -> absl::Status {
      SLUICE_ASSIGN_OR_RETURN(list, reader.ListKeyspaces());
      return absl::OkStatus();
    }),
                IsOk());
    return list;
  };
  const KeyspaceRecord keyspace{"commerce", {"0"}};
  {
    auto store = SqliteStore::Open(path);
    ASSERT_THAT(store, IsOk());
    ASSERT_THAT((*store)->Transaction([&](StoreTransaction& t) { return t.PutKeyspace(keyspace); }),
                IsOk());
  }
  {
    auto database = SqliteDatabase::Open(path);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(
        (*database)->Execute("DROP TABLE setting; ALTER TABLE cutover_step DROP COLUMN proxy; "
                             "PRAGMA user_version = 1"),
        IsOk());
  }
  auto store = SqliteStore::Open(path);
  ASSERT_THAT(store, IsOk());
  EXPECT_EQ(keyspaces(**store), std::vector<KeyspaceRecord>{keyspace});
  EXPECT_THAT((*store)->Transaction([](StoreTransaction& t) { return t.PutSetting("a", "b"); }),
              IsOk());
}

TEST(SqliteStoreTest, AFileThatIsNoDatabaseIsNamed) {
  const TempDir dir;
  EXPECT_THAT(SqliteStore::Open(dir.File("none/store")),
              StatusIs(absl::StatusCode::kUnavailable, "none/store"));
}

}  // namespace
}  // namespace sluice::store
