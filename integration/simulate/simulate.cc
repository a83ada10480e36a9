// One simulation: the operator, the phases, and the last judgement.

#include "integration/simulate/simulate.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/simulate/clients.h"
#include "integration/simulate/faults.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

// Of virtual time.
constexpr Micros kBegins = 100 * kMilli;
constexpr Micros kEndsWithin = 90 * kSecond;  // a cutover, once nothing goes wrong any more
constexpr Micros kQuietens = 40 * kSecond;

class Simulation {
 public:
  Simulation(uint64_t seed, const Setup& setup, Trace::Print print)
      : world_(seed, setup, std::move(print)), clients_(world_), faults_(world_) {}

  Outcome Run(uint64_t seed) {
    world_.Begin();
    RunFor(kBegins);
    clients_.Begin();
    faults_.Begin();
    for (uint32_t i = 0; i < world_.setup().cutovers && good(); ++i) {
      RunFor(world_.random.Between(50 * kMilli, kSecond));
      Give(DrawCommand());
      RunUntilIdle(world_.random.Between(kSecond, 15 * kSecond));
    }
    faults_.Stop();
    EndWhatIsUnderWay();
    CutOverInPeace();
    Quieten();
    if (good()) {
      Judge();
    }
    return OutcomeOf(seed);
  }

 private:
  [[nodiscard]] bool good() const { return world_.oracle.violation().empty(); }
  Oracle& oracle() { return world_.oracle; }

  void RunFor(Micros time) {
    const Micros until = world_.scheduler.now() + time;
    while (good() && world_.scheduler.RunNext(until)) {
    }
  }
  void RunUntilIdle(Micros at_most) {
    const Micros until = world_.scheduler.now() + at_most;
    while (good() && !world_.store.cutover.empty() && world_.scheduler.now() < until) {
      RunFor(10 * kMilli);
    }
  }

  // One that makes sense now.
  Command DrawCommand() {
    Random& random = world_.random;
    const workflow::WorkflowRecord& record = world_.store.records.original;
    Command command;
    command.reads = random.OneIn(4);
    command.reversal = command.reads ? record.replica_switched : record.writes_switched;
    command.held = !command.reads && random.OneIn(4);
    command.counters = !command.reads && random.OneIn(3);
    return command;
  }

  void Give(const Command& command) {
    if (!world_.coordinator().Run(command)) {
      return;
    }
    if (command.held) {
      const bool releases = !world_.random.OneIn(4);
      const Micros after = world_.random.Between(20 * kMilli, 2 * kSecond);
      world_.scheduler.In(after, [this, releases] { Decide(releases); });
    }
  }
  // A person asks again until something happens.
  void Decide(bool releases) {
    Coordinator& coordinator = world_.coordinator();
    if (world_.store.cutover.empty() && !coordinator.busy()) {
      return;
    }
    if (coordinator.process.up() && coordinator.WaitsForRelease()) {
      releases ? coordinator.Release() : coordinator.Abort();
    }
    world_.scheduler.In(200 * kMilli, [this, releases] { Decide(releases); });
  }

  void EndWhatIsUnderWay() {
    RunUntilIdle(kEndsWithin);
    if (good() && !world_.store.cutover.empty()) {
      const auto operation = cutover::DecodeOperation(world_.store.cutover);
      oracle().Violate(absl::StrCat(
          "nothing has gone wrong for ", kEndsWithin / kSecond,
          " s, and the cutover has not ended: ",
          operation.ok() ? cutover::WaitingFor(std::get<cutover::StoredCutover>(*operation).state)
                         : "its state can't be read"));
    }
  }

  [[nodiscard]] bool AllStreamsGood() const {
    for (uint32_t shard = 0; shard < world_.shards(); ++shard) {
      if (world_.stream_failed(shard) || world_.oracle.excused(shard)) {
        return false;
      }
    }
    return true;
  }

  // With nothing in its way one must come to its end, if need be at the second attempt: whoever sat
  // on the tables is gone by then.
  void CutOverInPeace() {
    if (!good() || !AllStreamsGood()) {
      return;
    }
    const uint8_t before = world_.ServingSide();
    for (int attempt = 0; attempt < 3 && good() && world_.ServingSide() == before; ++attempt) {
      RunFor(12 * kSecond);
      Give({.reads = false, .reversal = before == 1, .held = false, .counters = false});
      EndWhatIsUnderWay();
    }
    if (good() && AllStreamsGood() && world_.ServingSide() == before) {
      const std::vector<cutover::State>& ended = world_.store.ended;
      oracle().Violate(absl::StrCat("nothing goes wrong, and no cutover gets through: ",
                                    ended.empty() ? "none was begun" : ended.back().failure));
    }
  }

  void Quieten() {
    clients_.Stop();
    RunFor(kQuietens);
    if (good() && clients_.busy() > 0) {
      oracle().Violate(absl::StrCat(clients_.busy(), " clients were never answered"));
    }
  }

  void Judge() {
    const uint8_t side = world_.ServingSide();
    const Store& store = world_.store;
    if (store.writes != side || !store.holds.empty()) {
      oracle().Violate("the rules do not fit what is committed");
    }
    for (const std::unique_ptr<Proxy>& proxy : world_.proxies()) {
      if (proxy->epoch() != store.rules_epoch) {
        oracle().Violate(absl::StrCat(proxy->id(), " does not obey the newest rules"));
      }
    }
    for (uint32_t shard = 0; shard < world_.shards(); ++shard) {
      if (!oracle().excused(shard)) {
        JudgeShard(shard, side);
      }
    }
  }

  void JudgeShard(uint32_t shard, uint8_t side) {
    Mysqld& owner = world_.Primary(side, shard);
    Mysqld& other = world_.Primary(1U - side, shard);
    for (uint8_t table = 0; table < kTables; ++table) {
      if (ObjectUnder(owner.data(), table, false) != gate::Object::kTable || owner.read_only()) {
        oracle().Violate(absl::StrCat(owner.name(), " serves and is not open"));
      }
      const bool as_a_whole = other.ClosedByGate() && other.read_only_persisted();
      if (ObjectUnder(other.data(), table, true) != gate::Object::kTable && !as_a_whole) {
        oracle().Violate(absl::StrCat(other.name(), " does not serve and is not closed"));
      }
      const Mysqld& reader = world_.Primary(world_.store.reads, shard);
      const gate::Object seen = ObjectUnder(reader.data(), table, false);
      if (seen != gate::Object::kTable && seen != gate::Object::kGateView) {
        oracle().Violate(absl::StrCat("reads are sent to ", reader.name(), ", which has no ",
                                      kTableNames.at(table)));
      }
    }
    oracle().JudgeOwner(owner);
    if (world_.stream_failed(shard)) {
      return;
    }
    if (Living(other) != 1) {
      oracle().Violate(absl::StrCat(other.name(), " is fed by ", Living(other), " streams"));
    }
    if (Living(owner) != 0) {
      oracle().Violate(absl::StrCat(owner.name(), " serves and a stream writes to it"));
    }
    oracle().JudgeCopy(owner, other);
  }
  static int Living(const Mysqld& mysqld) {
    int running = 0;
    for (const auto& [id, stream] : mysqld.data().streams) {
      running += stream.running ? 1 : 0;
    }
    return running;
  }

  Outcome OutcomeOf(uint64_t seed) {
    Outcome outcome;
    outcome.seed = seed;
    outcome.setup = world_.setup();
    outcome.violation = oracle().violation();
    outcome.trace_hash = world_.trace.hash();
    outcome.events = world_.scheduler.events();
    outcome.virtual_time = world_.scheduler.now();
    outcome.acknowledged = oracle().acknowledged();
    outcome.reads = oracle().reads();
    outcome.lost_by_failover = oracle().lost_by_failover();
    for (uint32_t shard = 0; shard < world_.shards(); ++shard) {
      outcome.streams_parted += world_.stream_failed(shard) ? 1U : 0U;
    }
    outcome.counts = world_.counts;
    outcome.network = world_.network.counts();
    return outcome;
  }

  World world_;
  Clients clients_;
  Faults faults_;
};

}  // namespace

Setup SetupOf(uint64_t seed) {
  Random random(seed ^ 0x5EED5EED5EED5EEDU);
  Setup setup;
  const uint64_t size = random.Below(20);
  setup.shards = static_cast<uint32_t>(size == 0   ? random.Between(33, 64)
                                       : size <= 3 ? random.Between(17, 32)
                                                   : random.Between(8, 16));
  setup.proxies = static_cast<uint32_t>(random.Between(1, 4));
  setup.clients = static_cast<uint32_t>(random.Between(4, 10));
  setup.semi_sync = !random.OneIn(5);
  setup.purges = random.OneIn(8);
  setup.cutovers = static_cast<uint32_t>(random.Between(2, 6));
  switch (random.Below(4)) {
    case 0:
      setup.fault_every = random.Between(5 * kSecond, 30 * kSecond);
      break;
    case 1:
      setup.fault_every = random.Between(200 * kMilli, kSecond);
      break;
    default:
      setup.fault_every = random.Between(kSecond, 5 * kSecond);
      break;
  }
  if (!random.OneIn(4)) {
    setup.network.lost = static_cast<uint32_t>(random.Below(12));
    setup.network.doubled = static_cast<uint32_t>(random.Below(20));
    setup.network.late = static_cast<uint32_t>(random.Below(12));
    setup.store_refuses = random.OneIn(2) ? 30 : 0;
  }
  setup.server_gates = static_cast<uint32_t>(50 * random.Below(3));
  return setup;
}

Outcome Simulate(uint64_t seed, const Setup& setup, const Trace::Print& print) {
  return Simulation(seed, setup, print).Run(seed);
}

std::string ReplayCommand(uint64_t seed) {
  return absl::StrCat("sluice-simulate --seed ", seed, " --trace");
}

}  // namespace sluice::simulate
