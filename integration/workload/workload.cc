// Workload: writer and reader threads over real connections, one oracle a writer.

#include "integration/workload/workload.h"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/workload/oracle.h"

namespace sluice::workload {
namespace {

constexpr uint64_t kKeysPerWriter = 1'000'000;
constexpr size_t kFindingsMax = 20;

bool ConnectionLost(const absl::Status& status) {
  return absl::IsUnavailable(status);
}

}  // namespace

struct Workload::Impl {
  explicit Impl(WorkloadOptions chosen) : options(std::move(chosen)) {}

  struct Writer {
    int index = 0;
    std::unique_ptr<mysql::Connection> connection;
    std::mt19937_64 random;
    uint64_t next_key = 0;
    uint64_t versions = 0;
    std::deque<uint64_t> recent;
    absl::Mutex mutex;
    Oracle oracle ABSL_GUARDED_BY(mutex);
  };

  WorkloadOptions options;
  std::vector<std::unique_ptr<Writer>> writers;
  std::vector<std::jthread> threads;
  mutable absl::Mutex mutex;
  bool paused ABSL_GUARDED_BY(mutex) = false;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  int busy ABSL_GUARDED_BY(mutex) = 0;
  uint64_t acknowledged ABSL_GUARDED_BY(mutex) = 0;
  double longest_ms ABSL_GUARDED_BY(mutex) = 0;
  double longest_since_ms ABSL_GUARDED_BY(mutex) = 0;
  WorkloadReport report ABSL_GUARDED_BY(mutex);

  // Blocks while paused; false when the run is over.
  bool Enter() {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(
        +[](Impl* self)
             ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex) { return !self->paused || self->stopped; },
        this));
    if (stopped) {
      return false;
    }
    ++busy;
    return true;
  }

  void Leave() {
    absl::MutexLock lock(&mutex);
    --busy;
  }

  void Think() {
    absl::MutexLock lock(&mutex);
    mutex.AwaitWithTimeout(absl::Condition(&stopped), options.think_time);
  }

  void Note(const std::string& finding) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (report.findings.size() < kFindingsMax) {
      report.findings.push_back(finding);
    }
  }

  // Times a statement; errors are counted, findings noted.
  template <typename Result>
  Result Timed(const std::function<Result()>& statement, const std::string& what) {
    const absl::Time start = absl::Now();
    Result result = statement();
    const double took_ms = absl::ToDoubleMilliseconds(absl::Now() - start);
    absl::Status status;
    if constexpr (std::is_same_v<Result, absl::Status>) {
      status = result;
    } else {
      status = result.status();
    }
    absl::MutexLock lock(&mutex);
    longest_ms = std::max(longest_ms, took_ms);
    longest_since_ms = std::max(longest_since_ms, took_ms);
    if (ConnectionLost(status)) {
      ++report.lost_connections;
    } else if (!status.ok()) {
      ++report.client_errors;
      Note(absl::StrCat(what, ": ", status.ToString()));
    }
    return result;
  }

  absl::StatusOr<std::unique_ptr<mysql::Connection>> Connect(size_t client,
                                                             const std::string& suffix) const {
    mysql::ConnectionOptions connection = options.proxies[client % options.proxies.size()];
    connection.database = options.keyspace + suffix;
    return mysql::Connection::Connect(connection);
  }

  void Settle(Writer& writer, const absl::StatusOr<uint64_t>& outcome) {
    {
      absl::MutexLock lock(&writer.mutex);
      if (outcome.ok()) {
        writer.oracle.Acknowledged();
      } else if (ConnectionLost(outcome.status())) {
        writer.oracle.Unknown();
      } else {
        writer.oracle.Refused();
      }
    }
    if (outcome.ok()) {
      absl::MutexLock lock(&mutex);
      ++acknowledged;
    } else if (ConnectionLost(outcome.status())) {
      writer.connection.reset();
      writer.recent.clear();
    }
  }

  uint64_t CounterKey(const Writer& writer) const {
    return options.first_key + static_cast<uint64_t>(writer.index) * kKeysPerWriter;
  }

  absl::StatusOr<uint64_t> Run(Writer& writer, const std::string& sql) {
    return Timed<absl::StatusOr<uint64_t>>([&] { return writer.connection->Execute(sql); }, sql);
  }

  void Insert(Writer& writer) {
    const uint64_t key = writer.next_key++;
    const std::string value = absl::StrFormat("w%d-%d", writer.index, ++writer.versions);
    {
      absl::MutexLock lock(&writer.mutex);
      writer.oracle.BeginPut(key, value);
    }
    Settle(writer, Run(writer, absl::StrFormat("INSERT INTO %s (order_id, customer_id, sku, price) "
                                               "VALUES (%d, %d, '%s', %d)",
                                               options.table, key, writer.index, value, 1)));
    writer.recent.push_back(key);
    if (writer.recent.size() > 50) {
      writer.recent.pop_front();
    }
  }

  void Update(Writer& writer, uint64_t key) {
    const std::string value = absl::StrFormat("w%d-%d", writer.index, ++writer.versions);
    {
      absl::MutexLock lock(&writer.mutex);
      writer.oracle.BeginPut(key, value);
    }
    Settle(writer, Run(writer, absl::StrFormat("UPDATE %s SET sku = '%s' WHERE order_id = %d",
                                               options.table, value, key)));
  }

  void Delete(Writer& writer, uint64_t key) {
    {
      absl::MutexLock lock(&writer.mutex);
      writer.oracle.BeginDelete(key);
    }
    Settle(writer,
           Run(writer, absl::StrFormat("DELETE FROM %s WHERE order_id = %d", options.table, key)));
  }

  void Increment(Writer& writer) {
    {
      absl::MutexLock lock(&writer.mutex);
      writer.oracle.BeginIncrement(CounterKey(writer));
    }
    Settle(writer,
           Run(writer, absl::StrFormat("UPDATE %s SET price = price + 1 WHERE order_id = %d",
                                       options.table, CounterKey(writer))));
  }

  // BEGIN, an increment, a read, COMMIT. A transaction that fails half way is rolled back whole.
  void Transaction(Writer& writer) {
    const std::vector<std::string> statements = {
        "BEGIN",
        absl::StrFormat("UPDATE %s SET price = price + 1 WHERE order_id = %d", options.table,
                        CounterKey(writer)),
        absl::StrFormat("SELECT price FROM %s WHERE order_id = %d", options.table,
                        CounterKey(writer)),
        "COMMIT"};
    {
      absl::MutexLock lock(&writer.mutex);
      writer.oracle.BeginIncrement(CounterKey(writer));
    }
    absl::StatusOr<uint64_t> outcome = 0;
    for (const std::string& sql : statements) {
      outcome = writer.connection->Execute(sql);
      if (!outcome.ok()) {
        break;
      }
    }
    Settle(writer, outcome);
    absl::MutexLock lock(&mutex);
    if (outcome.ok()) {
      return;
    }
    if (ConnectionLost(outcome.status())) {
      ++report.lost_connections;
      return;
    }
    ++report.transaction_errors;
    writer.connection.reset();
  }

  void ReadOwn(Writer& writer, uint64_t key) {
    const std::string sql =
        absl::StrFormat("SELECT sku FROM %s WHERE order_id = %d", options.table, key);
    auto result = Timed<absl::StatusOr<mysql::QueryResult>>(
        [&] { return writer.connection->Query(sql); }, sql);
    if (!result.ok()) {
      if (ConnectionLost(result.status())) {
        writer.connection.reset();
      }
      return;
    }
    const std::string* value =
        result->rows.empty() || !result->rows[0][0] ? nullptr : &*result->rows[0][0];
    absl::MutexLock lock(&writer.mutex);
    const bool right = writer.oracle.MayRead(key, value);
    absl::MutexLock own(&mutex);
    ++report.reads;
    if (!right) {
      ++report.wrong_reads;
      Note(absl::StrCat("row ", key, " read as ", value == nullptr ? "absent" : *value));
    }
  }

  void WriterStep(Writer& writer) {
    const uint64_t dice = writer.random() % 100;
    if (writer.recent.empty() || dice < 35) {
      Insert(writer);
      return;
    }
    const uint64_t key = writer.recent[writer.random() % writer.recent.size()];
    bool exists = false;
    {
      absl::MutexLock lock(&writer.mutex);
      exists = writer.oracle.Exists(key);
    }
    if (dice < 42) {
      Transaction(writer);
    } else if (dice < 55 || !exists) {
      Increment(writer);
    } else if (dice < 75) {
      Update(writer, key);
    } else if (dice < 82) {
      Delete(writer, key);
    } else {
      ReadOwn(writer, key);
    }
  }

  void WriterLoop(Writer& writer) {
    while (Enter()) {
      if (writer.connection == nullptr) {
        auto connection = Connect(static_cast<size_t>(writer.index), "");
        if (connection.ok()) {
          writer.connection = *std::move(connection);
        }
      }
      if (writer.connection != nullptr) {
        WriterStep(writer);
      }
      Leave();
      Think();
    }
  }

  void ReaderLoop(size_t index) {
    const bool replica = options.replica_reads && index % 2 == 1;
    std::unique_ptr<mysql::Connection> connection;
    const std::string sql = absl::StrFormat(
        "SELECT COUNT(*), MAX(order_id) FROM %s WHERE order_id "
        "BETWEEN %d AND %d",
        options.table, options.first_key, options.first_key + 200);
    while (Enter()) {
      if (connection == nullptr) {
        auto made = Connect(index, replica ? "@replica" : "");
        if (made.ok()) {
          connection = *std::move(made);
        }
      }
      if (connection != nullptr) {
        auto result = Timed<absl::StatusOr<mysql::QueryResult>>(
            [&] { return connection->Query(sql); }, replica ? "replica: " + sql : sql);
        if (!result.ok() && ConnectionLost(result.status())) {
          connection.reset();
        }
        absl::MutexLock lock(&mutex);
        ++report.reads;
      }
      Leave();
      Think();
    }
  }
};

Workload::Workload(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<Workload>> Workload::Start(const WorkloadOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  for (int i = 0; i < options.writers; ++i) {
    auto writer = std::make_unique<Impl::Writer>();
    writer->index = i;
    writer->random.seed(static_cast<uint64_t>(i) + 1);
    writer->next_key = impl->CounterKey(*writer) + 1;
    SLUICE_ASSIGN_OR_RETURN(writer->connection, impl->Connect(static_cast<size_t>(i), ""));
    SLUICE_RETURN_IF_ERROR(Annotate(
        writer->connection
            ->Execute(absl::StrFormat(
                "INSERT INTO %s (order_id, customer_id, sku, price) VALUES (%d, %d, '', 0)",
                options.table, impl->CounterKey(*writer), i))
            .status(),
        "the writer's counter row"));
    impl->writers.push_back(std::move(writer));
  }
  Impl* shared = impl.get();
  for (auto& writer : impl->writers) {
    shared->threads.emplace_back([shared, own = writer.get()] { shared->WriterLoop(*own); });
  }
  for (int i = 0; i < options.readers; ++i) {
    shared->threads.emplace_back([shared, i] { shared->ReaderLoop(static_cast<size_t>(i)); });
  }
  return std::unique_ptr<Workload>(new Workload(std::move(impl)));
}

Workload::~Workload() {
  Stop();
}

void Workload::Pause() {
  absl::MutexLock lock(&impl_->mutex);
  impl_->paused = true;
  impl_->mutex.Await(absl::Condition(
      +[](Impl* self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex) { return self->busy == 0; },
      impl_.get()));
}

void Workload::Resume() {
  absl::MutexLock lock(&impl_->mutex);
  impl_->paused = false;
}

void Workload::Stop() {
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->stopped = true;
  }
  impl_->threads.clear();
}

absl::Status Workload::AwaitWrites(uint64_t count, absl::Duration timeout) {
  absl::MutexLock lock(&impl_->mutex);
  const uint64_t goal = impl_->acknowledged + count;
  struct Goal {
    Impl* impl;
    uint64_t goal;
  } wanted{impl_.get(), goal};
  const bool reached = impl_->mutex.AwaitWithTimeout(
      absl::Condition(
          +[](Goal* g) ABSL_NO_THREAD_SAFETY_ANALYSIS { return g->impl->acknowledged >= g->goal; },
          &wanted),
      timeout);
  return reached ? absl::OkStatus()
                 : absl::DeadlineExceededError(absl::StrCat("only ", impl_->acknowledged, " of ",
                                                            goal, " writes acknowledged"));
}

double Workload::TakeLongestPauseMs() {
  absl::MutexLock lock(&impl_->mutex);
  return std::exchange(impl_->longest_since_ms, 0);
}

WorkloadReport Workload::Snapshot() const {
  WorkloadReport report;
  uint64_t unknown = 0;
  for (const auto& writer : impl_->writers) {
    absl::MutexLock lock(&writer->mutex);
    unknown += writer->oracle.unknown();
  }
  absl::MutexLock lock(&impl_->mutex);
  report = impl_->report;
  report.acknowledged_writes = impl_->acknowledged;
  report.unknown_writes = unknown;
  report.longest_pause_ms = impl_->longest_ms;
  return report;
}

absl::StatusOr<WorkloadReport> Workload::Judge(mysql::Connection& owner,
                                               const std::string& physical_table) {
  WorkloadReport report = Snapshot();
  for (const auto& writer : impl_->writers) {
    const uint64_t first = impl_->CounterKey(*writer);
    std::map<uint64_t, std::string> found;
    SLUICE_ASSIGN_OR_RETURN(
        mysql::QueryResult rows,
        owner.Query(absl::StrFormat("SELECT order_id, IF(order_id = %d, price, sku) FROM %s "
                                    "WHERE order_id BETWEEN %d AND %d",
                                    first, physical_table, first, first + kKeysPerWriter - 1)));
    for (const mysql::Row& row : rows.rows) {
      found[std::stoull(row[0].value_or("0"))] = row[1].value_or("");
    }
    absl::MutexLock lock(&writer->mutex);
    // A counter that was never incremented is a row that the start itself made.
    if (!writer->oracle.MayRead(first, nullptr) || found[first] == "0") {
      found.erase(first);
    }
    const Oracle::Verdict verdict = writer->oracle.Judge(found);
    report.lost_writes += verdict.lost;
    report.duplicated_writes += verdict.duplicated;
    report.findings.insert(report.findings.end(), verdict.findings.begin(), verdict.findings.end());
  }
  return report;
}

}  // namespace sluice::workload
