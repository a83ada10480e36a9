// CutoverModel: its actions in words.

#include "absl/strings/str_cat.h"
#include "integration/explore/cutover_actions.h"
#include "integration/explore/cutover_model.h"

namespace sluice::explore {

std::string CutoverModel::HostName(uint32_t host, bool exchanged) const {
  const uint32_t shard = exchanged ? 1 - host / 2 : host / 2;
  const cutover::Side& side =
      host % 2 == 0 ? table_.plan().sources.at(shard) : table_.plan().targets.at(shard);
  return absl::StrCat(side.keyspace, "/", side.shard);
}

std::string CutoverModel::EffectText(uint32_t bit, bool exchanged) const {
  uint32_t index = IndexOf(bit);
  if (exchanged && WhereOf(bit) != Where::kCoordinator) {
    index = 1 - index;
  }
  return cutover::DescribeEffect(table_.plan(),
                                 {.kind = KindOf(bit), .index = index, .attempt = 1});
}

std::string CutoverModel::Describe(const Node& from, uint32_t action, bool exchanged) const {
  const uint32_t what = WhatOf(action);
  const auto effect = [&](const char* before, const char* after = "") {
    return absl::StrCat(before, EffectText(what, exchanged), after);
  };
  switch (DeedOf(action)) {
    case Deed::kExecute:
      return effect("", " is carried out");
    case Deed::kAnswer:
      return effect("", " is answered");
    case Deed::kCarryOut:
      return effect("", " is carried out and answered");
    case Deed::kNoAnswer:
      return effect("nobody answers ", ": its host is down or cut off");
    case Deed::kArriveLate:
      return effect("", " arrives, given up long ago");
    case Deed::kDeadline:
      return "the time is over";
    case Deed::kRestart:
      return absl::StrCat("what was down of ", HostName(what, exchanged), " is started again");
    case Deed::kHeal:
      return "the network is whole again";
    case Deed::kCommit:
      return "commit";
    case Deed::kLoseAnswer:
      return effect("how ", " ended is not known");
    case Deed::kGoLate:
      return effect("", " is given up and still on its way");
    case Deed::kDouble:
      return effect("the network doubles ");
    case Deed::kRefuse:
      return effect("", " is refused");
    case Deed::kAskAgain:
      return effect("", " can't be done now");
    case Deed::kCommitUnknown:
      return "commit is stored, and the store does not say so";
    case Deed::kCommitLost:
      return "commit is not stored, and the store does not say so";
    case Deed::kCommitFailed:
      return "commit is refused by the store";
    case Deed::kCommitThenCrash:
      return "commit is stored, then the coordinator dies; a new one begins";
    case Deed::kCrashCoordinator:
      return absl::StrCat("the coordinator dies while ",
                          cutover::PhaseName(table_.facts(from.memory).phase),
                          "; a new one begins");
    case Deed::kCrashAgent:
    case Deed::kCrashMysqld: {
      const bool agent = DeedOf(action) == Deed::kCrashAgent;
      std::string text = absl::StrCat(agent ? "the agent of " : "the mysqld of ",
                                      HostName(what, exchanged), " dies");
      if (RequestOf(action) != 0) {
        const bool renamed = static_cast<GateStop>(HowOf(action)) == GateStop::kBehindRename;
        absl::StrAppend(&text, " in ", EffectText(RequestOf(action) - 1, exchanged), " behind its ",
                        renamed ? "rename" : "intent");
      }
      return text;
    }
    case Deed::kCut:
      return what >= 5 ? absl::StrCat("the hosts of shard ", exchanged ? 6 - what : what - 5,
                                      " lose each other")
                       : absl::StrCat("the coordinator loses the host of ",
                                      HostName(what - 1, exchanged));
    case Deed::kNotStored:
      return what == 0 ? std::string("the time is over, and the store does not take that")
                       : absl::StrCat(EffectText(what - 1, exchanged),
                                      " is answered, and the store does not take the new state");
  }
  return "?";
}

}  // namespace sluice::explore
