// RewriteQualifiers: puts other schema names in the place of those of a statement.

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "common/sql/statement.h"

namespace sluice::sql {

std::string RewriteQualifiers(
    absl::string_view sql, const std::vector<Qualifier>& qualifiers,
    const std::function<std::optional<std::string>(const Qualifier&)>& mapping) {
  std::string out;
  out.reserve(sql.size() + 16 * qualifiers.size());
  size_t copied = 0;
  for (const Qualifier& qualifier : qualifiers) {
    const std::optional<std::string> name = mapping(qualifier);
    if (!name.has_value() || qualifier.begin < copied || qualifier.end > sql.size()) {
      continue;
    }
    out.append(sql.data() + copied, qualifier.begin - copied);
    // Two back-ticks in a row would make one name of two.
    if (!out.empty() && out.back() == '`') {
      out.push_back(' ');
    }
    out.push_back('`');
    for (const char c : *name) {
      out.append(c == '`' ? 2 : 1, c);
    }
    out.push_back('`');
    copied = qualifier.end;
    if (copied < sql.size() && sql[copied] == '`') {
      out.push_back(' ');
    }
  }
  out.append(sql.data() + copied, sql.size() - copied);
  return out;
}

bool IsSystemSchema(absl::string_view schema) {
  static constexpr std::array<absl::string_view, 4> kSchemas = {"mysql", "information_schema",
                                                                "performance_schema", "sys"};
  return std::any_of(kSchemas.begin(), kSchemas.end(),
                     [&](absl::string_view name) { return absl::EqualsIgnoreCase(name, schema); });
}

}  // namespace sluice::sql
