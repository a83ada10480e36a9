// Coordinator: rules, proxies and commands.

#include "integration/simulate/coordinator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "integration/simulate/cutover_run.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

constexpr Micros kConnectedWithin = 2 * kSecond;
constexpr Micros kLookEvery = 100 * kMilli;
constexpr uint32_t kTimeoutMs = 10'000;

}  // namespace

Coordinator::Coordinator(World& world, uint32_t host)
    : process(world.scheduler, "coordinator", host), world_(world) {}

Coordinator::~Coordinator() = default;

void Coordinator::Begin() {
  TopologyChanged();
  if (world_.store.cutover.empty()) {
    return;
  }
  auto operation = cutover::DecodeOperation(world_.store.cutover);
  SLUICE_CHECK(operation.ok());
  run_ = std::make_shared<CutoverRun>(*this, std::get<cutover::StoredCutover>(*operation),
                                      std::vector<cutover::Effect>());
  run_->Begin();
}

void Coordinator::Crash() {
  world_.trace.Note(process.name(), "dies", busy() ? " in a cutover" : "");
  process.Die();
  run_.reset();
  rules_ = nullptr;
  proxies_.clear();
  waiters_.clear();
  released_.clear();
}

absl::Status Coordinator::Transact(const std::function<absl::Status(Store&)>& change) {
  if (world_.random.Chance(world_.setup().store_refuses) && world_.faults_on) {
    const bool kept = world_.random.OneIn(2);
    ++world_.counts.faults[kept ? "store did not say that it committed" : "store refused"];
    if (kept) {
      static_cast<void>(change(world_.store));
    }
    return absl::UnavailableError("the store can't tell");
  }
  return change(world_.store);
}

bool Coordinator::Run(const Command& command) {
  Store& store = world_.store;
  if (busy() || !process.up() || !store.cutover.empty()) {
    return false;
  }
  traffic::PlanNumbers numbers;
  numbers.id = absl::StrCat("c", ++store.commands);
  numbers.epoch = ++store.command_epoch;
  ++store.command_epoch;
  numbers.timeout_ms = kTimeoutMs;
  numbers.await_release = command.held;
  numbers.raise_counters = command.counters;
  const cutover::Records& records = store.records;
  absl::StatusOr<cutover::Plan> plan;
  if (command.reads) {
    plan =
        traffic::ReadsPlan(records, command.reversal, {.replica = true, .rdonly = true}, numbers);
  } else {
    for (uint32_t i = 0; i < world_.shards(); ++i) {
      numbers.reverse_ids.push_back(++store.stream_id);
      // As the check finds it.
      numbers.gates.push_back({.server = world_.random.Below(100) < world_.setup().server_gates,
                               .reason = {},
                               .beside = {}});
    }
    plan = traffic::WritesPlan(records, command.reversal, numbers);
  }
  if (!plan.ok() || !cutover::ValidatePlan(*plan).ok()) {
    return false;
  }
  world_.trace.Note("operator", command.reversal ? "reverses" : "switches",
                    command.reads ? "reads" : "writes", " in ", plan->id,
                    command.held ? ", held" : "");
  cutover::State state;
  state.plan = *std::move(plan);
  cutover::Transition begun = cutover::Step(std::move(state), cutover::Event::Begin());
  const cutover::StoredCutover stored = {.state = std::move(begun.state), .started_us = 1};
  const absl::Status status = Transact([&](Store& to) {
    to.cutover = cutover::EncodeOperation(stored);
    return absl::OkStatus();
  });
  // What the store may have kept must not stand there with nobody to end it.
  run_ = std::make_shared<CutoverRun>(*this, stored,
                                      status.ok() ? begun.effects : std::vector<cutover::Effect>());
  run_->Begin();
  return true;
}

bool Coordinator::WaitsForRelease() const {
  return run_ != nullptr && cutover::WaitsForRelease(run_->state());
}

void Coordinator::Release() {
  if (run_ != nullptr) {
    released_ = run_->state().plan.id;
  }
}

void Coordinator::Abort() {
  if (run_ != nullptr) {
    run_->Abort("a person's word");
  }
}

absl::Status Coordinator::ChangeRules(const std::function<void(Store&)>& change) {
  const uint64_t before = world_.store.rules_epoch;
  absl::Status status = Transact([&](Store& store) {
    change(store);
    ++store.rules_epoch;
    return absl::OkStatus();
  });
  if (status.ok() || world_.store.rules_epoch != before) {
    Publish();
  }
  return status;
}

void Coordinator::TopologyChanged() {
  RuleSet now;
  for (uint32_t side = 0; side < 2; ++side) {
    for (uint32_t shard = 0; shard < world_.shards(); ++shard) {
      now.primaries.at(side).push_back(world_.place(side, shard).known);
    }
  }
  if (rules_ == nullptr || rules_->primaries != now.primaries) {
    ++world_.store.rules_epoch;
    Publish();
  }
}

void Coordinator::Publish() {
  const Store& store = world_.store;
  auto set = std::make_shared<RuleSet>();
  set->epoch = store.rules_epoch;
  set->writes = store.writes;
  set->reads = store.reads;
  set->holds = store.holds;
  for (uint32_t side = 0; side < 2; ++side) {
    for (uint32_t shard = 0; shard < world_.shards(); ++shard) {
      set->primaries.at(side).push_back(world_.place(side, shard).known);
    }
  }
  rules_ = std::move(set);
  world_.trace.Note(process.name(), "publishes epoch", rules_->epoch, " writes to ",
                    kKeyspaces.at(rules_->writes), ", reads to ", kKeyspaces.at(rules_->reads),
                    rules_->holds.empty() ? "" : ", hold");
  for (auto& [id, proxy] : proxies_) {
    if (proxy.polling) {
      const Respond respond = std::exchange(proxy.polling, nullptr);
      respond({.rules = rules_});
    }
  }
}

void Coordinator::Poll(const ProxyPoll& poll, Respond respond) {
  ProxyState& proxy = proxies_[poll.id];
  proxy.heard = world_.scheduler.now();
  // Polls may overtake each other; what was said once stands.
  if (poll.state.have_epoch >= proxy.state.have_epoch) {
    const uint64_t drained = std::max(proxy.state.drained_epoch, poll.state.drained_epoch);
    proxy.state = poll.state;
    proxy.state.drained_epoch = drained;
  }
  LookAtWaiters();
  if (rules_ != nullptr && rules_->epoch > poll.state.have_epoch) {
    return respond({.rules = rules_});
  }
  if (poll.wait == 0) {
    return respond({});
  }
  if (proxy.polling) {
    std::exchange(proxy.polling, nullptr)({});
  }
  proxy.polling = std::move(respond);
  process.Later(poll.wait, [this, id = poll.id, number = ++proxy.poll] {
    ProxyState& waiting = proxies_[id];
    if (waiting.poll == number && waiting.polling) {
      std::exchange(waiting.polling, nullptr)({});
    }
  });
}

void Coordinator::AwaitProxies(Progress progress, Micros until, Action then) {
  waiters_.push_back({progress, epoch(), until, std::move(then)});
  process.Later(0, [this] { LookAtWaiters(); });
}

// Proxies that are not heard of are not waited for.
void Coordinator::LookAtWaiters() {
  const Micros now = world_.scheduler.now();
  std::vector<Action> over;
  std::erase_if(waiters_, [&](Waiter& waiter) {
    const bool all = std::all_of(proxies_.begin(), proxies_.end(), [&](const auto& each) {
      const proxy::Acknowledgement& state = each.second.state;
      const uint64_t reached =
          waiter.progress == Progress::kObeyed ? state.have_epoch : state.drained_epoch;
      return reached >= waiter.epoch || now - each.second.heard > kConnectedWithin;
    });
    if (all || now >= waiter.until) {
      over.push_back(std::move(waiter.then));
      return true;
    }
    return false;
  });
  for (const Action& then : over) {
    process.Later(0, then);
  }
  if (!waiters_.empty()) {
    process.Later(kLookEvery, [this] { LookAtWaiters(); });
  }
}

}  // namespace sluice::simulate
