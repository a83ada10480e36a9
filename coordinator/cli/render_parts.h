// The text of each kind of answer; the documents are described in coordinator/README.md.

#pragma once

#include <string>

#include "coordinator/cli/json_read.h"

namespace sluice::cli {

// {summary, start_state, current_state, dry_run_results[], details[]}
std::string OutcomeText(const Json& answer);
// {rules:[{from_table, to_tables[]}]}
std::string RoutingRulesText(const Json& answer);
// {rules:[{from_keyspace, to_keyspace, shard}]}
std::string ShardRoutingRulesText(const Json& answer);
// {tablets:[…]}
std::string TabletsText(const Json& answer);
// {keyspaces:[…]}
std::string KeyspacesText(const Json& answer);
// {name, shards:[{name, primary, …}]}
std::string KeyspaceText(const Json& answer);
// {workflows:[…]}
std::string WorkflowsText(const Json& answer, const std::string& keyspace);
// {proxies:[…]}
std::string ProxiesText(const Json& answer);
std::string ThrottleText(const Json& answer);
// {summary, traffic_state, findings:[{place, about, state, expected, verdict}]}
std::string DiagnosisText(const Json& answer);
// {summary, repairs:[{what, result}], remains[], findings[]}
std::string RepairText(const Json& answer);
// {attempts:[{…, steps:[…]}]}: one bar for each step, to the scale of its attempt.
std::string TimelineText(const Json& answer, const std::string& workflow);

}  // namespace sluice::cli
