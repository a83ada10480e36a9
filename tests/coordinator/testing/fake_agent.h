// FakeAgent: an agent that speaks the real protocol over a scripted set of tables.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/server.h"
#include "coordinator/topology/tablet.h"
#include "coordinator/workflow/agents.h"

namespace sluice::testing {

struct FakeAgentOptions {
  std::string cell = "zone1";
  uint32_t uid = 100;
  std::string keyspace = "commerce";
  std::string shard = "0";
  routing::TabletType type = routing::TabletType::kPrimary;
  uint64_t incarnation = 1000;
};

// Thread-safe.
class FakeAgent {
 public:
  explicit FakeAgent(FakeAgentOptions options);
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;
  ~FakeAgent();

  // A table with a primary key, open; change the answer's fields before the test uses it.
  workflow::TableDescription& AddTable(const std::string& name);
  // The next `times` calls of a method answer `status`.
  void Fail(schemas::Method method, const absl::Status& status, int times = 1);

  // What it would report at this moment.
  [[nodiscard]] topology::TabletReport Report() const;
  [[nodiscard]] std::string alias() const;
  // One line a call that changes something: "prepare customer.c2c corder,customer".
  [[nodiscard]] std::vector<std::string> Calls() const;
  [[nodiscard]] std::vector<std::string> TableNames() const;  // existing ones, open or closed
  [[nodiscard]] size_t StreamCount() const;
  // Sets a stream's reported state.
  void SetStream(const topology::StreamInfo& stream);

 private:
  absl::Status Injected(schemas::Method method);
  void Note(std::string call);
  void RegisterHandlers();
  void Describe(schemas::DescribeTablesRequest::Reader request,
                schemas::DescribeTablesReply::Builder reply);
  absl::Status Prepare(schemas::PrepareTargetRequest::Reader request);
  absl::Status Create(schemas::CreateStreamRequest::Reader request);
  absl::Status Control(schemas::ControlStreamRequest::Reader request);
  void Drop(schemas::DropTablesRequest::Reader request);

  const FakeAgentOptions options_;
  mutable absl::Mutex mutex_;
  std::map<std::string, workflow::TableDescription> tables_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, topology::StreamInfo> streams_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<schemas::Method, std::pair<absl::Status, int>> failures_ ABSL_GUARDED_BY(mutex_);
  rpc::Server server_;
};

}  // namespace sluice::testing
