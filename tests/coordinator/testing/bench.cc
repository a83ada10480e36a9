// Bench: the coordinator's parts on a store in a temporary folder, with fake agents.

#include "tests/coordinator/testing/bench.h"

#include <utility>

#include "common/base/check.h"

namespace sluice::testing {

Bench::Bench() {
  Open();
}

Bench::~Bench() {
  Close();
}

void Bench::Open() {
  auto opened = store::SqliteStore::Open(dir.File("store"));
  SLUICE_CHECK_OK(opened.status());
  store = *std::move(opened);
  topology = std::make_unique<topology::Topology>(*store);
  SLUICE_CHECK_OK(topology->Load());
  rules = std::make_unique<rules::RuleService>(*store, *topology);
  SLUICE_CHECK_OK(rules->Start());
  pool = std::make_unique<workflow::AgentPool>(*topology);
}

void Bench::Close() {
  rules->Close();
  pool.reset();
  rules.reset();
  topology.reset();
  store.reset();
}

void Bench::Restart() {
  Close();
  Open();
}

FakeAgent& Bench::AddAgent(const FakeAgentOptions& options) {
  agents.push_back(std::make_unique<FakeAgent>(options));
  SLUICE_CHECK_OK(topology->Register(agents.back()->Report()));
  return *agents.back();
}

void Bench::Report() {
  for (const auto& agent : agents) {
    SLUICE_CHECK_OK(topology->Report(agent->Report()));
  }
}

workflow::Services Bench::services() {
  return {*store, *topology, *rules, *pool, locks};
}

namespace {

FakeAgent& AddPrimary(Bench& bench, const std::string& keyspace, uint32_t uid) {
  SLUICE_CHECK_OK(bench.topology->CreateKeyspace(keyspace, {}));
  return bench.AddAgent({.uid = uid, .keyspace = keyspace});
}

}  // namespace

MoveBench::MoveBench()
    : source(AddPrimary(*this, "commerce", 100)), target(AddPrimary(*this, "customer", 200)) {
  source.AddTable("customer");
  source.AddTable("corder");
  source.AddTable("product");
}

}  // namespace sluice::testing
