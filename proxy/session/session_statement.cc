// Session: what each kind of statement asks for.

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "proxy/session/local_answer.h"
#include "proxy/session/session.h"

namespace sluice::proxy {

absl::Status Session::Query(absl::string_view payload) {
  const auto command = ParseQuery(payload, login_.capabilities);
  if (!command.ok()) {
    return SendError(MysqlError(1835, command.status().message()));
  }
  const auto tokens = sql::Tokenize(command->sql, tokenizer_);
  if (!tokens.ok()) {
    return SendError(MysqlError(
        1064, absl::StrCat("You have an error in your SQL syntax: ", tokens.status().message())));
  }
  const auto statement = sql::AnalyzeStatement(*tokens);
  if (!statement.ok()) {
    return SendError(MysqlError(1064, absl::StrCat("You have an error in your SQL syntax: ",
                                                   statement.status().message())));
  }
  const Work work{command->sql, command->attributes, *statement};
  return Dispatch(work, *tokens);
}

absl::Status Session::Unsupported(const Work& work) const {
  const sql::Statement& statement = work.statement;
  const auto no = [](absl::string_view what) {
    return MysqlError(1235, absl::StrCat(what, " not supported by this proxy"));
  };
  if (statement.multiple) {
    return no("several statements in one text are");
  }
  if (statement.verb == "PREPARE" || statement.verb == "EXECUTE" ||
      statement.verb == "DEALLOCATE") {
    return MysqlError(1295, absl::StrCat(statement.verb,
                                         " is not supported by this proxy yet: the tables of a "
                                         "prepared statement can't be seen"));
  }
  if (statement.verb == "XA" || statement.verb == "HANDLER") {
    return no(absl::StrCat(statement.verb, " statements are"));
  }
  if (statement.kind == sql::StatementKind::kLockTables) {
    return no("LOCK TABLES is");
  }
  if (statement.is_database_ddl) {
    return no(
        "CREATE, ALTER and DROP DATABASE are (keyspaces come from `sluice keyspace create`);");
  }
  if (statement.kind == sql::StatementKind::kLoad) {
    const std::string text = absl::AsciiStrToUpper(work.text.substr(0, 256));
    if (absl::StrContains(text, "LOCAL")) {
      return MysqlError(3948, "Loading local data is not supported by this proxy");
    }
  }
  if (IsUnsafeCharset(statement.set_charset)) {
    return MysqlError(1115, absl::StrCat("character set ", statement.set_charset,
                                         " is not supported by this proxy"));
  }
  return absl::OkStatus();
}

absl::Status Session::Dispatch(const Work& work, const std::vector<sql::Token>& tokens) {
  if (const absl::Status status = Unsupported(work); !status.ok()) {
    return SendError(status);
  }
  switch (work.statement.kind) {
    case sql::StatementKind::kEmpty:
      return SendError(MysqlError(1065, "Query was empty"));
    case sql::StatementKind::kUse:
      return Use(work.statement.use_target);
    case sql::StatementKind::kBegin:
      return Begin(work);
    case sql::StatementKind::kCommit:
    case sql::StatementKind::kRollback:
      return EndTransaction(work);
    case sql::StatementKind::kSavepoint:
      return Savepoint(work);
    case sql::StatementKind::kSet:
      return Set(work);
    case sql::StatementKind::kShow:
      return Show(work, tokens);
    case sql::StatementKind::kKill:
      return Kill(work);
    case sql::StatementKind::kUnlockTables:
      return SendOk();
    case sql::StatementKind::kSelect:
      if (IsSelectOf(tokens, "DATABASE") || IsSelectOf(tokens, "SCHEMA")) {
        LocalResult result{tokens[1].value + "()", {std::nullopt}};
        if (!target_text_.empty()) {
          result.rows = {target_text_};
        }
        return SendPackets(BuildResult(result, login_.capabilities, LocalStatus()));
      }
      if (IsSelectOf(tokens, "CONNECTION_ID")) {
        return SendPackets(BuildResult({tokens[1].value + "()", {absl::StrCat(id_)}},
                                       login_.capabilities, LocalStatus()));
      }
      return Execute(work);
    default:
      return Execute(work);
  }
}

absl::Status Session::Show(const Work& work, const std::vector<sql::Token>& tokens) {
  const std::string& subject = work.statement.show_subject;
  if (subject == "databases" || subject == "schemas") {
    return ShowDatabases(tokens);
  }
  if (subject == "tables") {
    const std::string keyspace = work.statement.qualifiers.empty()
                                     ? target_.keyspace
                                     : work.statement.qualifiers.front().schema;
    if (keyspace.empty()) {
      return SendError(MysqlError(1046, "No database selected: USE a keyspace"));
    }
    if (!sql::IsSystemSchema(keyspace)) {
      if (const auto query = ShowTablesQuery(tokens, keyspace); query.has_value()) {
        return Execute({*query, work.attributes, work.statement, true});
      }
    }
  }
  return Execute(work);
}

absl::Status Session::ShowDatabases(const std::vector<sql::Token>& tokens) {
  LocalResult result;
  result.column = "Database";
  std::string pattern = "%";
  if (tokens.size() >= 4 && tokens[2].Is("LIKE") && tokens[3].kind == sql::TokenKind::kString) {
    pattern = LiteralText(tokens[3].value);
    absl::StrAppend(&result.column, " (", pattern, ")");
  } else if (tokens.size() >= 3 && tokens[2].Is("WHERE")) {
    return SendError(MysqlError(1235, "SHOW DATABASES WHERE is not supported by this proxy"));
  }
  for (const std::string& keyspace : services_.traffic.snapshot()->keyspaces()) {
    if (MatchesLike(keyspace, pattern)) {
      result.rows.emplace_back(keyspace);
    }
  }
  return SendPackets(BuildResult(result, login_.capabilities, LocalStatus()));
}

absl::Status Session::Begin(const Work& work) {
  if (transaction_.backend != nullptr) {  // BEGIN ends the transaction before it
    const auto response = transaction_.backend->Run("COMMIT");
    if (!response.ok()) {
      return LostBackend(transaction_.backend, {}, response.status());
    }
    if (response->is_error) {
      return SendPackets({BuildError(response->error)});
    }
    transaction_.backend = nullptr;
    transaction_.work.Reset();
  }
  transaction_.pending = {std::string(work.text)};
  return SendOk();
}

absl::Status Session::EndTransaction(const Work& work) {
  if (work.statement.releases) {
    over_ = true;
  }
  if (transaction_.backend != nullptr) {
    return RunBound(work);
  }
  transaction_.pending.clear();
  if (work.statement.chains) {
    transaction_.pending.emplace_back("BEGIN");
  }
  return SendOk();
}

absl::Status Session::Savepoint(const Work& work) {
  if (transaction_.backend != nullptr) {
    return RunBound(work);
  }
  if (!transaction_.pending.empty()) {
    constexpr size_t kPendingMax = 64;
    if (transaction_.pending.size() >= kPendingMax) {
      return SendError(MysqlError(1235, "too many savepoints before the first statement"));
    }
    transaction_.pending.emplace_back(work.text);
    return SendOk();
  }
  if (work.statement.verb == "SAVEPOINT") {
    return SendOk();  // it ends with the statement itself
  }
  return SendError(MysqlError(1305, "SAVEPOINT does not exist: no transaction is open"));
}

absl::Status Session::Set(const Work& work) {
  const sql::Statement& statement = work.statement;
  if (!statement.tables.empty() || statement.sets_global) {
    return Execute(work);
  }
  if (statement.set_variables == std::vector<std::string>{"transaction"}) {
    if (transaction_.backend != nullptr) {
      return RunBound(work);
    }
    next_transaction_ = {std::string(work.text)};
    return SendOk();
  }
  const bool only_user_variables =
      std::all_of(statement.set_variables.begin(), statement.set_variables.end(),
                  [](const std::string& name) { return absl::StartsWith(name, "@"); });
  SettleInsertId(work);
  const auto home = state_.HomeOf(statement.session);
  if (!home.ok()) {
    return Fail(home.status());
  }
  return only_user_variables && (statement.session.varies || *home != 0) ? SetOnOne(work)
                                                                         : SetOnAll(work);
}

// A backend of the session's target.
absl::StatusOr<Backend*> Session::AnyBackend() {
  sql::Statement read;
  read.is_read = true;
  const auto snapshot = services_.traffic.snapshot();
  SLUICE_ASSIGN_OR_RETURN(const Plan plan, MakePlan(read, target_, *snapshot));
  return BackendFor(plan, *snapshot);
}

absl::StatusOr<Response> Session::RunSet(const Work& work, Backend* backend) {
  SLUICE_ASSIGN_OR_RETURN(Response response, backend->Run(work.text));
  const bool ended = !response.is_error && (response.status & kStatusInTransaction) == 0;
  if (backend == transaction_.backend && ended) {
    transaction_.backend = nullptr;  // autocommit=1 has ended it
    transaction_.work.Reset();
  }
  return response;
}

// What has another value on each server, or at each moment, is set on one, and has its home there.
absl::Status Session::SetOnOne(const Work& work) {
  absl::StatusOr<Backend*> backend = transaction_.backend;
  if (*backend == nullptr) {
    const auto home = state_.HomeOf(work.statement.session);
    backend = home.ok() && *home != 0 ? backends_.Find(*home) : nullptr;
  }
  if (*backend == nullptr) {
    backend = AnyBackend();
  }
  if (!backend.ok()) {
    return Fail(backend.status());
  }
  if (const absl::Status ready = Prepare(work, *backend); !ready.ok()) {
    return Fail(ready);
  }
  const auto response = RunSet(work, *backend);
  if (!response.ok()) {
    return LostBackend(*backend, {}, response.status());
  }
  if (response->is_error) {
    return SendPackets({BuildError(response->error)});
  }
  state_.Ran(backends_.SessionOf(*backend), target_, work.statement, {});
  return SendOk();
}

// All backend sessions of the client get the statement, and later ones will.
absl::Status Session::SetOnAll(const Work& work) {
  const sql::Statement& statement = work.statement;
  std::vector<Backend*> backends = backends_.all();
  if (backends.empty()) {
    const auto backend = AnyBackend();
    if (backend.ok()) {
      backends.push_back(*backend);
    }
  }
  std::string mode;
  for (Backend* backend : backends) {
    const absl::Status ready = state_.Check(statement.session, backends_.SessionOf(backend));
    if (!ready.ok()) {
      return Fail(ready);
    }
    const auto response = RunSet(work, backend);
    if (!response.ok()) {
      if (backend == transaction_.backend) {
        return LostBackend(backend, {}, response.status());
      }
      Drop(backend);
      continue;
    }
    if (response->is_error) {
      return SendPackets({BuildError(response->error)});
    }
    if (!statement.set_sql_mode.empty()) {
      backend->Run("SELECT @@session.sql_mode", &mode).IgnoreError();
    }
  }
  if (!state_.broken().ok()) {
    return End(state_.broken());
  }
  if (const absl::Status recorded =
          settings_.Record(statement.set_variables, std::string(work.text));
      !recorded.ok()) {
    return SendError(recorded);
  }
  state_.SetEverywhere(statement.session.assigns);
  if (const std::vector<Backend*> left = backends_.all();
      statement.session.varies && !left.empty()) {
    state_.Ran(backends_.SessionOf(left.front()), target_, statement, {});
  }
  if (statement.autocommit.has_value()) {
    autocommit_ = *statement.autocommit;
  }
  if (!statement.set_sql_mode.empty()) {
    const std::string upper =
        absl::AsciiStrToUpper(backends.empty() ? statement.set_sql_mode : mode);
    tokenizer_.ansi_quotes = absl::StrContains(upper, "ANSI");
    tokenizer_.no_backslash_escapes = absl::StrContains(upper, "NO_BACKSLASH_ESCAPES");
  }
  return SendOk();
}

absl::Status Session::Kill(const Work& work) {
  if (!work.statement.kill_id.has_value()) {
    return SendError(MysqlError(1235, "KILL needs the number of a connection of this proxy"));
  }
  const absl::Status status =
      services_.registry.Kill(*work.statement.kill_id, work.statement.kill_query, login_.user);
  return status.ok() ? SendOk() : SendError(status);
}

}  // namespace sluice::proxy
