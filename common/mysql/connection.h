// Connection: one session on a mysqld, through the genuine libmysqlclient.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice::mysql {

struct ConnectionOptions {
  std::string host;  // empty with a socket
  uint16_t port = 3306;
  std::string socket;
  std::string user;
  std::string password;
  std::string database;
  absl::Duration connect_timeout = absl::Seconds(5);
  absl::Duration read_timeout = absl::Seconds(60);  // rounded up to seconds
  absl::Duration write_timeout = absl::Seconds(60);
  std::string charset = "utf8mb4";  // "binary" for data sessions
  std::string program;              // connection attribute program_name
  bool loads_rows = false;          // allows LoadRows; the server still gets no file
  bool plain = false;               // never TLS; else where offered, on loopback where required
  uint64_t extra_client_flags = 0;  // CLIENT_FOUND_ROWS, CLIENT_MULTI_STATEMENTS, … of the protocol
};

// A cell of a text-protocol row; nullopt is NULL. Valid only while the row is.
using Cell = std::optional<absl::string_view>;
using Row = std::vector<std::optional<std::string>>;

struct QueryResult {
  std::vector<std::string> columns;
  std::vector<Row> rows;
  uint64_t affected_rows = 0;
  uint64_t warnings = 0;
  uint64_t last_insert_id = 0;
};

// One MySQL session. Errors carry the server's number (MysqlErrnoOf) and are mapped to status codes
// as style documents say: 1213, 1205 ABORTED; 2002 2003 2006 2013 UNAVAILABLE; 1062 ALREADY_EXISTS;
// 1146 1054 1364 FAILED_PRECONDITION; 1236 DATA_LOSS; 1045 1044 1227 PERMISSION_DENIED; 1290 1836
// FAILED_PRECONDITION; 1040 1203 RESOURCE_EXHAUSTED; 3024 DEADLINE_EXCEEDED; 1317 CANCELLED; others
// INTERNAL (the whole table is in error.cc). The message is "1146 (42S02): " and the server's text.
//
// Owned by one thread at a time, but for Interrupt(), which is thread-safe.
class Connection {
 public:
  // Speaks caching_sha2_password over plain TCP with the server's public key, TLS where offered; to
  // a server on this very host only where that or the account requires it.
  static absl::StatusOr<std::unique_ptr<Connection>> Connect(const ConnectionOptions& options);

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Runs one statement and reads the whole answer. Statements are bytes; no NUL handling. Of a
  // procedure with several results the first one is kept.
  absl::StatusOr<QueryResult> Query(absl::string_view sql);

  // Runs a statement and discards any rows. Returns the number of affected rows.
  absl::StatusOr<uint64_t> Execute(absl::string_view sql);

  // Runs a statement that has a `?` for each of `values`, byte strings of any size: they are sent
  // as they are, in pieces, and it is each of them that the server holds to max_allowed_packet, not
  // the statement with all of them.
  struct Outcome {
    uint64_t affected_rows = 0;
    uint64_t warnings = 0;
  };
  absl::StatusOr<Outcome> ExecuteWithValues(absl::string_view sql,
                                            const std::vector<absl::string_view>& values);

  // Runs LOAD DATA LOCAL with `data` for its file, whose name does not matter. Errors in the data
  // may be warnings only: the caller looks at the outcome. Needs ConnectionOptions::loads_rows, and
  // local_infile=ON at the server.
  struct LoadOutcome {
    uint64_t records = 0;
    uint64_t deleted = 0;
    uint64_t skipped = 0;
    uint64_t warnings = 0;
  };
  absl::StatusOr<LoadOutcome> LoadRows(absl::string_view sql, absl::string_view data);

  // Streams the rows of a statement (mysql_use_result). `on_row` may return an error, which ends
  // the read and is returned (the rest of the result is discarded). A connection lost in the middle
  // is an error, never a short result.
  absl::Status QueryStream(absl::string_view sql,
                           const std::function<absl::Status(const std::vector<Cell>&)>& on_row);

  // First cell of the first row; NOT_FOUND when there is no row, empty string for NULL.
  absl::StatusOr<std::string> QueryScalar(absl::string_view sql);

  // The GTID of the last commit of this session when session_track_gtids is OWN_GTID; else empty.
  [[nodiscard]] std::string LastGtid() const;

  [[nodiscard]] uint64_t connection_id() const;
  [[nodiscard]] std::string server_version() const;
  [[nodiscard]] bool healthy() const;  // false after an UNAVAILABLE error

  // Ends a call that blocks in another thread by shutting the socket down; that call returns
  // UNAVAILABLE. The connection is unusable afterwards. Thread-safe.
  void Interrupt();

  // Takes the authenticated socket away, for the proxy's raw forwarding. The connection must be
  // idle and made with ConnectionOptions::plain. Returns the descriptor (owned by the caller, in
  // blocking mode, no COM_QUIT sent) and the negotiated capability flags. libmysqlclient always
  // asks for SESSION_TRACK, DEPRECATE_EOF and QUERY_ATTRIBUTES: they can't be turned off here, so
  // that a COM_QUERY on such a socket carries a parameter count and set count (0, 1) before the
  // text. No other call is valid afterwards but the destructor.
  struct RawSocket {
    int fd = -1;
    uint64_t capabilities = 0;  // CLIENT_* flags of the protocol that both sides have

    [[nodiscard]] bool deprecate_eof() const { return (capabilities & (1ULL << 24U)) != 0; }
    [[nodiscard]] bool session_track() const { return (capabilities & (1ULL << 23U)) != 0; }
    [[nodiscard]] bool query_attributes() const { return (capabilities & (1ULL << 27U)) != 0; }
  };
  absl::StatusOr<RawSocket> ReleaseSocket();

 private:
  friend class BinlogStream;
  struct Impl;
  static absl::StatusOr<std::unique_ptr<Connection>> ConnectOnce(const ConnectionOptions& options);
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Makes a session ready for reading or writing rows exactly: SET NAMES binary, time zone +00:00,
// zero and invalid dates as they are, no foreign key checks, no value invented for AUTO_INCREMENT
// 0, invisible primary keys shown. Every session that copies, applies or compares rows runs it
// first; the literals of common/binlog/row_image.h are made for it.
absl::Status ConfigureDataSession(Connection& connection);

// The same for a session that reads and runs definitions: statements are UTF-8, and answers are
// sent as they are. mysqld prints a literal of another character set (_latin1'…', in a generated
// column, a default or a CHECK) by its bytes, and would put question marks in their place if it
// converted the text of the definition.
absl::Status ConfigureDefinitionSession(Connection& connection);

// 'text' quoted and escaped for a statement ('\'' included), for sql_mode without
// NO_BACKSLASH_ESCAPES and connection charset utf8mb4 or binary.
std::string QuoteString(absl::string_view text);
void AppendQuoted(absl::string_view text, std::string& sql);
// `name`, back-ticks doubled.
std::string QuoteName(absl::string_view name);
// Takes a back-ticked name off the front of the text; nullopt, the text as it was, when none is
// there or it does not end.
std::optional<std::string> TakeQuotedName(absl::string_view& text);
// `database`.`table`
std::string QuoteTable(absl::string_view database, absl::string_view table);

// Reads user, password, host, port, socket and database from the [client] and the given groups of a
// MySQL option file, later lines over earlier ones; other options are passed over. !include is
// followed. NOT_FOUND when it can't be read, INVALID_ARGUMENT with path and line when malformed,
// FAILED_PRECONDITION when others may write to it.
absl::StatusOr<ConnectionOptions> LoadOptionFile(const std::string& path,
                                                 const std::vector<std::string>& groups = {});

}  // namespace sluice::mysql
