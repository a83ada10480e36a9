// Writes log lines, each with one write to stderr.

#include "common/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace sluice::log {
namespace {

constexpr size_t kValueBytesMax = 4096;

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case kDebug:
      return spdlog::level::debug;
    case kInfo:
      return spdlog::level::info;
    case kWarning:
      return spdlog::level::warn;
    case kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

absl::string_view LevelName(Level level) {
  static constexpr std::array<absl::string_view, 4> kNames = {"debug", "info", "warning", "error"};
  return kNames.at(level);
}

spdlog::level::level_enum LevelFromEnvironment() {
  const char* text = std::getenv("SLUICE_LOG_LEVEL");
  if (text == nullptr) {
    return spdlog::level::info;
  }
  const std::string name = absl::AsciiStrToLower(text);
  for (const Level level : {kDebug, kInfo, kWarning, kError}) {
    if (name == LevelName(level)) {
      return ToSpdlog(level);
    }
  }
  return name == "off" ? spdlog::level::off : spdlog::level::info;
}

struct Output {
  Output() : logger("sluice", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_pattern("%v");
    logger.set_level(LevelFromEnvironment());
    // Nothing may be lost in a crash.
    logger.flush_on(spdlog::level::trace);
    const char* format = std::getenv("SLUICE_LOG_FORMAT");
    json = format != nullptr && absl::AsciiStrToLower(format) == "json";
  }

  spdlog::logger logger;
  bool json = false;
};

// The process has one stderr, and lines are written until its very end.
Output& TheOutput() {
  static auto* output = std::make_unique<Output>().release();
  return *output;
}

std::string& ProcessName() {
  static auto* name = std::make_unique<std::string>().release();
  return *name;
}

std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text.substr(0, kValueBytesMax)) {
    switch (c) {
      case '"':
      case '\\':
        quoted += '\\';
        quoted += c;
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\t':
        quoted += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned>(c));
        } else {
          quoted += c;
        }
    }
  }
  if (text.size() > kValueBytesMax) {
    quoted += "…";
  }
  quoted += '"';
  return quoted;
}

bool IsPlainWord(absl::string_view text) {
  if (text.empty() || text.size() > kValueBytesMax) {
    return false;
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f) {
      return false;
    }
  }
  return true;
}

// Not a number and not quoted: JSON knows neither.
bool IsJsonLiteral(const Value& value) {
  return value.bare() && value.text().find_first_of("nN") == std::string::npos
             ? true
             : value.bare() && (value.text() == "true" || value.text() == "false");
}

void AppendField(absl::string_view key, const Value& value, bool json, std::string& line) {
  if (json) {
    absl::StrAppend(&line, line.size() > 1 ? "," : "", Quoted(key), ":",
                    IsJsonLiteral(value) ? value.text() : Quoted(value.text()));
    return;
  }
  absl::StrAppend(&line, line.empty() ? "" : " ", key, "=",
                  IsPlainWord(value.text()) ? value.text() : Quoted(value.text()));
}

}  // namespace

void Init(absl::string_view process) {
  ProcessName() = std::string(process);
  (void)TheOutput();
}

bool Enabled(Level level) {
  return TheOutput().logger.should_log(ToSpdlog(level));
}

std::string FormatLine(Level level, absl::Time time, absl::string_view message,
                       std::initializer_list<Field> fields, bool json) {
  std::string line = json ? "{" : "";
  AppendField("ts", absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()), json,
              line);
  AppendField("level", LevelName(level), json, line);
  if (!ProcessName().empty()) {
    AppendField("process", ProcessName(), json, line);
  }
  AppendField("msg", message, json, line);
  for (const Field& field : fields) {
    AppendField(field.key, field.value, json, line);
  }
  if (json) {
    line += '}';
  }
  return line;
}

void Write(Level level, absl::string_view message, std::initializer_list<Field> fields) {
  Output& output = TheOutput();
  const std::string line = FormatLine(level, absl::Now(), message, fields, output.json);
  output.logger.log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

bool RateLimit::Allow(absl::Duration period) {
  const int64_t now_ns = absl::GetCurrentTimeNanos();
  int64_t next_ns = next_ns_.load(std::memory_order_relaxed);
  return now_ns >= next_ns &&
         next_ns_.compare_exchange_strong(next_ns, now_ns + absl::ToInt64Nanoseconds(period),
                                          std::memory_order_relaxed);
}

}  // namespace sluice::log
