// CheckCanApply: a stream's plans and its source, tried without writing.

#include "agent/target/stream_check.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/target/source_client.h"
#include "agent/target/table_plan.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {

absl::Status CheckCanApply(const StreamEnvironment& environment, const StreamSpec& spec,
                           mysql::Connection& connection) {
  SLUICE_RETURN_IF_ERROR(Annotate(TablePlans::Load(connection, spec.target_database, spec.tables,
                                                   {.allow_no_key = spec.options.allow_no_key,
                                                    .from_zone = spec.options.source_time_zone,
                                                    .to_zone = spec.options.target_time_zone})
                                      .status(),
                                  absl::StrCat("stream ", spec.id)));
  const absl::StatusOr<SourceAddress> address = environment.pick_source(spec);
  if (!address.ok()) {
    return absl::UnavailableError(absl::StrCat("no source for ", spec.source_keyspace, "/",
                                               spec.source_shard, ": ",
                                               address.status().message()));
  }
  SLUICE_ASSIGN_OR_RETURN(
      const std::unique_ptr<SourceClient> source,
      SourceClient::Connect(*address, absl::StrCat("agent ", environment.agent_name), spec.id));
  SLUICE_ASSIGN_OR_RETURN(const std::string position, source->ReadPosition());
  SLUICE_ASSIGN_OR_RETURN(const std::string session,
                          source->OpenBinlog(spec.source_database, spec.tables, position));
  source->CloseSession(session);
  return absl::OkStatus();
}

}  // namespace sluice::target
