// Text of diagnoses and repairs.

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/render_parts.h"
#include "coordinator/cli/text_table.h"

namespace sluice::cli {
namespace {

// What does not agree is told with what it should be.
std::string FindingsText(const Json& findings) {
  TextTable table({"", "", "", ""});
  for (const Json& finding : findings) {
    const std::string verdict = TextOf(finding, "verdict");
    const std::string expected = TextOf(finding, "expected");
    std::string state = TextOf(finding, "state");
    if (verdict != "agrees" && !expected.empty()) {
      absl::StrAppend(&state, " (expected: ", expected, ")");
    }
    table.Add(
        {absl::StrCat("  ", verdict), TextOf(finding, "place"), TextOf(finding, "about"), state});
  }
  return table.ToText();
}

}  // namespace

std::string DiagnosisText(const Json& answer) {
  const std::string traffic = TextOf(answer, "traffic_state");
  return absl::StrCat(
      Printable(TextOf(answer, "summary")), "\n",
      traffic.empty() ? "" : absl::StrCat("Current State: ", Printable(traffic), "\n"),
      FindingsText(Member(answer, "findings")));
}

std::string RepairText(const Json& answer) {
  std::string text = absl::StrCat(Printable(TextOf(answer, "summary")), "\n");
  for (const Json& repair : Member(answer, "repairs")) {
    absl::StrAppend(&text, "  ", Printable(TextOf(repair, "result")), ": ",
                    Printable(TextOf(repair, "what")), "\n");
  }
  for (const Json& remaining : Member(answer, "remains")) {
    absl::StrAppend(&text, "  remains: ", Printable(AsText(remaining)), "\n");
  }
  if (const Json& findings = Member(answer, "findings"); !findings.empty()) {
    absl::StrAppend(&text,
                    BoolOf(answer, "consistent") ? "All agrees now:\n" : "What stands now:\n",
                    FindingsText(findings));
  }
  return text;
}

}  // namespace sluice::cli
