// Story: the steps of the demonstration and what each must show.

#include "integration/demo/story.h"

#include <nlohmann/json.hpp>

#include <iostream>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/workload/compare.h"

namespace sluice::demo {
namespace {

constexpr char kWorkflow[] = "customer.commerce2customer";
constexpr char kSource[] = "vt_commerce";
constexpr char kTarget[] = "vt_customer";
constexpr uint32_t kSourcePrimary = 100;
constexpr uint32_t kTargetPrimary = 200;

const std::vector<std::string>& Schema() {
  static const std::vector<std::string> statements = {
      "CREATE TABLE product (sku VARBINARY(128) NOT NULL, description VARBINARY(128), "
      "price BIGINT, PRIMARY KEY (sku))",
      "CREATE TABLE customer (customer_id BIGINT NOT NULL AUTO_INCREMENT, email VARBINARY(128), "
      "PRIMARY KEY (customer_id))",
      "CREATE TABLE corder (order_id BIGINT NOT NULL AUTO_INCREMENT, customer_id BIGINT, "
      "sku VARBINARY(128), price BIGINT, PRIMARY KEY (order_id))",
      "INSERT INTO customer (customer_id, email) VALUES (1, 'alice@domain.com'), "
      "(2, 'bob@domain.com'), (3, 'charlie@domain.com'), (4, 'dan@domain.com'), "
      "(5, 'eve@domain.com')",
      "INSERT INTO product (sku, description, price) VALUES ('SKU-1001', 'Monitor', 100), "
      "('SKU-1002', 'Keyboard', 30)",
      "INSERT INTO corder (order_id, customer_id, sku, price) VALUES (1, 1, 'SKU-1001', 100), "
      "(2, 2, 'SKU-1002', 30), (3, 3, 'SKU-1002', 30), (4, 4, 'SKU-1002', 30), "
      "(5, 5, 'SKU-1002', 30)"};
  return statements;
}

// Proxies learn of new tables with the agents' reports, once a second; sessions without a keyspace
// need that.
absl::Status AwaitBareNames(const cluster::Cluster& cluster) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  for (size_t proxy = 0; proxy < cluster.layout().proxies.size(); ++proxy) {
    SLUICE_ASSIGN_OR_RETURN(auto connection, cluster.ConnectProxy("", proxy));
    for (const char* table : {"customer", "product", "corder"}) {
      const std::string sql = absl::StrCat("SELECT 1 FROM ", table, " LIMIT 1");
      while (!connection->Query(sql).ok()) {
        if (absl::Now() > deadline) {
          return absl::DeadlineExceededError(absl::StrCat("no proxy finds ", table));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));  // Delay: between two looks
      }
    }
  }
  return absl::OkStatus();
}

class Teller {
 public:
  Teller(cluster::Cluster& cluster, StoryOptions options) : cluster_(cluster), options_(options) {}

  absl::StatusOr<Summary> Run();

 private:
  absl::Status Say(const std::string& text) {
    std::cout << "\n== " << text << std::endl;
    return absl::OkStatus();
  }
  // Runs the operator's program, shows command and answer, and wants exit code 0.
  absl::StatusOr<std::string> Operator(const std::vector<std::string>& arguments,
                                       bool show_answer = true);
  absl::Status StartClients();
  absl::Status AwaitCopied();
  absl::Status Cutover(const std::string& command);
  // Both sides, while the clients pause; `open` is the side that serves.
  absl::Status CompareSides(uint32_t open_uid, const std::string& open_database,
                            uint32_t closed_uid, const std::string& closed_database);
  absl::Status ShowRules(size_t wanted_rules, const std::string& keyspace);
  absl::Status ExpectGone();
  absl::Status Finish();

  cluster::Cluster& cluster_;
  StoryOptions options_;
  std::unique_ptr<workload::Workload> clients_;
  Summary summary_;
  std::set<std::string> seen_cutovers_;
};

absl::StatusOr<std::string> Teller::Operator(const std::vector<std::string>& arguments,
                                             bool show_answer) {
  std::cout << "$ sluice " << absl::StrJoin(arguments, " ") << std::endl;
  SLUICE_ASSIGN_OR_RETURN(cluster::CommandResult result, cluster_.Sluice(arguments));
  if (show_answer) {
    std::cout << result.output << result.errors << std::flush;
  }
  if (result.exit_code != 0) {
    return absl::InternalError(absl::StrCat("sluice ", absl::StrJoin(arguments, " "),
                                            " ended with ", result.exit_code, ": ", result.errors));
  }
  return result.output;
}

absl::Status Teller::StartClients() {
  workload::WorkloadOptions options;
  for (const cluster::ProxyLayout& proxy : cluster_.layout().proxies) {
    mysql::ConnectionOptions connection;
    connection.host = "127.0.0.1";
    connection.port = proxy.port;
    connection.user = cluster_.layout().app_user;
    connection.password = cluster_.layout().app_password;
    options.proxies.push_back(connection);
  }
  SLUICE_ASSIGN_OR_RETURN(clients_, workload::Workload::Start(options));
  return clients_->AwaitWrites(options_.writes_between, absl::Seconds(30));
}

absl::Status Teller::AwaitCopied() {
  const absl::Time deadline = absl::Now() + absl::Seconds(120);
  while (absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(
        cluster::CommandResult result,
        cluster_.Sluice({"--format", "json", "movetables", "status", kWorkflow}));
    const auto document = nlohmann::json::parse(result.output, nullptr, false);
    if (document.is_object() && document.contains("shard_streams")) {
      bool running = true;
      for (const auto& [shard, streams] : document["shard_streams"].items()) {
        for (const auto& stream : streams["streams"]) {
          running = running && stream.value("status", "") == "Running";
        }
      }
      if (running) {
        return absl::OkStatus();
      }
    }
    // The application goes on meanwhile; its writes are the clock.
    SLUICE_RETURN_IF_ERROR(clients_->AwaitWrites(20, absl::Seconds(30)));
  }
  return absl::DeadlineExceededError("the copy did not end in two minutes");
}

absl::Status Teller::Cutover(const std::string& command) {
  clients_->TakeLongestPauseMs();
  SLUICE_ASSIGN_OR_RETURN(std::string answer, Operator({"movetables", command, kWorkflow}));
  SLUICE_RETURN_IF_ERROR(clients_->AwaitWrites(options_.writes_between, absl::Seconds(30)));
  CutoverSummary cutover;
  cutover.command = command;
  cutover.longest_client_pause_ms = clients_->TakeLongestPauseMs();
  SLUICE_ASSIGN_OR_RETURN(cluster::CommandResult shown,
                          cluster_.Sluice({"--format", "json", "cutover", "show", kWorkflow}));
  const auto document = nlohmann::json::parse(shown.output, nullptr, false);
  if (!document.is_object() || !document.contains("attempts") || document["attempts"].empty()) {
    return absl::InternalError(absl::StrCat("cutover show: ", shown.output, shown.errors));
  }
  // One command may be two cutovers, reads and then writes; the newest comes first.
  const auto& attempts = document["attempts"];
  int64_t start = 0;
  for (auto attempt = attempts.rbegin(); attempt != attempts.rend(); ++attempt) {
    if (!seen_cutovers_.insert((*attempt)["id"].get<std::string>()).second) {
      continue;
    }
    for (const auto& step : (*attempt)["steps"]) {
      const auto started = step["started_us"].get<int64_t>();
      start = cutover.steps.empty() ? started : start;
      cutover.steps.push_back(
          {step["name"].get<std::string>(), started - start, step["took_us"].get<int64_t>()});
    }
  }
  std::cout << TimelineToText(cutover);
  std::cout << absl::StrFormat("Longest pause that a client saw: %.1f ms\n",
                               cutover.longest_client_pause_ms);
  summary_.cutovers.push_back(std::move(cutover));
  return absl::OkStatus();
}

absl::Status Teller::CompareSides(uint32_t open_uid, const std::string& open_database,
                                  uint32_t closed_uid, const std::string& closed_database) {
  clients_->Pause();
  SLUICE_ASSIGN_OR_RETURN(auto open, cluster_.ConnectMysqld(open_uid));
  SLUICE_ASSIGN_OR_RETURN(auto closed, cluster_.ConnectMysqld(closed_uid));
  uint64_t compared = 0;
  for (const auto& [table, key] :
       {std::pair<std::string, std::string>{"customer", "customer_id"}, {"corder", "order_id"}}) {
    SLUICE_ASSIGN_OR_RETURN(
        workload::Comparison comparison,
        workload::AwaitEqualTables(*open, mysql::QuoteTable(open_database, table), *closed,
                                   mysql::QuoteTable(closed_database, "_sluice_closed_" + table),
                                   key, absl::Seconds(15)));
    compared += comparison.rows_compared;
    summary_.rows_compared += comparison.rows_compared;
    summary_.rows_different += comparison.rows_different;
    for (const std::string& finding : comparison.findings) {
      std::cout << "different: " << finding << "\n";
    }
  }
  clients_->Resume();
  std::cout << compared << " rows compared on both sides, byte by byte" << std::endl;
  return absl::OkStatus();
}

absl::Status Teller::ShowRules(size_t wanted_rules, const std::string& keyspace) {
  SLUICE_ASSIGN_OR_RETURN(std::string answer,
                          Operator({"--format", "json", "getroutingrules"}, false));
  const auto document = nlohmann::json::parse(answer, nullptr, false);
  if (!document.is_object() || document["rules"].size() != wanted_rules) {
    return absl::InternalError(
        absl::StrCat("expected ", wanted_rules, " routing rules, got: ", answer));
  }
  for (const auto& rule : document["rules"]) {
    if (!absl::StartsWith(rule["to_tables"][0].get<std::string>(), keyspace + ".")) {
      return absl::InternalError(absl::StrCat("unexpected rule ", rule.dump()));
    }
  }
  std::cout << document["rules"].size() << " rules, "
            << (wanted_rules == 0 ? "none left" : "all of them to " + keyspace) << std::endl;
  return absl::OkStatus();
}

absl::Status Teller::ExpectGone() {
  SLUICE_ASSIGN_OR_RETURN(auto connection, cluster_.ConnectMysqld(kSourcePrimary));
  for (const char* table : {"customer", "corder"}) {
    const auto result =
        connection->Query("SELECT * FROM " + mysql::QuoteTable(kSource, table) + " LIMIT 1");
    if (MysqlErrnoOf(result.status()) != 1146) {
      return absl::InternalError(absl::StrCat(
          "the old ", table, " answers: ", result.ok() ? "rows" : result.status().ToString()));
    }
    std::cout << "mysql> SELECT * FROM " << table << ";  -- on the old server\nERROR "
              << result.status().message() << std::endl;
  }
  return absl::OkStatus();
}

absl::Status Teller::Finish() {
  clients_->Stop();
  SLUICE_ASSIGN_OR_RETURN(auto owner, cluster_.ConnectMysqld(kTargetPrimary));
  SLUICE_ASSIGN_OR_RETURN(summary_.workload,
                          clients_->Judge(*owner, mysql::QuoteTable(kTarget, "corder")));
  return absl::OkStatus();
}

absl::StatusOr<Summary> Teller::Run() {
  SLUICE_RETURN_IF_ERROR(Say(absl::StrCat("Keyspace commerce: customer, product, corder and ",
                                          options_.orders, " generated orders")));
  SLUICE_RETURN_IF_ERROR(LoadCommerce(cluster_, options_.orders));
  SLUICE_RETURN_IF_ERROR(Operator({"gettablets"}).status());
  SLUICE_RETURN_IF_ERROR(Say("Applications read and write through the proxy from now on"));
  SLUICE_RETURN_IF_ERROR(StartClients());
  SLUICE_RETURN_IF_ERROR(Say("Create the move of customer and corder to keyspace customer"));
  SLUICE_RETURN_IF_ERROR(Operator({"MoveTables", "--", "--source", "commerce", "--tables",
                                   "customer,corder", "Create", kWorkflow})
                             .status());
  SLUICE_RETURN_IF_ERROR(AwaitCopied());
  SLUICE_RETURN_IF_ERROR(Operator({"movetables", "progress", kWorkflow}).status());
  SLUICE_RETURN_IF_ERROR(ShowRules(18, "commerce"));
  SLUICE_RETURN_IF_ERROR(CompareSides(kSourcePrimary, kSource, kTargetPrimary, kTarget));
  SLUICE_RETURN_IF_ERROR(Say("Switch traffic"));
  SLUICE_RETURN_IF_ERROR(Cutover("switchtraffic"));
  SLUICE_RETURN_IF_ERROR(ShowRules(16, "customer"));
  SLUICE_RETURN_IF_ERROR(CompareSides(kTargetPrimary, kTarget, kSourcePrimary, kSource));
  SLUICE_RETURN_IF_ERROR(Say("Move back"));
  SLUICE_RETURN_IF_ERROR(Cutover("reversetraffic"));
  SLUICE_RETURN_IF_ERROR(ShowRules(18, "commerce"));
  SLUICE_RETURN_IF_ERROR(CompareSides(kSourcePrimary, kSource, kTargetPrimary, kTarget));
  SLUICE_RETURN_IF_ERROR(Say("Switch again"));
  SLUICE_RETURN_IF_ERROR(Cutover("switchtraffic"));
  SLUICE_RETURN_IF_ERROR(CompareSides(kTargetPrimary, kTarget, kSourcePrimary, kSource));
  SLUICE_RETURN_IF_ERROR(Say("Complete"));
  SLUICE_RETURN_IF_ERROR(Operator({"movetables", "complete", kWorkflow}).status());
  SLUICE_RETURN_IF_ERROR(clients_->AwaitWrites(options_.writes_between, absl::Seconds(30)));
  SLUICE_RETURN_IF_ERROR(ShowRules(0, ""));
  SLUICE_RETURN_IF_ERROR(Operator({"workflow", "customer", "listall"}).status());
  SLUICE_RETURN_IF_ERROR(Operator({"workflow", "commerce", "listall"}).status());
  SLUICE_RETURN_IF_ERROR(ExpectGone());
  SLUICE_RETURN_IF_ERROR(Finish());
  return summary_;
}

}  // namespace

absl::Status LoadCommerce(cluster::Cluster& cluster, uint64_t orders) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, cluster.ConnectProxy("commerce"));
  for (const std::string& sql : Schema()) {
    SLUICE_RETURN_IF_ERROR(Annotate(connection->Execute(sql).status(), sql.substr(0, 40)));
  }
  constexpr uint64_t kChunk = 10'000;
  for (uint64_t from = 0; from < orders; from += kChunk) {
    const uint64_t rows = std::min(kChunk, orders - from);
    std::string sql = "INSERT INTO corder (order_id, customer_id, sku, price) VALUES ";
    for (uint64_t i = 0; i < rows; ++i) {
      const uint64_t order = 1000 + from + i;
      absl::StrAppend(&sql, i == 0 ? "" : ",", "(", order, ",", order % 5 + 1, ",'SKU-100",
                      order % 2 + 1, "',", order % 97, ")");
    }
    SLUICE_RETURN_IF_ERROR(Annotate(connection->Execute(sql).status(), "generated orders"));
  }
  return AwaitBareNames(cluster);
}

absl::StatusOr<Summary> RunStory(cluster::Cluster& cluster, const StoryOptions& options) {
  return Teller(cluster, options).Run();
}

}  // namespace sluice::demo
