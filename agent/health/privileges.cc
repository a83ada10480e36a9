// Privileges: what the agent's account may do, from SHOW GRANTS, and what it lacks.

#include "agent/health/privileges.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/mysql/connection.h"

namespace sluice::agent {
namespace {

constexpr int kSetAnyDefinerSince = 80200;

// Reads "`name`" or a bare word at the front.
bool TakeName(absl::string_view& text, std::string& name) {
  if (absl::StartsWith(text, "`")) {
    std::optional<std::string> quoted = mysql::TakeQuotedName(text);
    name = std::move(quoted).value_or("");
    return !name.empty();
  }
  const size_t end = std::min(text.find('.'), text.size());
  name = std::string(text.substr(0, end));
  text.remove_prefix(end);
  return !name.empty();
}

// "a, b ON `db`.* TO `u`@`h` WITH GRANT OPTION"; false for other levels and for roles.
bool ParseLine(absl::string_view rest, absl::string_view direction, Grant& grant) {
  const size_t on = rest.find(" ON ");
  if (on == absl::string_view::npos) {
    return false;
  }
  const absl::string_view names = rest.substr(0, on);
  absl::string_view object = rest.substr(on + 4);
  if (absl::StrContains(names, "(") || !TakeName(object, grant.database) ||
      !absl::ConsumePrefix(&object, ".*")) {
    return false;
  }
  for (const absl::string_view name : absl::StrSplit(names, ',')) {
    grant.privileges.insert(absl::AsciiStrToUpper(absl::StripAsciiWhitespace(name)));
  }
  if (absl::StrContains(object, direction) && absl::EndsWith(object, "WITH GRANT OPTION")) {
    grant.privileges.insert("GRANT OPTION");
  }
  return true;
}

// ALL PRIVILEGES of a database or of *.* holds every static privilege but GRANT OPTION. SHOW GRANTS
// lists dynamic ones (with an underscore) by name.
bool Covers(const Grant& grant, absl::string_view privilege) {
  if (grant.privileges.contains(std::string(privilege))) {
    return true;
  }
  return privilege != "GRANT OPTION" && !absl::StrContains(privilege, "_") &&
         grant.privileges.contains("ALL PRIVILEGES");
}

// Which of `wanted` are missing on a database, as text and remedy.
void Require(const Privileges& privileges, absl::string_view database,
             const std::vector<absl::string_view>& wanted, absl::string_view account,
             std::vector<std::string>& texts, std::vector<std::string>& remedies) {
  std::vector<absl::string_view> missing;
  bool grant_option = false;
  for (const absl::string_view privilege : wanted) {
    const bool held =
        database == "*" ? privileges.HasGlobal(privilege) : privileges.HasOn(database, privilege);
    if (!held && privilege == "GRANT OPTION") {
      grant_option = true;
    } else if (!held) {
      missing.push_back(privilege);
    }
  }
  if (missing.empty() && !grant_option) {
    return;
  }
  const std::string object =
      database == "*" ? "*.*"
                      : absl::StrCat("`", absl::StrReplaceAll(database, {{"`", "``"}}), "`.*");
  std::vector<absl::string_view> named = missing;
  if (grant_option) {
    named.emplace_back("GRANT OPTION");
  }
  texts.push_back(absl::StrCat(absl::StrJoin(named, ", "), " on ", object));
  // The option comes with a privilege that may then be granted on.
  remedies.push_back(
      absl::StrCat("GRANT ", missing.empty() ? "SELECT" : absl::StrJoin(missing, ", "), " ON ",
                   object, " TO ", account, grant_option ? " WITH GRANT OPTION" : ""));
}

}  // namespace

std::string QuoteAccount(absl::string_view account) {
  const size_t at = account.rfind('@');
  return at == absl::string_view::npos
             ? mysql::QuoteString(account)
             : absl::StrCat(mysql::QuoteString(account.substr(0, at)), "@",
                            mysql::QuoteString(account.substr(at + 1)));
}

Privileges Privileges::Parse(const std::vector<std::string>& lines) {
  Privileges parsed;
  for (const std::string& line : lines) {
    absl::string_view rest = line;
    Grant grant;
    if (absl::ConsumePrefix(&rest, "GRANT ")) {
      if (ParseLine(rest, " TO ", grant)) {
        parsed.grants_.push_back(std::move(grant));
      }
    } else if (absl::ConsumePrefix(&rest, "REVOKE ")) {
      if (ParseLine(rest, " FROM ", grant)) {
        parsed.revokes_.push_back(std::move(grant));
      }
    }
  }
  return parsed;
}

bool Privileges::HasGlobal(absl::string_view privilege) const {
  return std::any_of(grants_.begin(), grants_.end(), [&](const Grant& grant) {
    return grant.database == "*" &&
           (Covers(grant, privilege) || (privilege != "GRANT OPTION" && Covers(grant, "SUPER") &&
                                         absl::StrContains(privilege, "_")));
  });
}

bool Privileges::HasOn(absl::string_view database, absl::string_view privilege) const {
  const bool by_pattern = std::any_of(grants_.begin(), grants_.end(), [&](const Grant& grant) {
    return grant.database != "*" && MatchesPattern(database, grant.database) &&
           Covers(grant, privilege);
  });
  const bool revoked = std::any_of(revokes_.begin(), revokes_.end(), [&](const Grant& revoke) {
    return revoke.database == database && Covers(revoke, privilege);
  });
  return by_pattern || (HasGlobal(privilege) && !revoked);
}

bool MatchesPattern(absl::string_view database, absl::string_view pattern) {
  if (database == pattern) {
    return true;  // partial_revokes takes patterns literally
  }
  while (!pattern.empty()) {
    if (pattern[0] == '%') {
      pattern.remove_prefix(1);
      for (size_t skip = 0; skip <= database.size(); ++skip) {
        if (MatchesPattern(database.substr(skip), pattern)) {
          return true;
        }
      }
      return false;
    }
    const bool any = pattern[0] == '_';
    if (pattern[0] == '\\' && pattern.size() > 1) {
      pattern.remove_prefix(1);
    }
    if (database.empty() || (!any && database[0] != pattern[0])) {
      return false;
    }
    database.remove_prefix(1);
    pattern.remove_prefix(1);
  }
  return database.empty();
}

MissingPrivileges FindMissingPrivileges(const Privileges& privileges, absl::string_view database,
                                        absl::string_view account, int version,
                                        const GateNeeds& needs) {
  std::vector<absl::string_view> global = {"REPLICATION SLAVE", "REPLICATION CLIENT",
                                           "CREATE USER"};
  global.emplace_back(version >= kSetAnyDefinerSince ? "SET_ANY_DEFINER" : "SET_USER_ID");
  global.emplace_back("XA_RECOVER_ADMIN");
  if (!privileges.HasGlobal("SYSTEM_VARIABLES_ADMIN")) {
    global.emplace_back(needs.server ? "SYSTEM_VARIABLES_ADMIN" : "SESSION_VARIABLES_ADMIN");
  }
  if (needs.kill) {
    global.emplace_back("PROCESS");
  }
  if (needs.kill || needs.server) {
    global.emplace_back("CONNECTION_ADMIN");
  }
  if (needs.server) {
    // To see who else would write, and whom else it would stop.
    global.insert(global.end(), {"SHOW_ROUTINE", "SHOW DATABASES"});
  }
  std::vector<std::string> texts;
  MissingPrivileges missing;
  Require(privileges, "*", global, account, texts, missing.remedies);
  std::vector<absl::string_view> on_database = {"SELECT", "INSERT",      "UPDATE",     "DELETE",
                                                "CREATE", "DROP",        "REFERENCES", "INDEX",
                                                "ALTER",  "CREATE VIEW", "SHOW VIEW",  "TRIGGER"};
  if (needs.server) {
    on_database.emplace_back("EVENT");
    Require(privileges, "mysql", {"SELECT"}, account, texts, missing.remedies);
  }
  on_database.emplace_back("GRANT OPTION");
  Require(privileges, database, on_database, account, texts, missing.remedies);
  Require(privileges, "_sluice",
          {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "INDEX", "ALTER"}, account,
          texts, missing.remedies);
  Require(privileges, "performance_schema", {"SELECT"}, account, texts, missing.remedies);
  missing.text = absl::StrJoin(texts, "; ");
  return missing;
}

}  // namespace sluice::agent
