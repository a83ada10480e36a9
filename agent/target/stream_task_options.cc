// StreamTask: what an operator has said of keys and time zones: tables without a key, secondary
// keys that are put off, and the zones that plans convert between.

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/target/key_builder.h"
#include "agent/target/keyless_copier.h"
#include "agent/target/stream_task.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

absl::Status CheckZones(mysql::Connection& connection, const std::vector<std::string>& zones) {
  for (const std::string& zone : zones) {
    SLUICE_RETURN_IF_ERROR(CheckZone(connection, zone));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StreamTask::LoadPlans() {
  const stream::StreamOptions& options = record_.spec.options;
  if (options.ConvertsTimes()) {
    SLUICE_RETURN_IF_ERROR(
        CheckZones(*connection_, {options.source_time_zone, options.target_time_zone}));
  }
  absl::StatusOr<TablePlans> plans =
      TablePlans::Load(*connection_, record_.spec.target_database, record_.spec.tables,
                       {.allow_no_key = options.allow_no_key,
                        .from_zone = options.source_time_zone,
                        .to_zone = options.target_time_zone});
  SLUICE_RETURN_IF_ERROR(plans.status());
  plans_ = std::make_unique<TablePlans>(*std::move(plans));
  for (const CopyTable& table : record_.copy) {
    if (plans_->Find(table.table)->HasKey()) {
      continue;
    }
    if (table.done) {
      SLUICE_RETURN_IF_ERROR(SetCopiedAt(table));
    } else {
      plans_->SetAwaitsCopy(table.table);
    }
  }
  return absl::OkStatus();
}

absl::Status StreamTask::SetCopiedAt(const CopyTable& table) {
  absl::StatusOr<gtid::GtidSet> position = gtid::GtidSet::Parse(table.ranges.front().last_key);
  if (!position.ok()) {
    return WithSubject(absl::FailedPreconditionError(absl::StrCat(
                           "table ", table.table,
                           " had a key when it was copied and has none now; "
                           "give it its key again, or cancel the workflow and create it anew")),
                       table.table);
  }
  plans_->SetCopiedAt(table.table, *std::move(position));
  return absl::OkStatus();
}

absl::Status StreamTask::CopyKeyless() {
  KeylessCopier copier({.retry = Retry(),
                        .source = *source_,
                        .record = record_,
                        .options = tuning_.copier,
                        .snapshot_wait = tuning_.snapshot_wait,
                        .throttle = context_.throttle,
                        .on_commit = [this](const CopyTable& table) {
                          made_progress_ = true;
                          context_.board.SetCopyTable(table);
                        }});
  for (size_t i = 0; i < record_.copy.size(); ++i) {
    const CopyTable& table = record_.copy[i];
    if (table.done || plans_->Find(table.table)->HasKey()) {
      continue;
    }
    SLUICE_RETURN_IF_ERROR(copier.Copy(i));
    SLUICE_RETURN_IF_ERROR(SetCopiedAt(table));
  }
  return absl::OkStatus();
}

// Before the first row, so what is dropped and made here is nothing to nobody.
absl::Status StreamTask::DeferKeys(const OpenedSnapshot& snapshot) {
  const stream::DeferKeys wanted = record_.spec.options.defer_secondary_keys;
  // DDL of the source must find the table as it is there.
  if (wanted == stream::DeferKeys::kNever || watched_.on_ddl == DdlPolicy::kHandOver) {
    return absl::OkStatus();
  }
  std::map<std::string, uint64_t> bytes;
  for (const OpenedSnapshot::Estimate& estimate : snapshot.estimates) {
    bytes[estimate.table] = estimate.bytes;
  }
  for (const CopyTable& table : record_.copy) {
    const TablePlan& plan = *plans_->Find(table.table);
    const bool large = bytes[table.table] >= tuning_.defer_bytes_min;
    // A row without a key is looked for by whatever index helps.
    if (plan.HasKey() && (large || wanted == stream::DeferKeys::kAlways)) {
      SLUICE_RETURN_IF_ERROR(
          DeferKeysOf(*connection_, record_, table, plan.physical, context_.stopping));
    }
  }
  SLUICE_ASSIGN_OR_RETURN(StreamRecord now, store_->Load(id_));
  record_.copy = std::move(now.copy);
  return absl::OkStatus();
}

// The binlog is followed all the while, so that nothing is purged unread however long it takes.
absl::Status StreamTask::AddOwedKeys() {
  if (!record_.KeysOwed()) {
    return absl::OkStatus();
  }
  std::vector<CopyTable> owing;
  std::map<std::string, std::string> physical;
  for (const CopyTable& table : record_.copy) {
    if (!table.keys_owed.empty()) {
      owing.push_back(table);
      physical[table.table] = plans_->Find(table.table)->physical;
    }
  }
  KeyBuilder builder({.local = context_.environment.local,
                      .stream_id = id_,
                      .database = record_.spec.target_database,
                      .physical = std::move(physical),
                      .lock_wait = tuning_.key_lock_wait,
                      .retry_after = tuning_.key_retry},
                     std::move(owing), context_.stopping);
  SLUICE_RETURN_IF_ERROR(Follow([&] {
    context_.board.SetKeysNote(builder.doing());
    return builder.done();
  }));
  SLUICE_RETURN_IF_ERROR(builder.result());
  context_.board.SetKeysNote("");
  for (CopyTable& table : record_.copy) {
    table.keys_owed.clear();
  }
  return absl::OkStatus();
}

}  // namespace sluice::target
