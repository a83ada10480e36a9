// Text of recorded cutovers: bars to scale.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/message.h"
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

// "attempt 3: why it failed"; 0 where the step did not fail.
struct Failure {
  uint32_t attempt = 0;
  std::string reason;
};

Failure FailureOf(const std::string& detail) {
  absl::string_view rest = detail;
  Failure failure;
  if (absl::ConsumePrefix(&rest, "attempt ")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(rest, absl::MaxSplits(": ", 1));
    if (absl::SimpleAtoi(parts.first, &failure.attempt)) {
      failure.reason = std::string(parts.second);
    }
  }
  return failure;
}

struct Line {
  std::string name;
  std::string place;
  Span span;
  uint32_t first_attempt = 0;
  Failure last;
  std::string detail;
};

std::string DetailOf(const Line& line) {
  return line.last.attempt == line.first_attempt
             ? line.detail
             : absl::StrCat("attempts ", line.first_attempt, " to ", line.last.attempt,
                            ", each: ", line.last.reason);
}

// A line for each step. One that is tried again and again for the same reason, while a server is
// away, has one line, with the last attempt's words.
std::vector<Line> LinesOf(const Json& steps) {
  std::vector<Line> lines;
  std::map<std::pair<std::string, std::string>, size_t> last_of;
  for (const Json* step : ByStart(steps)) {
    const std::string proxy = TextOf(*step, "proxy");
    const int64_t start = IntOf(*step, "started_us");
    Line line = {.name = TextOf(*step, "name"),
                 .place = proxy.empty() ? TextOf(*step, "shard") : absl::StrCat("proxy ", proxy),
                 .span = {.start_us = start,
                          .end_us = start + std::max<int64_t>(IntOf(*step, "took_us"), 0)},
                 .first_attempt = 0,
                 .last = FailureOf(TextOf(*step, "detail")),
                 .detail = TextOf(*step, "detail")};
    line.first_attempt = line.last.attempt;
    const auto [known, added] = last_of.try_emplace({line.name, line.place}, lines.size());
    if (!added) {
      Line& before = lines[known->second];
      // Not every one that failed again is recorded.
      if (before.last.attempt > 0 && line.last.attempt > before.last.attempt &&
          WithoutNumbers(before.last.reason) == WithoutNumbers(line.last.reason)) {
        before.span.end_us = std::max(before.span.end_us, line.span.end_us);
        before.last = std::move(line.last);
        continue;
      }
      known->second = lines.size();
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string AttemptText(const Json& attempt, const std::string& workflow) {
  const Json& steps = Member(attempt, "steps");
  const Span span = SpanOf(steps);
  const std::string name = TextOf(attempt, "workflow");
  const std::string number = TextOf(attempt, "attempt");
  std::string text = absl::StrCat(
      number.empty() ? "" : absl::StrCat(number, ". "), "Cutover ", TextOf(attempt, "id"), " of ",
      name.empty() ? workflow : name, ", ", TextOf(attempt, "direction"), ": ",
      TextOf(attempt, "result"), StartText(attempt), ", ", span.end_us - span.start_us,
      absl::StrContains(TextOf(attempt, "result"), "waiting for ") ? " us so far\n"
                                                                   : " us in all\n");
  TextTable table({"", "", "", "", "", ""});
  table.SetAlign(2, TextTable::Align::kRight);
  table.SetAlign(3, TextTable::Align::kRight);
  for (const Line& line : LinesOf(steps)) {
    const int64_t took = line.span.end_us - line.span.start_us;
    table.Add({absl::StrCat("  ", line.name), line.place,
               absl::StrCat("at ", line.span.start_us - span.start_us, " us"),
               absl::StrCat(took, " us"), Bar(span, line.span.start_us, took), DetailOf(line)});
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
