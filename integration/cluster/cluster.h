// Cluster: mysqlds, agents, a coordinator and proxies on loopback, as real processes.

#pragma once

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"
#include "integration/cluster/layout.h"

namespace sluice::cluster {

struct ClusterOptions {
  std::string directory;      // created; must not hold a cluster
  std::string bin_directory;  // where the programs are
  bool dies_with_parent = false;
  absl::Duration timeout = absl::Seconds(120);
  std::vector<std::string> mysqld_settings;  // more lines of every mysqld's [mysqld] group
};

// A running cluster. Names of processes: mysqld-<uid>, agent-<uid>, coordinator, proxy-<n>; where a
// mysqld holds several shards, the uid is that of the tablet which it belongs to.
// Owned by one thread; the destructor stops everything and removes the directory unless Detach()ed.
class Cluster {
 public:
  // Starts all of it and returns when every tablet serves and every proxy takes clients. Stops what
  // was started when something fails.
  static absl::StatusOr<std::unique_ptr<Cluster>> Up(const Topology& topology,
                                                     const ClusterOptions& options);
  // An existing cluster by its directory.
  static absl::StatusOr<std::unique_ptr<Cluster>> Attach(const std::string& directory);

  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster();

  // Stops all processes (proxies first, mysqlds last) and removes the directory.
  absl::Status Down();
  // Leaves the cluster running after this object.
  void Detach() { detached_ = true; }

  // NOT_FOUND lists the names when `name` is none of them.
  absl::Status Kill(const std::string& name);  // SIGKILL; returns when it is gone
  absl::Status Terminate(const std::string& name);
  absl::Status Pause(const std::string& name);
  absl::Status Resume(const std::string& name);
  // Starts a process that does not run, with its old command line, and returns when it is ready.
  absl::Status Start(const std::string& name, const std::vector<std::string>& environment = {});
  // Returns when the process has ended by itself.
  absl::Status AwaitEnd(const std::string& name, absl::Duration timeout);
  // Returns when the process stands still (SIGSTOP, or SLUICE_STOP_AT reached).
  absl::Status AwaitStopped(const std::string& name, absl::Duration timeout);
  [[nodiscard]] bool IsRunning(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> ProcessNames() const;

  // Agents may close their mysqlds as a whole from now on, where nothing else stands against it.
  absl::Status AllowServerGates() const;

  // Waits until every tablet is serving in the coordinator's view.
  absl::Status AwaitServing(absl::Duration timeout);

  [[nodiscard]] const Layout& layout() const { return layout_; }
  [[nodiscard]] const TabletLayout* FindTablet(uint32_t uid) const;

  // root straight on a tablet's mysqld and database, past the proxies.
  absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectMysqld(uint32_t uid) const;
  // The application's account on a proxy; `target` as in USE, may be empty.
  absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectProxy(const std::string& target,
                                                                  size_t proxy = 0) const;
  // Runs the operator's program.
  absl::StatusOr<CommandResult> Sluice(const std::vector<std::string>& arguments,
                                       absl::Duration timeout = absl::Seconds(90)) const;

 private:
  explicit Cluster(Layout layout) : layout_(std::move(layout)) {}

  absl::Status StartEverything();
  absl::Status StartMysqlds();
  absl::Status Launch(const std::string& name, const std::vector<std::string>& environment,
                      absl::Duration ready_timeout);
  absl::StatusOr<ProcessLayout*> Find(const std::string& name);
  absl::StatusOr<const TabletLayout*> MysqldTablet(const std::string& name) const;

  Layout layout_;
  absl::Duration timeout_ = absl::Seconds(120);
  bool dies_with_parent_ = false;
  bool detached_ = false;
};

}  // namespace sluice::cluster
