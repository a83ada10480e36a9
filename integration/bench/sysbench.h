// Sysbench: the applications that write to the source.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integration/bench/data.h"

namespace sluice::bench {

struct SysbenchLoad {
  std::string script;  // oltp_write_only, …
  int tables = 4;
  uint64_t table_rows = 0;
  int threads = 4;
  std::string limits;  // --events=…, --time=…, --rate=…
};

// The tables that it works on, named and keyed as it expects.
std::vector<TableSpec> SysbenchTables(int count, uint64_t rows);

// The command line on the source's database.
absl::StatusOr<std::string> SysbenchCommand(uint16_t port, const SysbenchLoad& load);
// Runs it to its end.
absl::Status RunSysbench(uint16_t port, const SysbenchLoad& load);

}  // namespace sluice::bench
