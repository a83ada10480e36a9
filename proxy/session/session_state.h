// SessionState: what of a client's session lives on one server only, and what that means for the
// statements that follow. Pure.
//
// A client may have sessions on several servers, and a switch of traffic takes it to another one in
// the middle of its work. Invariants:
//  1. No statement reads a user variable, or what the statement before left, on a server that does
//     not have it.
//  2. LAST_INSERT_ID() has the value of the client's last insert, on whichever server it was.
//  3. No statement runs where a temporary table or a named lock of the session should be and is
//     not: neither when the place that it was made for is served elsewhere now, nor when its server
//     has lost it.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/routing/target.h"
#include "common/sql/statement.h"
#include "proxy/backend/server_session.h"
#include "proxy/rules/rule_snapshot.h"

namespace sluice::proxy {

// Owned by one thread.
class SessionState {
 public:
  // Temporary tables and named locks, made under one target.
  struct Kept {
    ServerSession server;
    routing::Target target;
    std::vector<sql::TableName> temporary;  // qualified where the target names a keyspace
    bool locks = false;                     // there may be some
  };

  // Where a statement without tables and routines finds all that it reads of the session: the
  // number of that server, or 0 where any will do. 1105 when it is lost or lies on two servers.
  [[nodiscard]] absl::StatusOr<uint64_t> HomeOf(const sql::SessionUse& use) const;
  // Whether a statement may run there. 1105 names what it would miss; 1235 when the session has
  // more state than can be kept in mind.
  [[nodiscard]] absl::Status Check(const sql::SessionUse& use, const ServerSession& server) const;
  // The server that must be asked for LAST_INSERT_ID() before the statement runs on `number`; 0:
  // none.
  [[nodiscard]] uint64_t InsertIdFrom(const sql::SessionUse& use, uint64_t number) const;
  void InsertIdIsOn(const ServerSession& server) { insert_id_ = Home{server}; }
  // An OK packet names an id also where the client gave it itself and LAST_INSERT_ID() stayed what
  // it was. Where that leaves open which server has the client's: the number of the server that
  // must be asked before another statement, unless that one reads its diagnostics; else 0.
  [[nodiscard]] uint64_t DoubtfulInsert() const { return doubtful_.server.number; }
  void Settle(uint64_t last_insert_id_there);

  struct Outcome {
    bool failed = false;
    uint64_t insert_id = 0;  // as the OK packet says
  };
  // The statement has run there.
  void Ran(const ServerSession& server, const routing::Target& target,
           const sql::Statement& statement, const Outcome& outcome);
  // A SET has given these user variables (as in SessionUse) the same value on all servers, those to
  // come included.
  void SetEverywhere(const std::vector<std::string>& variables);
  // The session on that server has ended, and all that was in it.
  void Lost(uint64_t number);

  [[nodiscard]] const std::vector<Kept>& kept() const { return kept_; }
  void ForgetLocks(uint64_t number);
  // Not OK once a server with temporary tables or locks was lost: then the client's session can't
  // go on as if they were there.
  [[nodiscard]] const absl::Status& broken() const { return broken_; }

 private:
  struct Home {
    ServerSession server;
    bool lost = false;
  };

  void MadeTemporary(const ServerSession& server, const routing::Target& target,
                     const sql::Statement& statement);
  void ChangedTables(const ServerSession& server, const routing::Target& target,
                     const sql::Statement& statement);
  Kept& KeptOn(const ServerSession& server, const routing::Target& target);
  void ForgetEmpty();

  Home last_;       // number 0: no statement has run
  Home insert_id_;  // the same
  struct {
    ServerSession server;
    uint64_t insert_id = 0;
  } doubtful_;
  absl::flat_hash_map<std::string, Home> variables_;  // those that have their value on one server
  std::vector<Kept> kept_;
  absl::Status broken_;
};

// Whether the place that these were made for is not served by another server now.
bool IsServed(const SessionState::Kept& kept, const RuleSnapshot& snapshot);
// What a session is told that ends because of them: 1184, with the names.
absl::Status SessionEnds(const SessionState::Kept& kept, absl::string_view why);

}  // namespace sluice::proxy
