// Traffic: lets statements in by the current rules, holds those that must wait, knows what is open.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proxy/rules/planner.h"
#include "proxy/rules/rule_snapshot.h"
#include "proxy/rules/rules_machine.h"

namespace sluice::proxy {

class Traffic;

// The tables that an open statement or transaction touches; forgotten when it is destroyed.
// Movable; owned by one thread.
class OpenWork {
 public:
  OpenWork() = default;
  OpenWork(OpenWork&& other) noexcept;
  OpenWork& operator=(OpenWork&& other) noexcept;
  OpenWork(const OpenWork&) = delete;
  OpenWork& operator=(const OpenWork&) = delete;
  ~OpenWork() { Reset(); }

  void Reset();
  // Takes over what `other` touches.
  void Absorb(OpenWork other);

 private:
  friend class Traffic;
  OpenWork(Traffic* traffic, uint64_t number) : traffic_(traffic), number_(number) {}

  Traffic* traffic_ = nullptr;
  uint64_t number_ = 0;
};

// A statement's place among those that wait; taken once, however often it plans anew.
class WaitingPlace {
 public:
  WaitingPlace(Traffic& traffic, size_t bytes) : traffic_(traffic), bytes_(bytes) {}
  WaitingPlace(const WaitingPlace&) = delete;
  WaitingPlace& operator=(const WaitingPlace&) = delete;
  ~WaitingPlace() { Leave(); }

  // RESOURCE_EXHAUSTED (1203) when the buffer is full.
  absl::Status Take();
  // Before the statement is sent, or the client hears that the wait has failed: whoever has its
  // answer finds the place free.
  void Leave();

 private:
  Traffic& traffic_;
  const size_t bytes_;
  bool taken_ = false;
};

// Drives the rules' machine: one lock over it and the rule set in force. Thread-safe.
class Traffic {
 public:
  explicit Traffic(BufferLimits limits) : machine_(limits) {}
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  // What became of an offered set.
  enum class Answer {
    kNothing,  // it is in force already
    kObeyed,   // write it down and call Kept
    kNotKept,  // it is in force, but has to be written down yet
    kRefused,
  };
  // A rule set came in: of this epoch, or why it is broken. Where it is to be obeyed it is, from
  // the moment this returns, by every statement that is let in.
  Answer Offer(uint64_t epoch, const absl::StatusOr<std::shared_ptr<const RuleSnapshot>>& set);
  // A process that starts now begins with this set or a later one, or with none; `synced`: also
  // after a crash of the host.
  void Kept(const RuleSnapshot& set, bool synced);
  // The coordinator was heard.
  void Heard();

  // Null before the first rule set.
  [[nodiscard]] std::shared_ptr<const RuleSnapshot> snapshot() const;
  // Waits for the first one; false at the deadline or after Close.
  bool AwaitFirst(absl::Time deadline);

  struct Request {
    const Plan& plan;
    const OpenWork& transaction;  // what its transaction touches already
    absl::Time deadline;
    std::function<bool()> cancelled;  // asked now and then while waiting
  };
  // Lets a statement in: its OpenWork; nullopt when the rules have changed since it was planned, so
  // that it must be planned anew. Errors: 1205 when it could not be let in in time, 1203 when the
  // buffer is full, CANCELLED.
  absl::StatusOr<std::optional<OpenWork>> Admit(const Request& request, WaitingPlace& place);

  // Waits until another epoch than this is in force; false at the deadline.
  bool AwaitOtherEpoch(uint64_t epoch, absl::Time deadline);

  // What the coordinator should know.
  [[nodiscard]] Acknowledgement acknowledgement() const;
  // Waits until it differs from `sent` in an epoch, or somebody asks for a poll at once; false
  // after Close.
  bool AwaitNews(const Acknowledgement& sent);
  // Makes the proxy ask the coordinator at once whether the epoch still stands, and waits for an
  // answer newer than this call; false at the deadline.
  bool ConfirmEpoch(absl::Time deadline);

  // Waits until what is obeyed is acknowledged; false at the deadline or after Close.
  bool AwaitAcknowledged(absl::Time deadline);

  // Statements that wait fail; waits end.
  void Close();

 private:
  friend class OpenWork;
  friend class WaitingPlace;

  void CloseWork(uint64_t number);
  void MergeWork(uint64_t into, uint64_t from);

  mutable absl::Mutex mutex_;
  RulesMachine machine_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const RuleSnapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  uint64_t heard_ ABSL_GUARDED_BY(mutex_) = 0;  // counts answers of the coordinator
  bool poll_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::proxy
