// Text of recorded cutovers: bars to scale.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/render_parts.h"
#include "coordinator/cli/text_table.h"

namespace sluice::cli {
namespace {

constexpr int kWidth = 40;

struct Span {
  int64_t start_us = 0;
  int64_t end_us = 0;
};

Span SpanOf(const Json& steps) {
  Span span;
  bool first = true;
  for (const Json& step : steps) {
    const int64_t start = IntOf(step, "started_us");
    const int64_t end = start + std::max<int64_t>(IntOf(step, "took_us"), 0);
    span.start_us = first ? start : std::min(span.start_us, start);
    span.end_us = first ? end : std::max(span.end_us, end);
    first = false;
  }
  return span;
}

// The part of the whole that [start, start + took) is; at least one mark.
std::string Bar(const Span& whole, int64_t start_us, int64_t took_us) {
  const auto length = static_cast<double>(std::max<int64_t>(whole.end_us - whole.start_us, 1));
  const auto column = [&](int64_t us) {
    const double part = static_cast<double>(us - whole.start_us) / length;
    return static_cast<size_t>(std::clamp(std::round(part * kWidth), 0.0, double{kWidth}));
  };
  const size_t begin = std::min<size_t>(column(start_us), kWidth - 1);
  const size_t end = std::max(column(start_us + took_us), begin + 1);
  return absl::StrCat("|", std::string(begin, ' '), std::string(end - begin, '='),
                      std::string(kWidth - end, ' '), "|");
}

std::string StartText(const Json& attempt) {
  const std::string started = TextOf(attempt, "started_at");
  return started.empty() ? "" : absl::StrCat(", started ", started);
}

// Steps are recorded as they end.
std::vector<const Json*> ByStart(const Json& steps) {
  std::vector<const Json*> sorted;
  for (const Json& step : steps) {
    sorted.push_back(&step);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Json* left, const Json* right) {
    return IntOf(*left, "started_us") < IntOf(*right, "started_us");
  });
  return sorted;
}

// Between which of its own steps each shard took no writes: from the close on one side to the open
// on the other.
std::string ShardsText(const Json& steps) {
  std::map<std::string, Span> shut;
  for (const Json& step : steps) {
    const std::string place = TextOf(step, "shard");
    const std::string shard = place.substr(place.find('/') + 1);
    const int64_t start = IntOf(step, "started_us");
    if (TextOf(step, "name") == "close_gate") {
      // Of several attempts the first.
      shut.try_emplace(shard, Span{.start_us = start, .end_us = 0});
    } else if (TextOf(step, "name") == "open_gate") {
      shut[shard].end_us = start + std::max<int64_t>(IntOf(step, "took_us"), 0);
    }
  }
  std::string text;
  for (const auto& [shard, span] : shut) {
    // One that was not opened again here has its end in the undoing.
    if (span.start_us > 0 && span.end_us > span.start_us) {
      absl::StrAppend(&text, "  shard ", shard, " took no writes for ", span.end_us - span.start_us,
                      " us\n");
    }
  }
  return Printable(text, true);
}

std::string AttemptText(const Json& attempt, const std::string& workflow) {
  const Json& steps = Member(attempt, "steps");
  const Span span = SpanOf(steps);
  const std::string name = TextOf(attempt, "workflow");
  const std::string number = TextOf(attempt, "attempt");
  std::string text =
      absl::StrCat(number.empty() ? "" : absl::StrCat(number, ". "), "Cutover ",
                   TextOf(attempt, "id"), " of ", name.empty() ? workflow : name, ", ",
                   TextOf(attempt, "direction"), ": ", TextOf(attempt, "result"),
                   StartText(attempt), ", ", span.end_us - span.start_us, " us in all\n");
  TextTable table({"", "", "", "", "", ""});
  table.SetAlign(2, TextTable::Align::kRight);
  table.SetAlign(3, TextTable::Align::kRight);
  for (const Json* each : ByStart(steps)) {
    const Json& step = *each;
    const int64_t start = IntOf(step, "started_us");
    const int64_t took = std::max<int64_t>(IntOf(step, "took_us"), 0);
    const std::string proxy = TextOf(step, "proxy");
    table.Add({absl::StrCat("  ", TextOf(step, "name")),
               proxy.empty() ? TextOf(step, "shard") : absl::StrCat("proxy ", proxy),
               absl::StrCat("at ", start - span.start_us, " us"), absl::StrCat(took, " us"),
               Bar(span, start, took), TextOf(step, "detail")});
  }
  return Printable(text, true) + table.ToText() + ShardsText(steps);
}

}  // namespace

std::string TimelineText(const Json& answer, const std::string& workflow) {
  std::string text;
  for (const Json& attempt : Member(answer, "attempts")) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", AttemptText(attempt, workflow));
  }
  return text.empty() ? absl::StrCat("No cutover of ", workflow, " is recorded\n") : text;
}

}  // namespace sluice::cli
