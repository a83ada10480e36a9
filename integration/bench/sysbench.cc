// Sysbench: command lines.

#include "integration/bench/sysbench.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "integration/bench/programs.h"
#include "integration/bench/stage.h"

namespace sluice::bench {

std::vector<TableSpec> SysbenchTables(int count, uint64_t rows) {
  std::vector<TableSpec> tables;
  tables.reserve(static_cast<size_t>(count));
  for (int i = 1; i <= count; ++i) {
    tables.push_back(SysbenchTable(absl::StrCat("sbtest", i), rows));
  }
  return tables;
}

absl::StatusOr<std::string> SysbenchCommand(uint16_t port, const SysbenchLoad& load) {
  SLUICE_ASSIGN_OR_RETURN(const std::string sysbench, FindProgram("sysbench"));
  return absl::StrCat(sysbench, " ", load.script, " --mysql-host=127.0.0.1 --mysql-port=", port,
                      " --mysql-user=root --mysql-db=", kSourceDatabase, " --tables=", load.tables,
                      " --table-size=", load.table_rows, " --threads=", load.threads, " ",
                      load.limits, " run");
}

absl::Status RunSysbench(uint16_t port, const SysbenchLoad& load) {
  SLUICE_ASSIGN_OR_RETURN(const std::string command, SysbenchCommand(port, load));
  return RunScript(command + " >&2").status();
}

}  // namespace sluice::bench
