// Structured log lines on stderr.
//
//   SLUICE_LOG(kInfo, "chunk copied", {{"table", t}, {"rows", n}});
//   SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "peer does not answer", {{"url", url}});
//
// One line each, logfmt, or JSON with SLUICE_LOG_FORMAT=json:
//   ts=2024-05-04T12:00:00.123456Z level=info process="sluice-agent zone1-100" msg="chunk copied"
//   table=t rows=9
// The message is a constant and the data is in fields, so that lines can be searched. Levels:
// kError: a person must act; kWarning: degraded but going on; kInfo: changes of state; kDebug: per
// chunk. Lines below SLUICE_LOG_LEVEL (debug, info, warning, error, off; default info) are not
// built. Never log passwords.

#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice::log {

enum Level { kDebug, kInfo, kWarning, kError };

// A field's value as text, and whether it is text in JSON too.
class Value {
 public:
  // Implicit, for use in braces.
  // NOLINTBEGIN(google-explicit-constructor)
  Value(absl::string_view text) : text_(text) {}
  Value(const std::string& text) : text_(text) {}
  Value(const char* text) : text_(text) {}
  Value(bool value) : text_(value ? "true" : "false"), bare_(true) {}
  template <typename T,
            std::enable_if_t<std::is_arithmetic_v<T> && !std::is_same_v<T, char>, int> = 0>
  Value(T number) : text_(absl::StrCat(number)), bare_(true) {}
  Value(const absl::Status& status) : text_(status.ToString()) {}
  Value(absl::Duration duration) : text_(absl::FormatDuration(duration)) {}
  Value(absl::Time time) : text_(absl::FormatTime(time, absl::UTCTimeZone())) {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool bare() const { return bare_; }

 private:
  std::string text_;
  bool bare_ = false;
};

struct Field {
  absl::string_view key;
  Value value;
};

// Names this process in each line, "sluice-agent zone1-100". Call once, before threads start.
void Init(absl::string_view process);

[[nodiscard]] bool Enabled(Level level);

// Thread-safe. Values are cut at 4 KiB.
void Write(Level level, absl::string_view message, std::initializer_list<Field> fields = {});

// The line without its newline; for tests.
std::string FormatLine(Level level, absl::Time time, absl::string_view message,
                       std::initializer_list<Field> fields, bool json);

// True at most once per period. Thread-safe.
class RateLimit {
 public:
  bool Allow(absl::Duration period);

 private:
  std::atomic<int64_t> next_ns_{0};
};

}  // namespace sluice::log

#define SLUICE_LOG(level, ...)                                 \
  do {                                                         \
    if (::sluice::log::Enabled(::sluice::log::level)) {        \
      ::sluice::log::Write(::sluice::log::level, __VA_ARGS__); \
    }                                                          \
  } while (false)

#define SLUICE_LOG_EVERY(period, level, ...)                                               \
  do {                                                                                     \
    static ::sluice::log::RateLimit sluice_log_limit_;                                     \
    if (::sluice::log::Enabled(::sluice::log::level) && sluice_log_limit_.Allow(period)) { \
      ::sluice::log::Write(::sluice::log::level, __VA_ARGS__);                             \
    }                                                                                      \
  } while (false)
