// AdminService: what the CLI asks of the coordinator, command by command.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/server.h"
#include "coordinator/admin/traffic_api.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/store/store.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/move_tables.h"
#include "schemas/admin.capnp.h"

namespace sluice::admin {

struct AdminDeps {
  store::Store& store;
  topology::Topology& topology;
  rules::RuleService& rules;
  workflow::MoveTables& move_tables;
  TrafficApi& traffic;
};

// Thread-safe. A command runs in the thread that brought it and goes on when the CLI is gone.
class AdminService {
 public:
  explicit AdminService(const AdminDeps& deps) : deps_(deps) {}

  absl::Status Handle(const rpc::RequestContext& context, schemas::AdminRequest::Reader request,
                      schemas::AdminReply::Builder reply);

 private:
  absl::StatusOr<std::string> Dispatch(schemas::AdminRequest::Reader request, absl::Time deadline);
  absl::StatusOr<std::string> DispatchWorkflow(schemas::AdminRequest::Reader request,
                                               absl::Time deadline);
  absl::StatusOr<std::string> CreateKeyspace(schemas::KeyspaceCreate::Reader request);
  absl::StatusOr<std::string> Throttle(schemas::Throttle::Reader request, absl::Time deadline);
  absl::StatusOr<std::string> CreateMoveTables(schemas::MoveTablesCreate::Reader request,
                                               absl::Time deadline);

  const AdminDeps deps_;
};

}  // namespace sluice::admin
