// The decisions of the crash loop, and its relay.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "integration/crashloop/faults.h"
#include "integration/crashloop/relay.h"
#include "integration/crashloop/transactions.h"

namespace sluice::crashloop {
namespace {

TEST(PlanFaultsTest, TheSameSeedMakesTheSameDecisions) {
  EXPECT_EQ(PlanFaults(7, 3, 200), PlanFaults(7, 3, 200));
  EXPECT_NE(PlanFaults(7, 3, 200), PlanFaults(7, 4, 200));
  EXPECT_NE(PlanFaults(7, 3, 200), PlanFaults(8, 3, 200));
}

TEST(PlanFaultsTest, EveryKindComesAndOnePauseIsLongerThanTheTimeOuts) {
  std::set<FaultKind> kinds;
  int long_pauses = 0;
  for (const Fault& fault : PlanFaults(1, 0, 2000)) {
    kinds.insert(fault.kind);
    long_pauses += fault.duration > absl::Seconds(11) ? 1 : 0;
    EXPECT_EQ(fault.point.empty(), fault.kind != FaultKind::kCrashAgent) << fault.ToString();
  }
  EXPECT_EQ(kinds.size(), kFaultKinds);
  EXPECT_EQ(long_pauses, 1);
}

TEST(TransactionMakerTest, TheSameSeedMakesTheSameTransactions) {
  TransactionMaker one(5, 1, 1);
  TransactionMaker same(5, 1, 1);
  TransactionMaker other(5, 2, 1);
  int different = 0;
  for (int i = 0; i < 500; ++i) {
    const auto statements = one.Next();
    EXPECT_EQ(statements, same.Next());
    different += statements == other.Next() ? 0 : 1;
    EXPECT_TRUE(statements.back() == "COMMIT" || statements.back() == "ROLLBACK");
  }
  EXPECT_GT(different, 400);
}

// A server and a client with a relay between them.
class RelayTest : public testing::Test {
 protected:
  RelayTest() {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, generic, size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, generic, &size), 0);
    relay_ = std::make_unique<Relay>(ntohs(address.sin_port));
    client_ = socket(AF_INET, SOCK_STREAM, 0);
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    setsockopt(client_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const sockaddr_in there = Loopback(relay_->port());
    EXPECT_EQ(connect(client_, reinterpret_cast<const sockaddr*>(&there), sizeof there), 0);
    server_ = accept(listener_, nullptr, nullptr);
    setsockopt(server_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~RelayTest() override {
    for (const int fd : {client_, server_, listener_}) {
      close(fd);
    }
  }

  static sockaddr_in Loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  // Reads until `bytes` have come or the connection has ended.
  static std::string Read(int fd, size_t bytes) {
    std::string text;
    std::array<char, 4096> buffer;
    while (text.size() < bytes) {
      const ssize_t got = recv(fd, buffer.data(), std::min(buffer.size(), bytes - text.size()), 0);
      if (got <= 0) {
        break;
      }
      text.append(buffer.data(), static_cast<size_t>(got));
    }
    return text;
  }

  void Send(int fd, const std::string& text) {
    EXPECT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  int listener_ = -1;
  int client_ = -1;
  int server_ = -1;
  std::unique_ptr<Relay> relay_;
};

TEST_F(RelayTest, BytesPassBothWaysUntilACut) {
  const std::string large(3'000'000, 'x');
  {
    const std::jthread sender([&] { Send(client_, large); });
    EXPECT_EQ(Read(server_, large.size()), large);
  }
  Send(server_, "back");
  EXPECT_EQ(Read(client_, 4), "back");
  relay_->Cut(false);
  EXPECT_EQ(Read(client_, 1), "");
  EXPECT_EQ(Read(server_, 1), "");
  EXPECT_EQ(relay_->connections_cut(), 1U);
}

TEST_F(RelayTest, ACutWithinAMessageLetsPassWhatComesBeforeIt) {
  relay_->CutWithin(5, false);
  Send(client_, "0123456789");
  EXPECT_EQ(Read(server_, 10), "01234");
  EXPECT_EQ(Read(client_, 1), "");
}

TEST_F(RelayTest, AStallHoldsBytesBack) {
  relay_->Stall(true);
  Send(client_, "late");
  std::array<char, 4> buffer{};
  const timeval brief{.tv_sec = 0, .tv_usec = 300'000};
  setsockopt(server_, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief);
  EXPECT_LT(recv(server_, buffer.data(), buffer.size(), 0), 0);
  relay_->Stall(false);
  EXPECT_EQ(Read(server_, 4), "late");
}

}  // namespace
}  // namespace sluice::crashloop
