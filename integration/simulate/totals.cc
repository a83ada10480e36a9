// Totals: many simulations in one page, and as JSON.

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "integration/simulate/simulate.h"

namespace sluice::simulate {
namespace {

constexpr double kMicrosAnHour = 3'600.0 * kSecond;

std::string Lines(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    absl::StrAppend(&text, absl::StrFormat("  %9d %s\n", count, name));
  }
  return text;
}

}  // namespace

void Totals::Add(const Outcome& outcome) {
  ++seeds;
  violations += outcome.violation.empty() ? 0U : 1U;
  events += outcome.events;
  virtual_time += outcome.virtual_time;
  acknowledged += outcome.acknowledged;
  reads += outcome.reads;
  lost_by_failover += outcome.lost_by_failover;
  streams_parted += outcome.streams_parted;
  shards += outcome.setup.shards;
  for (const auto& [name, count] : outcome.counts.faults) {
    counts.faults[name] += count;
  }
  for (const auto& [name, count] : outcome.counts.cutovers) {
    counts.cutovers[name] += count;
  }
  for (const auto& [name, count] : outcome.counts.gates) {
    counts.gates[name] += count;
  }
  counts.held += outcome.counts.held;
  counts.met_gate += outcome.counts.met_gate;
  counts.transactions += outcome.counts.transactions;
  counts.operations += outcome.counts.operations;
  counts.failed += outcome.counts.failed;
  counts.unknown += outcome.counts.unknown;
  network.messages += outcome.network.messages;
  network.lost += outcome.network.lost;
  network.doubled += outcome.network.doubled;
  network.late += outcome.network.late;
  network.cut_off += outcome.network.cut_off;
}

std::string Totals::Text(double seconds) const {
  return absl::StrCat(
      "cutovers:\n", Lines(counts.cutovers), "gates:\n", Lines(counts.gates), "faults:\n",
      Lines(counts.faults),
      absl::StrFormat("messages: %d, lost %d, doubled %d, late %d, to who was cut off %d\n",
                      network.messages, network.lost, network.doubled, network.late,
                      network.cut_off),
      absl::StrFormat("clients: %d operations, %d writes acknowledged, %d reads compared, %d held, "
                      "%d met a closed gate, %d failed, %d with unknown outcome\n",
                      counts.operations, acknowledged, reads, counts.held, counts.met_gate,
                      counts.failed, counts.unknown),
      absl::StrFormat("lost by failovers without semi-synchronous replicas: %d acknowledged "
                      "writes; streams parted by failovers and purges: %d\n",
                      lost_by_failover, streams_parted),
      absl::StrFormat("%d seeds, %d shards, %.1f virtual hours, %d events, %d violations, %.1f s\n",
                      seeds, shards, static_cast<double>(virtual_time) / kMicrosAnHour, events,
                      violations, seconds));
}

std::string Totals::Json(double seconds, const std::vector<Outcome>& failed) const {
  auto violated = nlohmann::json::array();
  for (const Outcome& outcome : failed) {
    violated.push_back({{"seed", outcome.seed},
                        {"violation", outcome.violation},
                        {"replay", ReplayCommand(outcome.seed)}});
  }
  return nlohmann::json({{"seeds", seeds},
                         {"shards", shards},
                         {"violations", violations},
                         {"failed", violated},
                         {"virtual_seconds", static_cast<double>(virtual_time) / kSecond},
                         {"events", events},
                         {"cutovers", counts.cutovers},
                         {"gates", counts.gates},
                         {"faults", counts.faults},
                         {"messages",
                          {{"sent", network.messages},
                           {"lost", network.lost},
                           {"doubled", network.doubled},
                           {"late", network.late},
                           {"cut_off", network.cut_off}}},
                         {"operations", counts.operations},
                         {"acknowledged_writes", acknowledged},
                         {"reads_compared", reads},
                         {"lost_by_failover", lost_by_failover},
                         {"streams_parted", streams_parted},
                         {"seconds", seconds}})
             .dump(2) +
         "\n";
}

}  // namespace sluice::simulate
