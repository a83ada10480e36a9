// BackendSet: the backend sessions of one client.

#include "proxy/backend/backend_set.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace sluice::proxy {
namespace {

constexpr size_t kSettingsMax = 256;

bool SameServer(const Tablet& a, const Tablet& b) {
  return a.alias == b.alias && a.host == b.host && a.port == b.port && a.database == b.database;
}

}  // namespace

absl::Status Settings::Record(const std::vector<std::string>& variables, const std::string& text) {
  const std::string key = absl::StrJoin(variables, ",");
  if (key == "insert_id" || key == "last_insert_id" || key == "identity") {
    return absl::OkStatus();  // of one statement, not of the session
  }
  texts_.erase(std::remove_if(texts_.begin(), texts_.end(),
                              [&](const auto& item) { return item.first == key; }),
               texts_.end());
  if (texts_.size() >= kSettingsMax) {
    return MysqlError(
        1235, absl::StrCat("more than ", kSettingsMax, " different SET statements in one session"));
  }
  texts_.emplace_back(key, text);
  return absl::OkStatus();
}

const Tablet& TabletChooser::Choose(const std::vector<const Tablet*>& candidates) {
  std::vector<const Tablet*> near;
  std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(near),
               [&](const Tablet* tablet) { return tablet->cell == cell_; });
  const std::vector<const Tablet*>& from = near.empty() ? candidates : near;
  return *from[turn_.fetch_add(1, std::memory_order_relaxed) % from.size()];
}

Backend* BackendSet::Find(const Tablet& tablet) const {
  const auto found = std::find_if(backends_.begin(), backends_.end(), [&](const Entry& entry) {
    return SameServer(entry.backend->tablet(), tablet);
  });
  return found == backends_.end() ? nullptr : found->backend.get();
}

Backend* BackendSet::Find(uint64_t number) const {
  const auto found = std::find_if(backends_.begin(), backends_.end(), [&](const Entry& entry) {
    return entry.session.number == number;
  });
  return found == backends_.end() ? nullptr : found->backend.get();
}

Backend* BackendSet::Outdated(const Tablet& tablet) const {
  const auto found = std::find_if(backends_.begin(), backends_.end(), [&](const Entry& entry) {
    return entry.session.alias == tablet.alias &&
           (!SameServer(entry.backend->tablet(), tablet) || entry.backend->IsStale());
  });
  return found == backends_.end() ? nullptr : found->backend.get();
}

absl::StatusOr<Backend*> BackendSet::Get(const Tablet& tablet, const Settings& settings) {
  if (Backend* known = Find(tablet); known != nullptr) {
    return known;
  }
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend,
                          Backend::Open(tablet, options_, capabilities_, collation_));
  for (const auto& [variables, text] : settings.texts()) {
    SLUICE_ASSIGN_OR_RETURN(const Response response, backend->Run(text));
    if (response.is_error) {
      return MysqlError(response.error.code, absl::StrCat("tablet ", tablet.alias, ": ", text, ": ",
                                                          response.error.message));
    }
  }
  backends_.push_back({.session = {.number = next_number_++,
                                   .alias = tablet.alias,
                                   .place = {tablet.keyspace, tablet.shard}},
                       .backend = std::move(backend)});
  return backends_.back().backend.get();
}

const ServerSession& BackendSet::SessionOf(const Backend* backend) const {
  const auto found = std::find_if(backends_.begin(), backends_.end(), [&](const Entry& entry) {
    return entry.backend.get() == backend;
  });
  SLUICE_CHECK(found != backends_.end());
  return found->session;
}

void BackendSet::Drop(const Backend* backend) {
  backends_.erase(
      std::remove_if(backends_.begin(), backends_.end(),
                     [&](const Entry& entry) { return entry.backend.get() == backend; }),
      backends_.end());
}

std::vector<Backend*> BackendSet::all() const {
  std::vector<Backend*> all;
  all.reserve(backends_.size());
  for (const Entry& entry : backends_) {
    all.push_back(entry.backend.get());
  }
  return all;
}

}  // namespace sluice::proxy
