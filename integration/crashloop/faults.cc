// Faults: the dice of a round.

#include "integration/crashloop/faults.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "integration/crashloop/dice.h"

namespace sluice::crashloop {
namespace {

constexpr uint64_t kPurpose = 1;

struct Weight {
  FaultKind kind;
  std::string_view name;
  uint64_t weight;
};
constexpr std::array<Weight, kFaultKinds> kWeights = {{
    {FaultKind::kCut, "cut", 20},
    {FaultKind::kCutOne, "cut one", 15},
    {FaultKind::kCutWithin, "cut within", 15},
    {FaultKind::kStall, "stall", 6},
    {FaultKind::kKillAgent, "kill agent", 22},
    {FaultKind::kCrashAgent, "crash agent", 10},
    {FaultKind::kPauseAgent, "pause agent", 5},
    {FaultKind::kRivalAgent, "rival agent", 2},
    {FaultKind::kKillMysqld, "kill mysqld", 2},
    {FaultKind::kEndMysqld, "end mysqld", 1},
    {FaultKind::kPauseMysqld, "pause mysqld", 2},
    {FaultKind::kKillCoordinator, "kill coordinator", 1},
}};

const std::vector<std::string>& Points(Side side) {
  static const std::vector<std::string> source = {"source.snapshot_open", "source.rows_read",
                                                  "source.binlog_open", "source.events_taken",
                                                  "source.part_queued"};
  static const std::vector<std::string> target = {
      "copy.rows_written",  "copy.before_commit",   "copy.after_commit",   "copy.after_split",
      "copy.epoch_over",    "apply.before_commit",  "apply.after_commit",  "apply.slices_committed",
      "apply.part_written", "stream.before_commit", "stream.after_commit", "stream.after_claim"};
  return side == Side::kSource ? source : target;
}

FaultKind PickKind(Dice& dice) {
  uint64_t sum = 0;
  for (const Weight& one : kWeights) {
    sum += one.weight;
  }
  uint64_t roll = dice.Roll(sum);
  for (const Weight& one : kWeights) {
    if (roll < one.weight) {
      return one.kind;
    }
    roll -= one.weight;
  }
  return FaultKind::kCut;
}

absl::Duration PickDelay(Dice& dice) {
  // A burst comes faster than a stream recovers; a lull lets it commit.
  return absl::Milliseconds(dice.OneIn(3) ? dice.Between(250, 1200) : dice.Between(0, 90));
}

}  // namespace

std::string_view FaultName(FaultKind kind) {
  return kWeights[static_cast<size_t>(kind)].name;
}

bool HitsProcess(FaultKind kind) {
  return kind != FaultKind::kCut && kind != FaultKind::kCutOne && kind != FaultKind::kCutWithin &&
         kind != FaultKind::kStall;
}

std::string Fault::ToString() const {
  std::string text =
      absl::StrCat(absl::ToInt64Milliseconds(after), " ms, ",
                   absl::string_view(FaultName(kind).data(), FaultName(kind).size()));
  if (HitsProcess(kind)) {
    absl::StrAppend(&text, side == Side::kSource ? " of the source" : " of the target");
  } else {
    absl::StrAppend(&text, " on link ", static_cast<int>(link));
  }
  if (duration > absl::ZeroDuration()) {
    absl::StrAppend(&text, " for ", absl::FormatDuration(duration));
  }
  return point.empty() ? text : absl::StrCat(text, " at ", point, ":", amount);
}

std::vector<Fault> PlanFaults(uint64_t seed, uint64_t round, size_t count) {
  Dice dice(seed, kPurpose + (round << 8U));
  std::vector<Fault> plan;
  bool had_long = false;
  while (plan.size() < count) {
    Fault fault;
    const bool armed = !plan.empty() && plan.back().kind == FaultKind::kCrashAgent;
    // An agent that is to end at a point needs time to get there.
    fault.after = armed ? absl::Milliseconds(dice.Between(500, 3000)) : PickDelay(dice);
    fault.kind = PickKind(dice);
    fault.side = dice.OneIn(2) ? Side::kSource : Side::kTarget;
    fault.link = static_cast<Link>(dice.OneIn(6) ? dice.Between(3, 4) : dice.Between(0, 2));
    fault.abrupt = dice.OneIn(2);
    if (fault.kind == FaultKind::kCutWithin) {
      fault.amount = dice.Roll(dice.OneIn(2) ? 2'000 : 400'000);
    } else if (fault.kind == FaultKind::kCutOne) {
      fault.amount = dice.Roll(64);
    } else if (fault.kind == FaultKind::kStall) {
      fault.duration = absl::Milliseconds(dice.Between(20, 900));
    } else if (fault.kind == FaultKind::kCrashAgent) {
      fault.point = dice.Pick(Points(fault.side));
      fault.amount = dice.OneIn(3) ? 1 + dice.Roll(4) : 1;
    } else if (fault.kind == FaultKind::kPauseAgent || fault.kind == FaultKind::kRivalAgent ||
               fault.kind == FaultKind::kPauseMysqld) {
      const bool is_long = !had_long && dice.OneIn(8);
      had_long = had_long || is_long;
      fault.duration =
          absl::Milliseconds(is_long ? dice.Between(11'500, 13'000) : dice.Between(30, 1500));
    }
    plan.push_back(std::move(fault));
  }
  return plan;
}

}  // namespace sluice::crashloop
