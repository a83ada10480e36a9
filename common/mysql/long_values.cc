// Connection::ExecuteWithValues: a prepared statement whose parameters are sent in pieces.

#include <mysql.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"
#include "common/mysql/connection_impl.h"
#include "common/mysql/error.h"

namespace sluice::mysql {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20U;

struct StatementCloser {
  void operator()(MYSQL_STMT* statement) const { mysql_stmt_close(statement); }
};
using StatementPtr = std::unique_ptr<MYSQL_STMT, StatementCloser>;

bool SendInPieces(MYSQL_STMT* statement, unsigned parameter, absl::string_view value) {
  do {
    const absl::string_view piece = value.substr(0, kPieceBytes);
    if (mysql_stmt_send_long_data(statement, parameter, piece.data(), piece.size())) {
      return false;
    }
    value.remove_prefix(piece.size());
  } while (!value.empty());
  return true;
}

}  // namespace

absl::StatusOr<Connection::Outcome> Connection::ExecuteWithValues(
    absl::string_view sql, const std::vector<absl::string_view>& values) {
  EnterThread();
  if (!healthy()) {
    return MysqlError(0, "", "");
  }
  const StatementPtr statement(mysql_stmt_init(impl_->handle.get()));
  if (statement == nullptr) {
    return absl::ResourceExhaustedError("no memory for a prepared statement");
  }
  const auto failed = [&] {
    absl::Status status =
        MysqlError(mysql_stmt_errno(statement.get()), mysql_stmt_sqlstate(statement.get()),
                   mysql_stmt_error(statement.get()));
    impl_->healthy = impl_->healthy && !absl::IsUnavailable(status);
    return status;
  };
  if (mysql_stmt_prepare(statement.get(), sql.data(), sql.size()) != 0) {
    return failed();
  }
  const unsigned long parameters = mysql_stmt_param_count(statement.get());
  if (parameters != values.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(values.size(), " values for a statement of ", parameters, " parameters"));
  }
  std::vector<MYSQL_BIND> binds(values.size());
  for (MYSQL_BIND& bind : binds) {
    bind.buffer_type = MYSQL_TYPE_LONG_BLOB;
  }
  if (mysql_stmt_bind_param(statement.get(), binds.data())) {
    return failed();
  }
  for (unsigned i = 0; i < values.size(); ++i) {
    if (!SendInPieces(statement.get(), i, values[i])) {
      return failed();
    }
  }
  if (mysql_stmt_execute(statement.get()) != 0) {
    return failed();
  }
  const Outcome outcome = {.affected_rows = mysql_stmt_affected_rows(statement.get()),
                           .warnings = mysql_warning_count(impl_->handle.get())};
  SLUICE_RETURN_IF_ERROR(impl_->Finish());
  return outcome;
}

}  // namespace sluice::mysql
