// Ports of clusters that several processes start at the same time.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <set>
#include <vector>

#include "integration/cluster/mysqld.h"

namespace sluice::cluster {
namespace {

constexpr int kPorts = 250;
using Ports = std::array<uint16_t, kPorts>;

// Picks, tells and holds them until the parent has closed its end.
[[noreturn]] void PickAndHold(int tell, int until) {
  Ports ports{};
  for (uint16_t& port : ports) {
    port = PickPort().value_or(0);
  }
  const bool told = write(tell, ports.data(), sizeof(ports)) == sizeof(ports);
  char none = 0;
  _exit(told && read(until, &none, 1) == 0 ? 0 : 1);
}

// By chance two of four times 250 would be the same about twenty times.
TEST(PortsTest, NoTwoProcessesPickTheSameThoughNobodyListensYet) {
  std::array<int, 2> hold{};
  std::array<int, 2> told{};
  ASSERT_EQ(pipe(hold.data()), 0);
  ASSERT_EQ(pipe(told.data()), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      close(hold[1]);
      PickAndHold(told[1], hold[0]);
    }
    children.push_back(child);
  }
  std::set<uint16_t> all;
  for (size_t i = 0; i < children.size(); ++i) {
    Ports ports{};
    // Shorter than what a pipe takes at once.
    ASSERT_EQ(read(told[0], ports.data(), sizeof(ports)), static_cast<ssize_t>(sizeof(ports)));
    all.insert(ports.begin(), ports.end());
  }
  close(hold[1]);
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(all.size(), children.size() * kPorts);
  EXPECT_FALSE(all.contains(0));
}

}  // namespace
}  // namespace sluice::cluster
