// Privileges: what the agent's account may do, from SHOW GRANTS, and what it lacks. Pure.

#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::agent {

// One GRANT line on a level that the agent asks for (global or one database).
struct Grant {
  std::string database;              // pattern as in the grant; "*" for global
  std::set<std::string> privileges;  // upper case; "ALL PRIVILEGES", "GRANT OPTION" included
};

// Reads the lines of SHOW GRANTS FOR CURRENT_USER(). Grants of roles, columns, routines and single
// tables are left out; REVOKE lines (partial revokes) take their privileges away by name.
class Privileges {
 public:
  static Privileges Parse(const std::vector<std::string>& lines);

  [[nodiscard]] bool HasGlobal(absl::string_view privilege) const;
  // Globally, or by a grant whose pattern fits the database, and not revoked from it.
  [[nodiscard]] bool HasOn(absl::string_view database, absl::string_view privilege) const;

 private:
  std::vector<Grant> grants_;
  std::vector<Grant> revokes_;
};

// GRANT patterns: % and _ stand for anything, \ takes their meaning away.
bool MatchesPattern(absl::string_view database, absl::string_view pattern);

// "REPLICATION SLAVE on *.*; INSERT, ALTER on vt_customer.*": every privilege that the account
// lacks for serving `database`, with the GRANT statements that give them; empty when it lacks none.
// `version` is the server's number (80036), as names of privileges differ.
struct MissingPrivileges {
  std::string text;
  std::vector<std::string> remedies;
};

// What a cutover asks for beyond what an agent always needs.
struct GateNeeds {
  bool kill = false;    // to end those who sit on the tables (--kill-blockers-after)
  bool server = false;  // to close the whole server (--gate server)
};
MissingPrivileges FindMissingPrivileges(const Privileges& privileges, absl::string_view database,
                                        absl::string_view account, int version,
                                        const GateNeeds& needs = {});

// What CURRENT_USER() says, as GRANT wants it: 'user'@'host'.
std::string QuoteAccount(absl::string_view account);

}  // namespace sluice::agent
