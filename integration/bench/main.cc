// sluice-bench: measures copy and application side by side with what else moves MySQL tables.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/program_options.h"
#include "integration/bench/bench.h"

namespace {

namespace fs = std::filesystem;

using sluice::bench::Bench;
using sluice::bench::Group;
using sluice::bench::MeasureSpec;
using sluice::bench::Outcome;

void List(const std::vector<Group>& groups) {
  for (const Group& group : groups) {
    for (const MeasureSpec& measure : group.measures) {
      std::cout << measure.name << "\t" << measure.what << "\n";
    }
  }
}

bool Names(const std::vector<Group>& groups, const std::string& measure) {
  return std::any_of(groups.begin(), groups.end(), [&](const Group& group) {
    return std::any_of(group.measures.begin(), group.measures.end(),
                       [&](const MeasureSpec& spec) { return spec.name == measure; });
  });
}

// The measures that are named, and those that begin with a name that is no measure's; all without
// a name. Empty, with a word on stderr, when a name is none.
std::set<std::string> Chosen(const std::vector<Group>& groups,
                             const std::vector<std::string>& names) {
  std::set<std::string> chosen;
  std::set<std::string> used;
  for (const Group& group : groups) {
    for (const MeasureSpec& measure : group.measures) {
      const auto fits = [&](const std::string& name) {
        return Names(groups, name) ? measure.name == name
                                   : absl::StartsWith(measure.name, name + "-");
      };
      bool wanted = names.empty();
      for (const std::string& name : names) {
        if (fits(name)) {
          wanted = true;
          used.insert(name);
        }
      }
      if (wanted) {
        chosen.insert(measure.name);
      }
    }
  }
  for (const std::string& name : names) {
    if (!used.contains(name)) {
      std::cerr << "sluice-bench: no measure " << name << "; --list names them\n";
      return {};
    }
  }
  return chosen;
}

std::vector<Outcome> Measure(const std::vector<Group>& groups, Bench& bench) {
  std::vector<Outcome> outcomes;
  for (const Group& group : groups) {
    if (std::none_of(group.measures.begin(), group.measures.end(),
                     [&](const MeasureSpec& measure) { return bench.Wants(measure.name); })) {
      continue;
    }
    const absl::Status status = group.run(bench);
    if (!status.ok()) {
      Bench::Say(absl::StrCat("failed: ", status.ToString()));
    }
    for (const MeasureSpec& measure : group.measures) {
      if (bench.Wants(measure.name)) {
        outcomes.push_back(bench.Take(measure));
        outcomes.back().error = status.ok() ? "" : std::string(status.message());
      }
    }
  }
  return outcomes;
}

int Run(sluice::bench::BenchOptions options, const std::vector<std::string>& only,
        const std::string& json_path) {
  const std::vector<Group> groups = sluice::bench::AllGroups();
  std::set<std::string> chosen = Chosen(groups, only);
  if (chosen.empty()) {
    return 2;
  }
  std::string folder = (fs::path(options.directory) / "sluice-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    std::cerr << "sluice-bench: can't make a folder in " << options.directory << "\n";
    return 1;
  }
  options.directory = folder;
  Bench bench(std::move(options), std::move(chosen));
  const std::vector<Outcome> outcomes = Measure(groups, bench);
  std::error_code error;
  fs::remove_all(folder, error);
  std::cout << sluice::bench::ReportToText(outcomes);
  if (!json_path.empty()) {
    std::ofstream file(json_path, std::ios::trunc);
    file << sluice::bench::ReportToJson(outcomes);
    if (!file.flush()) {
      std::cerr << "sluice-bench: can't write " << json_path << "\n";
      return 1;
    }
  }
  const bool measured = std::all_of(outcomes.begin(), outcomes.end(),
                                    [](const Outcome& one) { return one.error.empty(); });
  return measured ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Measures Sluice side by side with other tools on servers and data of its own. Ends with 0 "
      "when everything was measured and all rows were right, whether targets are met or not.");
  sluice::bench::BenchOptions options;
  options.directory = fs::temp_directory_path().string();
  options.bin_directory = fs::canonical("/proc/self/exe").parent_path().string();
  std::vector<std::string> only;
  std::string json_path;
  bool list = false;
  app.add_flag("--list", list, "Name the measures and end");
  app.add_option(
         "--only", only,
         "Measure only this, or what begins with it if no measure has that name; may be repeated")
      ->type_name("NAME");
  app.add_option("--runs", options.runs, "Runs of each measure; the median counts")
      ->check(CLI::Range(1, 1000));
  app.add_option("--scale", options.scale, "Factor for all amounts of data and durations")
      ->check(CLI::Range(0.0001, 100.0));
  app.add_option("--json", json_path, "File for the results")->type_name("FILE");
  app.add_option("--dir", options.directory, "Where servers and dumps are put")->type_name("DIR");
  app.add_option("--bin", options.bin_directory, "Folder of the programs (default: this one's)");
  app.add_option("--application-flag", options.application_flags,
                 "Flag of movetables create in application-queries, instead of its throttle")
      ->type_name("FLAG");
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  if (list) {
    List(sluice::bench::AllGroups());
    return 0;
  }
  return Run(std::move(options), only, json_path);
}
