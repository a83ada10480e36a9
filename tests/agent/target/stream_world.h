// StreamWorld: two mysqlds with a source role and a target role between them, in one process.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/source/source_service.h"
#include "agent/target/stream_manager.h"
#include "agent/target/write_times.h"
#include "agent/throttle/cluster_view.h"
#include "agent/throttle/sampler.h"
#include "common/mysql/connection.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::testing {

inline constexpr char kSourceDatabase[] = "vt_source";
inline constexpr char kTargetDatabase[] = "vt_target";

// A session on a server with `database` chosen. Null, and a failure reported, when it can't
// connect.
std::unique_ptr<mysql::Connection> ConnectTo(const Mysqld& server, const std::string& database);

// A status as the wire carries it.
struct SeenStatus {
  schemas::StreamState state = schemas::StreamState::INIT;
  std::string message;
  std::string position;
  int64_t lag_ms = -1;
  uint64_t rows_copied = 0;
  uint64_t rows_applied = 0;
  bool frozen = false;
  std::string throttled_component;
  std::string throttled_reason;
  int64_t time_throttled = 0;
  target::WriteTimes copy_times;
  target::WriteTimes apply_times;
};

// The roles talk over loopback, as in two agents. Owned by the test's thread.
class StreamWorld {
 public:
  // Null, and a failure reported, when a server does not start. Both databases and the sidecar's
  // tables stand.
  static std::unique_ptr<StreamWorld> Start(target::StreamTuning tuning,
                                            std::vector<std::string> source_options = {},
                                            std::vector<std::string> target_options = {});
  ~StreamWorld();

  // Runs statements on a side; a failure is reported.
  void OnSource(const std::vector<std::string>& statements);
  void OnTarget(const std::vector<std::string>& statements);
  // The same CREATE TABLE on both sides.
  void CreateTable(const std::string& definition);

  // The target's agent goes and comes back; the source's likewise.
  void StopTarget();
  void StartTarget();
  void StopSource();
  void StartSource();
  Mysqld& source_mysqld() { return *source_mysqld_; }
  Mysqld& target_mysqld() { return *target_mysqld_; }
  target::StreamManager& manager() { return *manager_; }
  source::SourceService& source() { return *source_; }
  [[nodiscard]] const std::string& source_url() const { return source_url_; }

  static target::StreamSpec Spec(uint64_t id, std::vector<std::string> tables);
  absl::Status Create(const target::StreamSpec& spec, bool start = true);
  // Gives a stream the options and the switch of `spec`.
  absl::StatusOr<SeenStatus> Update(const target::StreamSpec& spec, uint64_t epoch);
  // What the coordinator says to the target's agent: the reason of the switch for all, or empty.
  void TellSwitch(const std::string& throttled);
  absl::StatusOr<SeenStatus> Control(uint64_t id, schemas::StreamAction action, uint64_t epoch);
  // NOT_FOUND when it is not listed.
  absl::StatusOr<SeenStatus> Status(uint64_t id);
  // Waits until `wanted` holds; returns the last status, and reports a failure when it never did.
  SeenStatus AwaitStatus(uint64_t id, const std::function<bool(const SeenStatus&)>& wanted,
                         absl::Duration timeout = absl::Seconds(60));
  SeenStatus AwaitState(uint64_t id, schemas::StreamState state);

  // Writes a marker on the source and waits until the stream has applied it.
  void Drain(uint64_t id);
  absl::StatusOr<std::string> AwaitMarker(uint64_t id, const std::string& marker,
                                          absl::Duration wait);

  // Every row of a table with every column, in key order, as text.
  static std::vector<std::string> Dump(const Mysqld& server, const std::string& database,
                                       const std::string& table);
  // Compares a table of both sides; `target_table` empty: the same name.
  void ExpectSame(const std::string& table, const std::string& target_table = "");

 private:
  explicit StreamWorld(target::StreamTuning tuning) : tuning_(tuning) {}

  absl::Status Call(schemas::Method method,
                    const std::function<void(capnp::AnyPointer::Builder)>& build,
                    const std::function<absl::Status(capnp::AnyPointer::Reader)>& read,
                    absl::Duration timeout);

  const target::StreamTuning tuning_;
  std::unique_ptr<Mysqld> source_mysqld_;
  std::unique_ptr<Mysqld> target_mysqld_;
  std::string source_url_ = "tcp://127.0.0.1:0";
  std::string target_url_ = "tcp://127.0.0.1:0";
  std::unique_ptr<source::SourceService> source_;
  std::unique_ptr<rpc::Server> source_server_;
  std::unique_ptr<target::StreamManager> manager_;
  std::unique_ptr<rpc::Server> target_server_;
  std::unique_ptr<rpc::Client> client_;
  int markers_ = 0;
  // Both sides lag by nothing.
  std::unique_ptr<throttle::Sampler> source_sampler_;
  std::unique_ptr<throttle::Sampler> target_sampler_;
  std::unique_ptr<throttle::ClusterView> cluster_;
  std::unique_ptr<target::Throttles> throttles_;
};

}  // namespace sluice::testing
