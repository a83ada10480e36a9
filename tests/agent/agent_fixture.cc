// The coordinator that only listens.

#include "tests/agent/agent_fixture.h"

namespace sluice::agent {

template <typename Request>
void Listener::Keep(Request request) {
  Heard heard;
  const auto identity = request.getIdentity();
  const auto health = request.getHealth();
  heard.agent_url = identity.getAgentUrl();
  heard.alias = absl::StrCat(identity.getCell().cStr(), "-", identity.getUid());
  heard.mysql_port = identity.getMysqlPort();
  heard.reachable = health.getReachable();
  heard.type = health.getType();
  heard.problem = health.getProblem();
  heard.gtid_executed = health.getGtidExecuted();
  for (const auto table : request.getTables()) {
    heard.tables.emplace_back(table);
  }
  heard.streams[heard.alias] = request.getStreams().size();
  for (const auto share : request.getOthers()) {
    heard.streams[absl::StrCat(identity.getCell().cStr(), "-", share.getUid())] =
        share.getStreams().size();
    if (share.getType() == schemas::TabletType::PRIMARY && share.getProblem().size() == 0) {
      auto& tables = heard.others[absl::StrCat(identity.getCell().cStr(), "-", share.getUid())];
      for (const auto table : share.getTables()) {
        tables.emplace_back(table);
      }
    }
  }
  const absl::MutexLock lock(&mutex_);
  heard.times_away = heard_.times_away + (heard.reachable ? 0 : 1);
  heard_ = heard;
}

absl::Status Listener::Start(const std::string& url) {
  server_ = std::make_unique<rpc::Server>(rpc::ServerOptions{.url = url});
  server_->Register<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
      schemas::Method::REGISTER_TABLET,
      [this](const rpc::RequestContext&, schemas::RegisterTabletRequest::Reader request,
             schemas::RegisterTabletReply::Builder reply) {
        reply.setReportIntervalMs(200);
        Keep(request);
        const absl::MutexLock lock(&mutex_);
        if (refuse_second_) {
          auto refusals = reply.initRefusals(2);
          refusals.set(1, "no such keyspace");
        }
        ++registrations_;
        return absl::OkStatus();
      });
  server_->Register<schemas::ReportTabletRequest, schemas::Empty>(
      schemas::Method::REPORT_TABLET,
      [this](const rpc::RequestContext&, schemas::ReportTabletRequest::Reader request,
             schemas::Empty::Builder) {
        Keep(request);
        const absl::MutexLock lock(&mutex_);
        ++reports_;
        return std::exchange(forget_, false) ? absl::NotFoundError("unknown tablet")
                                             : absl::OkStatus();
      });
  server_->Register<schemas::PickSourceRequest, schemas::PickSourceReply>(
      schemas::Method::PICK_SOURCE,
      [this](const rpc::RequestContext&, schemas::PickSourceRequest::Reader request,
             schemas::PickSourceReply::Builder reply) -> absl::Status {
        const absl::MutexLock lock(&mutex_);
        const auto found = primaries_.find(
            absl::StrCat(request.getKeyspace().cStr(), "/", request.getShard().cStr()));
        if (found == primaries_.end()) {
          return absl::UnavailableError("no serving PRIMARY");
        }
        reply.setAlias(found->second);
        return absl::OkStatus();
      },
      /*remember=*/false);
  return server_->Start();
}

}  // namespace sluice::agent
