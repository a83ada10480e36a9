// Text of outcomes and lists.

#include <nlohmann/json.hpp>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/render_parts.h"
#include "coordinator/cli/text_table.h"

namespace sluice::cli {
namespace {

// "zone1-200", also where it is spelled as its parts.
std::string AliasText(const Json& tablet) {
  return tablet.is_object() ? absl::StrCat(TextOf(tablet, "cell"), "-", TextOf(tablet, "uid"))
                            : AsText(tablet);
}

std::string DetailText(const Json& detail) {
  if (!detail.is_object()) {
    return AsText(detail);
  }
  const Json& deleted = Member(detail, "deleted");
  const Json& changed = Member(detail, "changed");
  std::string what = TextOf(detail, "message");
  if (deleted.is_boolean()) {
    what = deleted.get<bool>() ? "deleted" : "not deleted";
  } else if (changed.is_boolean()) {
    what = changed.get<bool>() ? "changed" : "not changed";
  }
  return absl::StrCat(AliasText(Member(detail, "tablet")), ": ", what);
}

// Names, also where each item is an object that has one.
std::vector<std::string> NamesOf(const Json& items) {
  std::vector<std::string> names;
  for (const Json& item : items) {
    names.push_back(Printable(item.is_object() ? TextOf(item, "name") : AsText(item)));
  }
  return names;
}

std::string LagText(int64_t lag_ms) {
  if (lag_ms < 0) {
    return "";
  }
  return lag_ms < 10'000 ? absl::StrCat(lag_ms, " ms") : absl::StrCat(lag_ms / 1000, " s");
}

std::string Milliseconds(int64_t us) {
  return absl::StrFormat("%.1f ms", static_cast<double>(us) / 1000);
}

// What a dry run has measured; nothing where it has not.
std::string MeasuresText(const Json& answer) {
  TextTable table({"  STEP", "PLACE", "EXPECTED", "BASIS", ""});
  table.SetAlign(2, TextTable::Align::kRight);
  bool gates_known = true;
  for (const Json& measure : Member(answer, "measures")) {
    const std::string detail = TextOf(measure, "detail");
    const std::string step = TextOf(measure, "step");
    const std::string basis = TextOf(measure, "basis");
    // A round trip is all that can be measured while nothing is closed.
    if ((step == "close_gate" || step == "open_gate") && basis == "measured") {
      gates_known = false;
    }
    table.Add({absl::StrCat("  ", step), TextOf(measure, "place"),
               Milliseconds(IntOf(measure, "expected_us")), basis,
               BoolOf(measure, "problem") ? absl::StrCat("PROBLEM: ", detail) : detail});
  }
  if (table.empty()) {
    return "";
  }
  const int64_t pause_us = IntOf(answer, "expected_pause_us");
  if (pause_us == 0) {
    return table.ToText();
  }
  return absl::StrCat(table.ToText(), "  Clients are expected to wait for ",
                      gates_known ? "" : "at least ", Milliseconds(pause_us),
                      gates_known
                          ? "\n"
                          : "; what mysqld needs for the gates is not known before the first "
                            "switch in this direction\n");
}

}  // namespace

std::string OutcomeText(const Json& answer) {
  std::string text;
  if (const std::string warning = TextOf(answer, "warning"); !warning.empty()) {
    absl::StrAppend(&text, "WARNING: ", Printable(warning), "\n");
  }
  absl::StrAppend(&text, Printable(TextOf(answer, "summary")), "\n");
  for (const auto& [key, title] :
       {std::pair<absl::string_view, absl::string_view>{"start_state", "Start State: "},
        {"current_state", "Current State: "}}) {
    if (const std::string state = TextOf(answer, key); !state.empty()) {
      absl::StrAppend(&text, title, Printable(state), "\n");
    }
  }
  for (const Json& line : Member(answer, "dry_run_results")) {
    absl::StrAppend(&text, "  ", Printable(AsText(line)), "\n");
  }
  text += MeasuresText(answer);
  for (const Json& detail : Member(answer, "details")) {
    absl::StrAppend(&text, "  ", Printable(DetailText(detail)), "\n");
  }
  return text;
}

std::string RoutingRulesText(const Json& answer) {
  TextTable table({"FROM TABLE", "TO TABLE"});
  for (const Json& rule : Member(answer, "rules")) {
    const std::string to = JoinOf(rule, "to_tables", ", ");
    table.Add({TextOf(rule, "from_table"), to.empty() ? "(disabled)" : to});
  }
  return table.empty() ? "No routing rules\n" : table.ToText();
}

std::string ShardRoutingRulesText(const Json& answer) {
  TextTable table({"FROM KEYSPACE", "TO KEYSPACE", "SHARD"});
  for (const Json& rule : Member(answer, "rules")) {
    table.Add({TextOf(rule, "from_keyspace"), TextOf(rule, "to_keyspace"), TextOf(rule, "shard")});
  }
  return table.empty() ? "No shard routing rules\n" : table.ToText();
}

std::string TabletsText(const Json& answer) {
  TextTable table({"ALIAS", "KEYSPACE", "SHARD", "TYPE", "STATE", "ADDRESS", "LAG", "PROBLEM"});
  table.SetAlign(6, TextTable::Align::kRight);
  std::string remarks;
  for (const Json& tablet : Member(answer, "tablets")) {
    for (const Json& remark : Member(tablet, "remarks")) {
      absl::StrAppend(&remarks, TextOf(tablet, "alias"), ": ", Printable(AsText(remark)), "\n");
    }
    const bool replica = TextOf(tablet, "type") != "PRIMARY";
    table.Add({TextOf(tablet, "alias"), TextOf(tablet, "keyspace"), TextOf(tablet, "shard"),
               TextOf(tablet, "type"), TextOf(tablet, "state"),
               absl::StrCat(TextOf(tablet, "hostname"), ":", TextOf(tablet, "port")),
               replica ? LagText(IntOf(tablet, "replica_lag_ms", -1)) : "",
               TextOf(tablet, "problem")});
  }
  return table.empty() ? "No tablets\n" : absl::StrCat(table.ToText(), remarks);
}

std::string KeyspacesText(const Json& answer) {
  const std::vector<std::string> names = NamesOf(Member(answer, "keyspaces"));
  return names.empty() ? "No keyspaces\n" : absl::StrCat(absl::StrJoin(names, "\n"), "\n");
}

std::string KeyspaceText(const Json& answer) {
  TextTable table({"SHARD", "PRIMARY", "TABLETS", "PROBLEM"});
  for (const Json& shard : Member(answer, "shards")) {
    if (!shard.is_object()) {
      table.Add({AsText(shard)});
      continue;
    }
    std::vector<std::string> tablets;
    for (const Json& tablet : Member(shard, "tablets")) {
      const std::string alias = TextOf(tablet, "alias");
      tablets.push_back(alias.empty() ? AliasText(tablet) : alias);
    }
    const std::string primary = AliasText(Member(shard, "primary"));
    table.Add({TextOf(shard, "name"), primary.empty() ? "none" : primary,
               absl::StrJoin(tablets, ", "), TextOf(shard, "problem")});
  }
  return absl::StrCat("Keyspace ", Printable(TextOf(answer, "name")), "\n", table.ToText());
}

std::string WorkflowsText(const Json& answer, const std::string& keyspace) {
  const std::vector<std::string> names = NamesOf(Member(answer, "workflows"));
  if (names.empty()) {
    return absl::StrCat("No workflows found in keyspace ", keyspace, "\n");
  }
  return absl::StrCat("The following workflow(s) found in keyspace ", keyspace, ": ",
                      absl::StrJoin(names, ", "), "\n");
}

std::string ThrottleText(const Json& answer) {
  std::string text = absl::StrCat(Printable(TextOf(answer, "summary")), "\n");
  for (const Json& workflow : Member(answer, "workflows")) {
    absl::StrAppend(&text, "  ", Printable(TextOf(workflow, "workflow")),
                    " is throttled by hand: ", Printable(TextOf(workflow, "reason")), "\n");
  }
  return text;
}

std::string ProxiesText(const Json& answer) {
  TextTable table({"PROXY", "ADDRESS", "CELL", "EPOCH", "DRAINED", "HELD", "HEARD", "REFUSED"});
  for (const size_t column : {3U, 4U, 5U, 6U}) {
    table.SetAlign(column, TextTable::Align::kRight);
  }
  for (const Json& proxy : Member(answer, "proxies")) {
    const std::string heard = LagText(IntOf(proxy, "last_heard_ms", -1));
    table.Add({TextOf(proxy, "id"), TextOf(proxy, "address"), TextOf(proxy, "cell"),
               TextOf(proxy, "epoch"), TextOf(proxy, "drained_epoch"),
               TextOf(proxy, "held_statements"), heard.empty() ? "" : heard + " ago",
               TextOf(proxy, "refused_reason")});
  }
  return table.empty() ? "No proxies\n" : table.ToText();
}

}  // namespace sluice::cli
