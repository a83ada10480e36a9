// CutoverModel: the coordinator's machine, its store, the agents and mysqlds of each shard and the
// network between them, for a Search.

#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "integration/explore/machine_table.h"
#include "integration/explore/search.h"
#include "integration/explore/shard_model.h"

namespace sluice::explore {

// What the coordinator's newest rules say of the moving tables.
enum class Rules : uint8_t { kOld, kHold, kNew };
inline constexpr size_t kRules = 3;

// Which rules have followed which.
using RuleChanges = std::array<std::array<bool, kRules>, kRules>;

struct CutoverNode {
  uint32_t memory = 0;  // the coordinator's state, numbered by the MachineTable
  uint32_t stored = 0;  // what a new coordinator would begin with
  std::array<Shard, kShardsMax> shards;
  EffectSet executed = 0;  // requests that are carried out, and their answers under way
  uint32_t late = 0;       // requests that their sender has given up: LateBit
  Rules rules = Rules::kOld;
  uint8_t down = 0;           // a bit for each host: 2 * shard, + 1 for the target's
  uint8_t cut = 0;            // 0: none; 1 + host: from the coordinator; 5 + shard: its two hosts
  uint8_t commit_undone = 0;  // a record of the commit was overwritten by another end

  using Words = std::array<uint64_t, 7>;
  [[nodiscard]] Words words() const { return std::bit_cast<Words>(*this); }
  [[nodiscard]] uint64_t Hash() const { return absl::HashOf(words()); }
  friend bool operator==(const CutoverNode& a, const CutoverNode& b) {
    return a.words() == b.words();
  }
};

struct CutoverOptions {
  cutover::Plan plan;
  // The machine; a test may put a broken one here.
  MachineTable::StepFunction step = cutover::Step;
  MachineTable::EpochFunction epoch_of = cutover::EpochOf;
  bool obey_any_epoch = false;
};

// Every request to an agent has three moments: sent, carried out, answered. Between them anything
// else may happen. Why the number of states can be small without leaving out a behaviour:
//  - Where the agent changes nothing, carrying out and answering are one step: nobody sees the
//    moment between them.
//  - Requests of one kind to one shard are alike whichever attempt sent them. One that was given up
//    may arrive at any later time, as often as it likes, or never. So a set of them is enough, and
//    "late", "doubled" and "lost" are all in it. One that can't change anything any more (it is
//    refused by an epoch, which only grows, or what it wants stands for good) is left out of it.
//  - A request that undoing has overtaken is given up at once: whatever its answer, the machine
//  only
//    notes that it came.
//  - An agent and a mysqld that are down are one: nothing can be done there. They differ in what
//    they forget when they die.
//  - The two shards may be exchanged (the machine treats them alike; the MachineTable checks that
//  at
//    each step), so of a state and its mirror image one is visited.
//  - Proxies are not here: nothing waits for them without bound and nothing the coordinator or an
//    agent does depends on them, so their part is explored apart, over all that the rules can
//    become (ProxyModel).
class CutoverModel {
 public:
  using Node = CutoverNode;
  using Edges = std::vector<Edge<Node>>;

  explicit CutoverModel(CutoverOptions options);

  Node Root();
  int Free(const Node& node, Edges& edges);
  void Faults(const Node& node, Edges& edges);
  [[nodiscard]] bool Ended(const Node& node) const { return table_.facts(node.memory).finished; }
  [[nodiscard]] std::string Judge(const Node& node) const;
  [[nodiscard]] std::string Describe(const Node& from, uint32_t action, bool exchanged) const;

  [[nodiscard]] const RuleChanges& rule_changes() const { return rule_changes_; }
  [[nodiscard]] const MachineTable& table() const { return table_; }

 private:
  enum class Where : uint8_t { kCoordinator, kSource, kTarget, kBoth };

  // Which of several ways to go on leads to an end: the first of these.
  enum Rank : int { kRepair, kAnswers, kExecutes, kCannotTell, kRefusal, kTimeOut, kNoWay };
  struct Best {
    int edge = -1;
    int rank = kNoWay;
  };

  void Emit(Node next, uint32_t action, Edges& edges);
  void EmitRanked(const Node& next, uint32_t action, Rank rank, Edges& edges, Best& best);
  void Canonicalize(Node& node, bool& exchanged);
  void DropSpentRequests(Node& node) const;
  // A late request that got this reply now, and can't get another one any more.
  [[nodiscard]] bool IsSpent(const Node& node, uint32_t bit, Reply reply) const;

  MachineTable::Move Tell(Node& node, const MachineEvent& event, bool storing = true);
  [[nodiscard]] bool Committed(uint32_t state) const;
  void GiveUpWhatIsOvertaken(Node& node);
  bool TellUnstored(Node& node, const MachineEvent& event, bool kept);
  void CrashCoordinator(Node& node);

  void FreeOfRequest(const Node& node, uint32_t bit, Edges& edges, Best& best);
  void FreeOfCommit(const Node& node, uint32_t bit, Edges& edges, Best& best);
  void FreeOfLate(const Node& node, Edges& edges);
  void FaultsOfCommit(const Node& node, uint32_t bit, Edges& edges);
  void FaultsOfRequest(const Node& node, uint32_t bit, Edges& edges);
  void FaultsOfHosts(const Node& node, Edges& edges);
  void FaultsOfStore(const Node& node, Edges& edges);
  Reply ExecuteHere(Node& node, uint32_t bit);  // in the coordinator's own process
  Reply ExecuteThere(Node& node, uint32_t bit, uint8_t epoch,
                     GateStop stop = GateStop::kNowhere) const;
  void FreeOfExecution(const Node& node, uint32_t bit, uint8_t epoch, Edges& edges, Best& best);
  // Of a request that is under way: the epoch of now, and where the commit has come since it may
  // have been sent, also that of before.
  [[nodiscard]] std::array<uint8_t, 2> EpochsOf(const Node& node, uint32_t bit) const;
  [[nodiscard]] MachineEvent AnswerOf(const Node& node, uint32_t bit) const;
  [[nodiscard]] bool Changes(cutover::EffectKind kind) const;
  [[nodiscard]] bool Answerable(const Node& node, uint32_t bit) const;
  [[nodiscard]] Where WhereOf(uint32_t bit) const { return where_[bit / kShardsMax]; }
  [[nodiscard]] bool Up(const Node& node, uint32_t bit) const;
  [[nodiscard]] bool OutOfReach(const Node& node, uint32_t bit) const;
  [[nodiscard]] std::string JudgeRecords(const Node& node) const;
  [[nodiscard]] std::string HostName(uint32_t host, bool exchanged) const;
  [[nodiscard]] std::string EffectText(uint32_t bit, bool exchanged) const;

  MachineTable table_;
  ShardModel shards_;
  std::array<Where, cutover::kEffectKinds> where_ = {};
  RuleChanges rule_changes_ = {};
  uint32_t before_commit_ = 0;  // a state of that part
};

}  // namespace sluice::explore
