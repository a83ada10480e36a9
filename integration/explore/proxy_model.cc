// ProxyModel: what happens to proxies, and what they must never do.

#include "integration/explore/proxy_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::explore {
namespace {

using Type = ProxyEvent::Type;

// Two leases are enough: one that is over, and another that begins then and is over too.
constexpr uint8_t kLeasesMax = 2;
constexpr uint8_t kBegunMax = 2;

enum class Deed : uint8_t {
  kPublish,
  kHear,
  kHeard,
  kWrite,
  kTakeSync,
  kEndSync,
  kTimePasses,
  kBegin,
  kEnd,
  kCannotWrite,
  kDie,
  kHostDies,
};
constexpr std::array<const char*, 12> kWords = {"the coordinator publishes rules",
                                                "hears epoch",
                                                "hears that nothing is new",
                                                "writes its file",
                                                "begins to sync its file",
                                                "has synced its file",
                                                "hears nothing for a lease",
                                                "lets a transaction in",
                                                "ends its transaction",
                                                "can't write, and removes its file",
                                                "dies and is started again",
                                                "loses its host, which comes back"};
constexpr std::array<const char*, kRules> kRulesWords = {"of the old side", "with a hold",
                                                         "of the new side"};

constexpr uint32_t ActionOf(Deed deed, uint32_t proxy, uint32_t what = 0) {
  return (static_cast<uint32_t>(deed) << 16U) | (proxy << 8U) | what;
}

Rules RulesAt(const ProxyNode& node, uint64_t epoch) {
  return static_cast<Rules>(node.history >> (2 * (epoch - 1)) & 3U);
}

}  // namespace

void ProxyModel::Emit(Node next, uint32_t action, Edges& edges) const {
  bool exchanged = false;
  if (options_.proxies == kProxiesMax && next.proxies[1] < next.proxies[0]) {
    std::swap(next.proxies[0], next.proxies[1]);
    exchanged = true;
  }
  edges.push_back({.action = action, .exchanged = exchanged, .node = next});
}

ProxyStep ProxyModel::Feed(ProxyPart& part, const ProxyEvent& event) {
  const ProxyStep step = table_.Feed(part.machine, event);
  part.machine = step.next;
  return step;
}

// A set that comes in, as RulesClient takes it.
void ProxyModel::Hear(const Node& node, ProxyPart& part, uint8_t epoch) {
  const ProxyStep step = Feed(part, {.type = Type::kOffered,
                                     .epoch = epoch,
                                     .rules = RulesAt(node, epoch),
                                     .synced = false,
                                     .now = part.now});
  if (step.obeys) {
    part.lease_from = part.now;
  }
  if (step.keeps && part.written != epoch) {
    part.to_write = epoch;
  }
}

// A new process begins with its file, and syncs it.
void ProxyModel::Restart(const Node& node, ProxyPart& part) {
  ProxyPart fresh;
  fresh.machine = table_.fresh();
  fresh.file = fresh.synced = part.file;
  fresh.told = part.told;
  fresh.routes = part.routes;
  fresh.born = static_cast<uint8_t>(node.epochs);
  part = fresh;
  if (part.file != 0) {
    Hear(node, part, part.file);
    part.to_write = 0;
    Feed(part, {.type = Type::kKept,
                .epoch = part.file,
                .rules = RulesAt(node, part.file),
                .synced = true,
                .now = 0});
  }
}

bool ProxyModel::Ended(const Node& node) const {
  return std::all_of(
      node.proxies.begin(), node.proxies.begin() + options_.proxies,
      [&](const ProxyPart& part) { return table_.acknowledged(part.machine) == node.epochs; });
}

int ProxyModel::Free(const Node& node, Edges& edges) {
  int progress = -1;
  if (node.epochs < options_.epochs_max) {
    const auto last = static_cast<size_t>(RulesAt(node, node.epochs));
    for (uint32_t next = 0; next < kRules; ++next) {
      if (options_.changes.at(last).at(next)) {
        Node grown = node;
        grown.history |= next << (2 * node.epochs);
        ++grown.epochs;
        Emit(grown, ActionOf(Deed::kPublish, 0, next), edges);
      }
    }
  }
  for (uint32_t number = 0; number < options_.proxies; ++number) {
    FreeOfProxy(node, number, edges, progress);
  }
  return progress;
}

void ProxyModel::FreeOfProxy(const Node& node, uint32_t number, Edges& edges, int& progress) {
  const ProxyPart& part = node.proxies.at(number);
  const auto emit = [&](Deed deed, uint32_t what, bool leads_on, auto change) {
    Node next = node;
    ProxyPart& changed = next.proxies.at(number);
    change(changed);
    const uint64_t told = table_.acknowledged(changed.machine);
    if (told > changed.told) {
      changed.told = static_cast<uint8_t>(told);
    }
    if (told != 0) {
      const uint64_t routes = RoutesOf(RulesAt(node, told));
      changed.routes = std::max(changed.routes, static_cast<uint8_t>(routes));
    }
    if (leads_on && progress < 0) {
      progress = static_cast<int>(edges.size());
    }
    Emit(next, ActionOf(deed, number, what), edges);
  };
  const uint64_t epoch = table_.epoch(part.machine);
  if (part.to_write != 0) {
    emit(Deed::kWrite, 0, true, [&](ProxyPart& p) {
      p.file = p.written = p.to_sync = std::exchange(p.to_write, 0);
      Feed(p, {.type = Type::kKept, .epoch = p.file, .rules = RulesAt(node, p.file)});
    });
  } else {  // sets are taken one after the other
    const bool behind = table_.acknowledged(part.machine) < node.epochs;
    for (uint32_t heard = part.born; heard <= node.epochs; ++heard) {
      emit(Deed::kHear, heard,
           behind && heard == node.epochs && part.to_sync == 0 && part.syncing == 0,
           [&](ProxyPart& p) {
             Hear(node, p, static_cast<uint8_t>(heard));
             p.lease_from = p.now;
             Feed(p, {.type = Type::kHeard, .now = p.now});
           });
    }
  }
  if (part.syncing != 0) {
    emit(Deed::kEndSync, 0, true, [&](ProxyPart& p) {
      p.synced = p.file;
      const uint8_t of = std::exchange(p.syncing, 0);
      Feed(p, {.type = Type::kKept, .epoch = of, .rules = RulesAt(node, of), .synced = true});
    });
  } else if (part.to_sync != 0) {
    emit(Deed::kTakeSync, 0, true, [&](ProxyPart& p) { p.syncing = std::exchange(p.to_sync, 0); });
  }
  if (epoch == 0) {
    return;  // no statement before the first set
  }
  if (RulesAt(node, epoch) == Rules::kHold) {
    if (part.now < kLeasesMax) {
      emit(Deed::kTimePasses, 0, false, [](ProxyPart& p) { ++p.now; });
    }
    if (part.lease_from < part.now) {
      emit(Deed::kHeard, 0, false, [&](ProxyPart& p) {
        p.lease_from = p.now;
        Feed(p, {.type = Type::kHeard, .now = p.now});
      });
    }
  }
  if (table_.work(part.machine) != 0) {
    emit(Deed::kEnd, 0, false, [&](ProxyPart& p) { Feed(p, {.type = Type::kEnd}); });
  } else if (part.begun < kBegunMax &&
             table_.Ask(part.machine, static_cast<uint8_t>(epoch), part.now).lets_in_new) {
    emit(Deed::kBegin, 0, false, [&](ProxyPart& p) {
      ++p.begun;
      Feed(p, {.type = Type::kBegin, .epoch = static_cast<uint8_t>(epoch), .now = p.now});
    });
  }
}

void ProxyModel::Faults(const Node& node, Edges& edges) {
  for (uint32_t number = 0; number < options_.proxies; ++number) {
    Node dead = node;
    Restart(node, dead.proxies.at(number));
    Emit(dead, ActionOf(Deed::kDie, number), edges);
    Node lost = node;
    ProxyPart& part = lost.proxies.at(number);
    part.file = part.synced;
    part.told = 0;  // a hold need not outlive its host; routes must
    Restart(node, part);
    Emit(lost, ActionOf(Deed::kHostDies, number), edges);
    if (node.proxies.at(number).to_write != 0) {
      Node unable = node;
      ProxyPart& without = unable.proxies.at(number);
      const uint8_t epoch = std::exchange(without.to_write, 0);
      without.file = without.synced = 0;
      Feed(without,
           {.type = Type::kKept, .epoch = epoch, .rules = RulesAt(node, epoch), .synced = true});
      Emit(unable, ActionOf(Deed::kCannotWrite, number), edges);
    }
  }
}

std::string ProxyModel::JudgePart(const Node& node, const ProxyPart& part) {
  const uint64_t epoch = table_.epoch(part.machine);
  for (uint32_t planned = 1; planned <= node.epochs; ++planned) {
    const ProxyVerdict verdict = table_.Ask(part.machine, static_cast<uint8_t>(planned), part.now);
    const Rules rules = RulesAt(node, planned);
    const bool lets_in = verdict.lets_in_new || verdict.lets_in_transaction;
    if (lets_in && planned != epoch) {
      return "a proxy lets in what was planned by rules that are not in force";
    }
    if (verdict.lets_in_new && rules == Rules::kHold) {
      return "a proxy lets in what a hold names";
    }
    if (lets_in && rules == Rules::kHold && part.now > part.lease_from) {
      return "a proxy routes by an expired rule";
    }
    if (lets_in && planned < part.told) {
      return "a proxy routes by older rules than it has acknowledged";
    }
    if (lets_in && RoutesOf(rules) < part.routes) {
      return "a proxy routes to the old side though it has acknowledged the new one";
    }
  }
  if (epoch != 0 && table_.drained(part.machine) == epoch && table_.work(part.machine) != 0 &&
      RulesAt(node, epoch) == Rules::kHold) {
    return "a proxy says it is drained while a transaction is open";
  }
  return JudgeDisk(node, part);
}

std::string ProxyModel::JudgeDisk(const Node& node, const ProxyPart& part) const {
  const uint64_t told = table_.acknowledged(part.machine);
  if (told > table_.epoch(part.machine)) {
    return "a proxy acknowledges what it does not obey";
  }
  if (part.file != 0 && part.file < told) {
    return "a proxy acknowledges what a new process would not begin with";
  }
  if (part.synced != 0 && part.synced < told &&
      RoutesOf(RulesAt(node, part.synced)) != RoutesOf(RulesAt(node, told))) {
    return "a proxy acknowledges routes that its host may forget";
  }
  return {};
}

std::string ProxyModel::Judge(const Node& node) {
  for (uint32_t number = 0; number < options_.proxies; ++number) {
    if (std::string wrong = JudgePart(node, node.proxies.at(number)); !wrong.empty()) {
      return wrong;
    }
  }
  return {};
}

std::string ProxyModel::Describe(const Node& /*from*/, uint32_t action, bool exchanged) const {
  const uint32_t deed = action >> 16U;
  const uint32_t number = action >> 8U & 0xFFU;
  const uint32_t what = action & 0xFFU;
  if (static_cast<Deed>(deed) == Deed::kPublish) {
    return absl::StrCat(kWords.at(deed), " ", kRulesWords.at(what));
  }
  std::string text =
      absl::StrCat("proxy-", (exchanged ? 1 - number : number) + 1, " ", kWords.at(deed));
  if (static_cast<Deed>(deed) == Deed::kHear) {
    absl::StrAppend(&text, " ", what);
  }
  return text;
}

}  // namespace sluice::explore
