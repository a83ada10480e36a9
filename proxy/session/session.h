// Session: one client, from its handshake to its end.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/routing/target.h"
#include "common/sql/statement.h"
#include "proxy/backend/backend_set.h"
#include "proxy/rules/planner.h"
#include "proxy/rules/traffic.h"
#include "proxy/server/auth.h"
#include "proxy/server/login.h"
#include "proxy/server/registry.h"
#include "proxy/session/session_state.h"
#include "proxy/wire/channel.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {

struct SessionLimits {
  absl::Duration window = absl::Seconds(10);  // how long one statement may be held
  absl::Duration login_timeout = absl::Seconds(10);
  absl::Duration idle_timeout = absl::Hours(8);
  absl::Duration write_timeout = absl::Seconds(60);  // of a client that does not read
  size_t packet_bytes_max = size_t{64} << 20U;
};

// What all sessions share. Everything outlives the sessions.
struct SessionServices {
  const UserTable& users;
  Traffic& traffic;
  Registry& registry;
  TabletChooser& chooser;
  BackendOptions backend;
  SessionLimits limits;
  int stop_fd = -1;  // readable when the proxy is stopping
  const std::atomic<bool>& stopping;
  std::atomic<uint64_t>& questions;
  absl::Time started;
};

// Owned by one thread.
class Session {
 public:
  Session(Descriptor socket, const SessionServices& services, uint64_t id);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Returns when the client has gone or was sent away.
  void Run();

 private:
  // A statement on its way.
  struct Work {
    absl::string_view text;
    absl::string_view attributes;
    const sql::Statement& statement;
    bool is_final_text = false;  // names of keyspaces in it are not rewritten
    // It only reads what its server's session has: no part of a transaction that is still to begin.
    bool is_outside = false;
  };

  // A transaction, from BEGIN on. It is bound to a tablet by the first statement that needs one.
  struct Transaction {
    std::vector<std::string> pending;  // BEGIN and SAVEPOINTs, not sent yet
    Backend* backend = nullptr;        // bound
    OpenWork work;                     // what it touches
  };

  // A statement that met a closed gate, and how long the rules have stood unchanged since.
  struct ClosedGate {
    uint64_t epoch = 0;
    absl::Time since = absl::InfinitePast();
    bool is_final = false;  // the next error is the client's
  };

  // Functions that return a status return OK when the client was answered (also with an error), and
  // an error when the session is over.

  // session.cc: packets and commands
  absl::Status Greet();
  absl::Status Command(absl::string_view payload);
  absl::Status Prepared(uint8_t command);
  absl::Status Use(absl::string_view target);
  absl::Status SetTarget(absl::string_view text);
  absl::Status ResetConnection();
  absl::Status SendOk();
  absl::Status SendError(const absl::Status& status);
  absl::Status SendPackets(const std::vector<std::string>& packets);
  [[nodiscard]] Wait ClientWait() const;
  [[nodiscard]] bool ClientIsGone() const;
  [[nodiscard]] uint16_t LocalStatus() const;

  // session_statement.cc: what kind of statement
  absl::Status Query(absl::string_view payload);
  absl::Status Dispatch(const Work& work, const std::vector<sql::Token>& tokens);
  absl::Status Show(const Work& work, const std::vector<sql::Token>& tokens);
  absl::Status ShowDatabases(const std::vector<sql::Token>& tokens);
  absl::Status Begin(const Work& work);
  absl::Status EndTransaction(const Work& work);
  absl::Status Savepoint(const Work& work);
  absl::Status Set(const Work& work);
  absl::Status SetOnAll(const Work& work);
  absl::Status SetOnOne(const Work& work);
  absl::StatusOr<Response> RunSet(const Work& work, Backend* backend);
  absl::StatusOr<Backend*> AnyBackend();
  absl::Status Kill(const Work& work);
  [[nodiscard]] absl::Status Unsupported(const Work& work) const;

  // session_execute.cc: on a backend
  absl::Status Execute(const Work& work);
  // After a statement met a closed gate under the rules of `epoch`. ABORTED: the client is gone.
  absl::Status WaitForGate(uint64_t epoch, absl::Time deadline, WaitingPlace& place,
                           ClosedGate& gate);
  absl::StatusOr<Backend*> BackendFor(const Plan& plan, const RuleSnapshot& snapshot);
  absl::StatusOr<Backend*> BoundBackend(const Plan& plan) const;
  // True: try again.
  absl::StatusOr<bool> WaitForTablet(const absl::Status& reason, uint64_t epoch,
                                     absl::Time deadline, WaitingPlace& place);
  absl::StatusOr<bool> Attempt(const Work& work, const RuleSnapshot& snapshot, Backend* backend,
                               OpenWork open, bool may_keep_back);
  absl::StatusOr<bool> BindTransaction(Backend* backend);
  absl::StatusOr<bool> AfterKeptBack(Backend* backend, bool bound_now);
  absl::Status LostBackend(Backend* backend, const Response& response, const absl::Status& why);
  absl::Status AfterResponse(Backend* backend, const Response& response, OpenWork open,
                             bool in_doubt);
  absl::Status RunBound(const Work& work);
  void ForgetTransaction();

  // session_home.cc: what lives on one server only
  // The backend that has what a statement without tables reads of the session; nullptr: any will
  // do.
  absl::StatusOr<Backend*> HomeFor(const Work& work);
  // Runs it there: true when it must be tried again.
  absl::StatusOr<bool> RunAtHome(Work work, const RuleSnapshot& snapshot, Backend* home);
  // Makes sure that the statement finds there what it reads of the session.
  absl::Status Prepare(const Work& work, Backend* backend);
  void SettleInsertId(const Work& work);
  absl::Status CarryInsertId(Backend* from, Backend* to);
  // An error when temporary tables or locks of the session are on a server that does not serve
  // their place any more: the session has to end.
  absl::Status CheckKept(const RuleSnapshot& snapshot);
  absl::Status End(const absl::Status& why);
  // Sends the error; ends the session where its state is broken.
  absl::Status Fail(const absl::Status& why);
  void Drop(Backend* backend);

  const SessionServices& services_;
  const uint64_t id_;
  Channel client_;
  ClientLogin login_;
  bool over_ = false;

  routing::Target target_;
  std::string target_text_;
  Settings settings_;
  bool autocommit_ = true;
  sql::TokenizerOptions tokenizer_;
  std::vector<std::string> next_transaction_;  // SET TRANSACTION for the next one only

  BackendSet backends_;
  Transaction transaction_;
  SessionState state_;
  uint64_t kept_epoch_ = 0;  // at which CheckKept has found nothing
};

}  // namespace sluice::proxy
