// BackendSet: the backend sessions of one client.

#include "proxy/backend_set.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
  for (const auto& backend : backends_) {
    if (SameServer(backend->tablet(), tablet)) {
      return backend.get();
    }
  }
  return nullptr;
}

absl::StatusOr<Backend*> BackendSet::Get(const Tablet& tablet, const Settings& settings) {
  if (Backend* known = Find(tablet); known != nullptr) {
    if (!known->IsStale()) {
      return known;
    }
    Drop(known);
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
  backends_.push_back(std::move(backend));
  return backends_.back().get();
}

void BackendSet::Drop(const Backend* backend) {
  backends_.erase(
      std::remove_if(backends_.begin(), backends_.end(),
                     [&](const std::unique_ptr<Backend>& item) { return item.get() == backend; }),
      backends_.end());
}

std::vector<Backend*> BackendSet::all() const {
  std::vector<Backend*> all;
  all.reserve(backends_.size());
  for (const auto& backend : backends_) {
    all.push_back(backend.get());
  }
  return all;
}

}  // namespace sluice::proxy
