// Proxy: polls, the file, and its life.

#include "integration/simulate/proxy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/simulate/coordinator.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

constexpr Micros kLongPoll = kSecond;
constexpr Micros kCallMargin = kSecond;
constexpr Micros kRetryPause = 50 * kMilli;

proxy::EpochRules RulesOf(const RuleSet& set) {
  return {.epoch = set.epoch, .routes = set.Routes(), .holds = proxy::HoldTable(set.holds)};
}

}  // namespace

Proxy::Proxy(World& world, uint32_t number, uint32_t host)
    : process(world.scheduler, absl::StrCat("proxy-", number), host),
      world_(world),
      machine_(proxy::BufferLimits{}) {}

absl::Time Proxy::Now() const {
  return absl::UnixEpoch() + absl::Hours(1) + absl::Microseconds(world_.scheduler.now());
}

void Proxy::Begin() {
  machine_ = proxy::RulesMachine(proxy::BufferLimits{});
  obeyed_ = nullptr;
  told_ = {};
  syncing_ = sync_wanted_ = telling_ = false;
  heard_ = 0;
  if (file_ != nullptr) {
    const std::shared_ptr<const RuleSet> set = file_;
    if (set->epoch < acknowledged_routes_from_) {
      world_.oracle.Violate(absl::StrCat(id(), " begins with older routes than it acknowledged"));
    }
    const proxy::EpochRules rules = RulesOf(*set);
    machine_.Step(proxy::SetOffered{&rules, std::string(), Now()});
    obeyed_ = set;
    heard_ = world_.scheduler.now();
    synced_file_ = file_;
    Step(proxy::SetKept{set->epoch, set->Routes(), true});
  }
  Follow();
}

void Proxy::Crash(bool with_host) {
  world_.trace.Note(id(), with_host ? "loses its host" : "dies");
  process.Die();
  if (with_host) {
    file_ = synced_file_;
    acknowledged_for_good_ = 0;  // a hold need not outlive its host; routes must
  }
  waiting_.clear();
  const std::map<uint64_t, WorkPointer> works = std::exchange(works_, {});
  for (const auto& [number, work] : works) {
    world_.scheduler.In(kMilli, [work = work] {
      work->done({.kind = Reply::Kind::kUnknown, .status = absl::UnavailableError("2013")});
    });
  }
}

void Proxy::Step(const proxy::RulesEvent& event) {
  for (const proxy::RulesEffect& effect : machine_.Step(event)) {
    if (effect.kind == proxy::RulesEffect::Kind::kTell) {
      Tell();
    }
  }
}

void Proxy::Follow() {
  Poll(kLongPoll,
       [this](bool heard) { process.Later(heard ? 0 : kRetryPause, [this] { Follow(); }); });
}

void Proxy::Tell() {
  if (std::exchange(telling_, true)) {
    return;
  }
  const proxy::Acknowledgement now = machine_.acknowledgement();
  Poll(0, [this, now](bool heard) {
    telling_ = false;
    if (heard) {
      told_ = now;
    }
    if (machine_.HasNewsSince(told_)) {
      process.Later(heard ? 0 : kRetryPause, [this] { Tell(); });
    }
  });
}

void Proxy::Poll(Micros wait, const std::function<void(bool)>& then) {
  const proxy::Acknowledgement state = machine_.acknowledgement();
  if (state.have_epoch < acknowledged_for_good_ && file_ != nullptr &&
      file_->epoch >= acknowledged_for_good_) {
    world_.oracle.Violate(absl::StrCat(id(), " acknowledges less than before"));
  }
  acknowledged_for_good_ = std::max(acknowledged_for_good_, state.have_epoch);
  if (obeyed_ != nullptr && machine_.acknowledged() && obeyed_->Routes() != acknowledged_routes_) {
    acknowledged_routes_ = obeyed_->Routes();
    acknowledged_routes_from_ = obeyed_->epoch;
  }
  Coordinator& coordinator = world_.coordinator();
  const Coordinator::ProxyPoll poll = {.id = id(), .state = state, .wait = wait};
  world_.network.Call(
      {.from = process, .to = coordinator.process, .timeout = wait + kCallMargin},
      [&coordinator, poll](Respond respond) { coordinator.Poll(poll, std::move(respond)); },
      [this, then](const Answer& answer) {
        if (answer.status.ok()) {
          if (answer.rules != nullptr) {
            Receive(answer.rules);
          }
          heard_ = world_.scheduler.now();
          Step(proxy::CoordinatorHeard{Now()});
        }
        then(answer.status.ok());
      });
}

void Proxy::Receive(const std::shared_ptr<const RuleSet>& set) {
  const proxy::EpochRules rules = RulesOf(*set);
  const uint64_t before = machine_.epoch();
  bool keeps = false;
  for (const proxy::RulesEffect& effect :
       machine_.Step(proxy::SetOffered{&rules, std::string(), Now()})) {
    if (effect.kind == proxy::RulesEffect::Kind::kObey) {
      obeyed_ = set;
      world_.trace.Note(id(), "obeys epoch", set->epoch, set->holds.empty() ? "" : " with a hold");
    } else if (effect.kind == proxy::RulesEffect::Kind::kKeep) {
      keeps = true;
    } else if (effect.kind == proxy::RulesEffect::Kind::kTell) {
      Tell();
    }
  }
  if (machine_.epoch() < before) {
    world_.oracle.Violate(absl::StrCat(id(), " goes back to older rules"));
  }
  if (machine_.epoch() != before) {
    for (const auto& [number, woken] : std::exchange(waiting_, {})) {
      process.Later(0, woken);
    }
  }
  if (keeps) {
    process.Later(world_.random.Between(50, 2 * kMilli), [this, set] { Keep(set); });
  }
}

void Proxy::Keep(const std::shared_ptr<const RuleSet>& set) {
  if (file_ != nullptr && file_->epoch >= set->epoch) {
    return;
  }
  file_ = set;
  Step(proxy::SetKept{set->epoch, set->Routes(), false});
  Sync();
}

void Proxy::Sync() {
  if (std::exchange(syncing_, true)) {
    sync_wanted_ = true;
    return;
  }
  const std::shared_ptr<const RuleSet> set = file_;
  const Micros takes = world_.random.OneIn(20) ? world_.random.Between(20 * kMilli, kSecond)
                                               : world_.random.Between(500, 10 * kMilli);
  process.Later(takes, [this, set] {
    synced_file_ = file_;
    syncing_ = false;
    Step(proxy::SetKept{set->epoch, set->Routes(), true});
    if (std::exchange(sync_wanted_, false)) {
      Sync();
    }
  });
}

}  // namespace sluice::simulate
