// A peer without manners, on a plain TCP connection.

#pragma once

#include <cstddef>
#include <string>

namespace sluice::rpc::testing {

// Connects to tcp://127.0.0.1:port and greets as a req socket does.
class RudePeer {
 public:
  explicit RudePeer(const std::string& url);
  RudePeer(const RudePeer&) = delete;
  RudePeer& operator=(const RudePeer&) = delete;
  ~RudePeer();  // with a reset

  // False once the connection is lost.
  [[nodiscard]] bool Send(const std::string& bytes) const;
  // At most that many, or with MSG_WAITALL just as many; none when the connection is lost.
  [[nodiscard]] std::string Receive(size_t bytes_max, int flags = 0) const;
  // Ends both, also in other threads.
  void Shutdown() const;

 private:
  int socket_;
};

// The bytes of a frame as they cross the wire.
std::string FrameOf(const std::string& body);

// Sends requests with such a keyspace until it has received so many bytes of the answers.
void TalkAndVanish(const std::string& url, size_t keyspace_bytes, size_t received_bytes);

// How many descriptors this process has.
size_t OpenFiles();

}  // namespace sluice::rpc::testing
