// Proxy: a proxy's polls over real rpc.

#include "tests/coordinator/rules/proxy.h"

#include <utility>

#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "schemas/routing.capnp.h"

namespace sluice::rules {

Proxy::Proxy(const std::string& url, std::string id)
    : id_(std::move(id)), client_(rpc::Client::Dial(url, "proxy " + id_).value()) {}

absl::StatusOr<Polled> Proxy::Ask(const Poll& poll) {
  Polled polled;
  const absl::Status status = client_->Call<schemas::PollRulesRequest, schemas::PollRulesReply>(
      schemas::Method::POLL_RULES,
      [&](auto request) {
        request.setProxyId(id_);
        request.setAddress("127.0.0.1:3306");
        request.setCell(poll.cell);
        request.setHaveEpoch(poll.have);
        request.setDrainedEpoch(poll.drained);
        request.setRefusedEpoch(poll.refused);
        request.setRefusedReason(poll.reason);
        request.setOpenTransactions(poll.open_transactions);
        request.setWaitMs(static_cast<uint32_t>(absl::ToInt64Milliseconds(poll.wait)));
      },
      [&](auto reply) {
        polled.changed = reply.getChanged();
        const auto rules = reply.getRules();
        polled.epoch = rules.getEpoch();
        for (const auto rule : rules.getTableRules()) {
          polled.rules.push_back({wire::Str(rule.getFromTable()), wire::Str(rule.getToTable())});
        }
        for (const auto hold : rules.getHolds()) {
          polled.holds.push_back({wire::Str(hold.getCutoverId()), wire::Strs(hold.getTables()),
                                  hold.getLeaseMs(), wire::Strs(hold.getShards())});
        }
        for (const auto rule : rules.getShardRules()) {
          polled.shard_rules.push_back({wire::Str(rule.getFromKeyspace()),
                                        wire::Str(rule.getShard()),
                                        wire::Str(rule.getToKeyspace())});
        }
        for (const auto home : rules.getHomes()) {
          polled.homes.push_back({wire::Str(home.getTable()), wire::Str(home.getKeyspace())});
        }
        for (const auto tablet : rules.getTablets()) {
          if (tablet.getServing()) {
            polled.serving.push_back(wire::Str(tablet.getAlias()));
          }
        }
        polled.keyspaces = wire::Strs(rules.getKeyspaces());
        return absl::OkStatus();
      },
      {.timeout = absl::Seconds(10)});
  SLUICE_RETURN_IF_ERROR(status);
  return polled;
}

}  // namespace sluice::rules
