// GateModel: tables of the answers of agent/gate's pure parts.

#include "integration/explore/gate_model.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/gate_row.h"
#include "agent/gate/planner.h"
#include "common/base/check.h"

namespace sluice::explore {
namespace {

constexpr absl::string_view kDatabase = "vt_commerce";

std::string TableName(uint8_t table) {
  return absl::StrCat("t", table);
}

// The names of a schema that hold tables with rows.
using Names = std::map<std::string, std::string>;  // name -> which table stands there

Names NamesWhen(uint8_t open) {
  Names names;
  for (uint8_t table = 0; table < kTables; ++table) {
    const std::string name = TableName(table);
    const bool is_open = ((open >> table) & 1U) != 0;
    names[is_open ? name : gate::ClosedName(name)] = name;
  }
  return names;
}

uint8_t OpenOf(const Names& names) {
  unsigned open = 0;
  for (uint8_t table = 0; table < kTables; ++table) {
    open |= names.contains(TableName(table)) ? 1U << table : 0U;
  }
  return static_cast<uint8_t>(open);
}

std::vector<gate::TableNames> Observe(const Names& names) {
  std::vector<gate::TableNames> tables;
  for (uint8_t table = 0; table < kTables; ++table) {
    const auto under = [&](const std::string& name) {
      return names.contains(name) ? gate::Object::kTable : gate::Object::kAbsent;
    };
    const std::string name = TableName(table);
    tables.push_back({.table = name,
                      .name = under(name),
                      .closed = under(gate::ClosedName(name)),
                      .view = gate::Object::kAbsent,
                      .columns = {"id"}});
  }
  return tables;
}

// `d`.`t` -> t
std::string Unquoted(absl::string_view name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '`');
  SLUICE_CHECK(parts.size() == 5 && parts[1] == kDatabase);
  return parts[3];
}

// What RENAME TABLE does: all or, where a name is missing or taken, nothing.
Names Rename(const Names& names, absl::string_view sql) {
  SLUICE_CHECK(absl::ConsumePrefix(&sql, "RENAME TABLE "));
  Names renamed = names;
  for (const absl::string_view move : absl::StrSplit(sql, ", ")) {
    const std::vector<std::string> ends = absl::StrSplit(move, " TO ");
    SLUICE_CHECK(ends.size() == 2);
    const auto from = renamed.find(Unquoted(ends[0]));
    if (from == renamed.end() || renamed.contains(Unquoted(ends[1]))) {
      return names;
    }
    renamed[Unquoted(ends[1])] = from->second;
    renamed.erase(Unquoted(ends[0]));
  }
  return renamed;
}

gate::State Wanted(bool open) {
  return open ? gate::State::kOpen : gate::State::kClosed;
}

}  // namespace

GateModel::Change GateModel::Plan(uint8_t open, bool wanted_open) {
  const Names names = NamesWhen(open);
  const auto plan = gate::PlanGate(kDatabase, Observe(names), Wanted(wanted_open));
  if (!plan.ok()) {
    return {.possible = false, .renames = false, .open = open};
  }
  // Views and what they are prepared on are of gates that stay readable, which are not modelled.
  SLUICE_CHECK(plan->before.empty() && plan->after.empty());
  if (plan->rename.empty()) {
    return {.possible = true, .renames = false, .open = open};
  }
  return {.possible = true, .renames = true, .open = OpenOf(Rename(names, plan->rename))};
}

bool GateModel::Allows(uint8_t row_epoch, bool row_open, GateRequest request) {
  std::optional<gate::GateRow> row;
  if (row_epoch > 0) {
    row = gate::GateRow{.state = std::string(gate::kChanging),
                        .wanted = std::string(gate::StateName(Wanted(row_open))),
                        .epoch = row_epoch,
                        .connection_id = 0,
                        .tables = {}};
  }
  return gate::CheckEpoch({.workflow = "customer.move", .database = std::string(kDatabase)}, row,
                          request.epoch, gate::StateName(Wanted(request.open)))
      .ok();
}

GateModel::GateModel(bool obey_any_epoch) {
  for (uint8_t open = 0; open <= kAllTables; ++open) {
    changes_.at(open) = {Plan(open, false), Plan(open, true)};
  }
  for (uint8_t row = 0; row < kEpochs; ++row) {
    for (uint8_t epoch = 1; epoch < kEpochs; ++epoch) {
      for (const bool row_open : {false, true}) {
        for (const bool open : {false, true}) {
          allowed_.at(row).at(row_open ? 1 : 0).at(epoch).at(open ? 1 : 0) =
              obey_any_epoch || Allows(row, row_open, {.epoch = epoch, .open = open});
        }
      }
    }
  }
}

GateAnswer GateModel::Apply(Gate& gate, GateRequest request, GateStop stop) const {
  const size_t wish = request.open ? 1 : 0;
  const Change& change = changes_[gate.open][wish];
  if (!allowed_[gate.epoch][gate.wants_open][request.epoch][wish] || !change.possible) {
    return {.refused = true, .settled = false};
  }
  const auto record = [&] {
    gate.epoch = request.epoch;
    gate.wants_open = static_cast<uint8_t>(wish);
  };
  if (change.renames) {
    record();
    if (stop == GateStop::kBehindIntent) {
      return {};
    }
    gate.open = change.open;
  }
  if (stop != GateStop::kNowhere) {
    return {};
  }
  record();
  return {.refused = false, .settled = true};
}

}  // namespace sluice::explore
