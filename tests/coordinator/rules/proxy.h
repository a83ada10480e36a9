// Proxy: a proxy's polls over real rpc, one at a time.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/client.h"
#include "coordinator/store/records.h"

namespace sluice::rules {

struct Polled {
  bool changed = false;
  uint64_t epoch = 0;
  std::vector<routing::TableRule> rules;
  std::vector<store::ShardRule> shard_rules;
  std::vector<store::Hold> holds;
  std::vector<store::TableHome> homes;
  std::vector<std::string> serving;  // aliases
  std::vector<std::string> keyspaces;
};

struct Poll {
  uint64_t have = 0;
  uint64_t drained = 0;
  uint64_t refused = 0;
  std::string reason = {};
  std::string cell = {};
  uint32_t open_transactions = 0;
  absl::Duration wait = absl::Milliseconds(900);
};

class Proxy {
 public:
  Proxy(const std::string& url, std::string id);
  absl::StatusOr<Polled> Ask(const Poll& poll);

 private:
  std::string id_;
  std::unique_ptr<rpc::Client> client_;
};

}  // namespace sluice::rules
