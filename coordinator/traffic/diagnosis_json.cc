// JSON of findings and repairs.

#include "coordinator/traffic/diagnosis_json.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice::traffic {
namespace {

using Json = nlohmann::ordered_json;

Json FindingsJson(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"place", finding.place},
                    {"about", finding.about},
                    {"state", finding.state},
                    {"expected", finding.expected},
                    {"verdict", VerdictName(finding.verdict)}});
  }
  return list;
}

// Names and messages come from outside; bytes that are not UTF-8 must not end the process.
std::string Dump(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string CountText(const std::vector<Finding>& findings) {
  std::string text;
  for (const Verdict verdict : {Verdict::kDisagrees, Verdict::kUnreachable, Verdict::kBusy}) {
    const auto count = std::count_if(findings.begin(), findings.end(), [&](const Finding& finding) {
      return finding.verdict == verdict;
    });
    if (count > 0) {
      absl::StrAppend(&text, text.empty() ? "" : ", ", count, " ", VerdictName(verdict));
    }
  }
  return text;
}

std::string DiagnosisSummary(const std::string& workflow, const std::vector<Finding>& findings) {
  if (Consistent(findings)) {
    return absl::StrCat("Workflow ", workflow, ": all ", findings.size(), " findings agree");
  }
  const bool repairable = std::any_of(findings.begin(), findings.end(), [](const Finding& each) {
    return each.verdict == Verdict::kDisagrees;
  });
  return absl::StrCat(
      "Workflow ", workflow, ": of ", findings.size(), " findings ", CountText(findings),
      repairable
          ? absl::StrCat("; \"sluice workflow repair ", workflow, "\" brings together what can be")
          : "; look again when that has changed");
}

std::string RepairSummary(const RepairReport& report) {
  const std::string& workflow = report.workflow;
  if (!report.refusal.empty()) {
    return absl::StrCat("Workflow ", workflow, " was not repaired: ", report.refusal);
  }
  if (report.failed) {
    return absl::StrCat("The repair of workflow ", workflow,
                        " stopped at what failed; repeat it when the cause is gone");
  }
  if (report.left_out) {
    return absl::StrCat("Workflow ", workflow,
                        ": what can't be taken back was left out; \"sluice workflow repair ",
                        workflow, " --yes\" does that too");
  }
  if (report.gone) {
    return absl::StrCat("Workflow ", workflow, " has ended");
  }
  if (!report.remains.empty()) {
    return absl::StrCat("Workflow ", workflow, ": something remains that no repair cures");
  }
  return absl::StrCat(
      report.lines.empty() ? "There is nothing to repair in workflow " : "Repaired workflow ",
      workflow);
}

}  // namespace

std::string DiagnosisJson(const std::string& workflow, const std::string& traffic_state,
                          const std::vector<Finding>& findings) {
  return Dump({{"workflow", workflow},
               {"summary", DiagnosisSummary(workflow, findings)},
               {"traffic_state", traffic_state},
               {"consistent", Consistent(findings)},
               {"findings", FindingsJson(findings)}});
}

std::string RepairJson(const RepairReport& report, const std::vector<Finding>& findings) {
  Json repairs = Json::array();
  for (const RepairReport::Line& line : report.lines) {
    repairs.push_back(
        {{"what", line.what}, {"irreversible", line.irreversible}, {"result", line.result}});
  }
  const bool done =
      report.refusal.empty() && !report.failed && !report.left_out && report.remains.empty();
  return Dump({{"workflow", report.workflow},
               {"summary", RepairSummary(report)},
               {"done", done},
               {"repairs", std::move(repairs)},
               {"remains", report.remains},
               {"refused", report.refusal},
               {"consistent", Consistent(findings)},
               {"findings", FindingsJson(findings)}});
}

}  // namespace sluice::traffic
