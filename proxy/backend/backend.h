// Backend: a client's session on one tablet's mysqld, spoken to in raw packets.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/rules/rule_snapshot.h"
#include "proxy/wire/channel.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {

struct BackendOptions {
  std::string user;
  std::string password;
  absl::Duration connect_timeout = absl::Seconds(2);
  absl::Duration internal_timeout = absl::Seconds(30);  // of statements of the proxy's own
};

// What came back for one statement.
struct Response {
  bool is_error = false;
  ErrorPacket error;       // when is_error
  uint16_t status = 0;     // server status flags, when not is_error
  uint64_t insert_id = 0;  // of the last OK packet that had one
  bool forwarded = false;  // something of it went to the client
};

// Owned by one thread.
class Backend {
 public:
  // Connects, authenticates and sets the client's character set. UNAVAILABLE when the mysqld is not
  // reachable, else the error that it gave.
  static absl::StatusOr<std::unique_ptr<Backend>> Open(const Tablet& tablet,
                                                       const BackendOptions& options,
                                                       uint64_t client_capabilities,
                                                       uint8_t collation);
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  ~Backend();  // says COM_QUIT

  // Whether mysqld has closed the idle connection.
  [[nodiscard]] bool IsStale() const { return channel_.HasInput(); }

  absl::Status SendQuery(absl::string_view attributes, absl::string_view sql, const Wait& wait);
  // Runs a statement of the proxy's own; rows are thrown away but for the first cell of the last
  // one.
  absl::StatusOr<Response> Run(absl::string_view sql, std::string* cell = nullptr);
  // The server status flags as of now.
  absl::StatusOr<uint16_t> AskStatus();

  // Ends whatever runs in this session, by another connection; best effort. The session is dead
  // afterwards.
  void Kill();
  // Ends only the statement that runs. Called from other threads with what copies of tablet and
  // number are for.
  static void KillOn(const Tablet& tablet, const BackendOptions& options, uint64_t connection_id,
                     bool query_only);

  [[nodiscard]] const Tablet& tablet() const { return tablet_; }
  [[nodiscard]] uint64_t connection_id() const { return connection_id_; }
  [[nodiscard]] uint64_t capabilities() const { return capabilities_; }
  [[nodiscard]] Channel& channel() { return channel_; }

 private:
  Backend(Tablet tablet, BackendOptions options, Descriptor socket);

  [[nodiscard]] Wait InternalWait() const;

  const Tablet tablet_;
  const BackendOptions options_;
  Channel channel_;
  uint64_t connection_id_ = 0;
  uint64_t capabilities_ = 0;
  bool dead_ = false;
};

}  // namespace sluice::proxy
