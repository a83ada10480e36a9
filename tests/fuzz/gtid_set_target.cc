// GTID sets: the text of the server and of users, and the binary forms of the protocol.

#include "common/base/check.h"
#include "common/gtid/gtid_set.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using gtid::GtidSet;

constexpr char kSeparator = '|';

void CheckForms(const GtidSet& set) {
  const auto from_text = GtidSet::Parse(set.ToString());
  SLUICE_CHECK_OK(from_text.status());
  SLUICE_CHECK(*from_text == set);
  const auto from_bytes = GtidSet::Decode(set.Encode());
  SLUICE_CHECK_OK(from_bytes.status());
  SLUICE_CHECK(*from_bytes == set);
  SLUICE_CHECK(set.empty() == (set.Count() == 0));
}

GtidSet Union(GtidSet a, const GtidSet& b) {
  a.Union(b);
  return a;
}

GtidSet Minus(GtidSet a, const GtidSet& b) {
  a.Subtract(b);
  return a;
}

void CheckAlgebra(const GtidSet& a, const GtidSet& b) {
  const GtidSet both = Union(a, b);
  CheckForms(both);
  SLUICE_CHECK(both == Union(b, a));
  SLUICE_CHECK(both.Contains(a) && both.Contains(b));
  const GtidSet rest = Minus(a, b);
  CheckForms(rest);
  SLUICE_CHECK(a.Contains(rest));
  SLUICE_CHECK(Union(rest, b) == both);
  SLUICE_CHECK(Minus(rest, b) == rest);
  SLUICE_CHECK(rest.Count() + b.Count() == both.Count());
  SLUICE_CHECK(a.Contains(b) == Minus(b, a).empty());
  SLUICE_CHECK(Minus(a, a).empty() && Union(a, a) == a && Minus(both, a) == Minus(b, a));
}

void Run(absl::string_view input) {
  const auto decoded = GtidSet::Decode(input);
  if (decoded.ok()) {
    CheckForms(*decoded);
    CheckAlgebra(*decoded, GtidSet());
  }
  const size_t separator = input.find(kSeparator);
  const auto first = GtidSet::Parse(input.substr(0, separator));
  const auto second = separator == absl::string_view::npos
                          ? GtidSet()
                          : GtidSet::Parse(input.substr(separator + 1));
  if (first.ok()) {
    CheckForms(*first);
  }
  if (first.ok() && second.ok()) {
    CheckAlgebra(*first, *second);
  }
}

std::vector<std::string> Seeds() {
  const std::string one = "34e78057-e52e-11f1-ad86-02fc00000001";
  const std::string other = "AAAAAAAA-0000-11F1-AD86-02FC00000002";
  std::vector<std::string> seeds = {
      "",
      one + ":1",
      one + ":1-5:7-9:11",
      one + ":1-5|" + one + ":3-4",
      one + ":1-5:10|" + one + ":4-12," + other + ":1",
      "MySQL56/" + one + ":1-100",
      one + ":1-3:tag_a:7:9-10:b:1,\n " + other + ":hello:1-2",
      one + ":tag:1|" + one + ":1:tag:2",
      one + ":1-9223372036854775806|" + one + ":5:9223372036854775806",
      one + ":3:1:2," + one + ":4-6",
  };
  for (size_t i = seeds.size(); i-- > 0;) {
    const auto set = GtidSet::Parse(seeds[i]);
    if (set.ok()) {
      seeds.push_back(set->Encode());
    }
  }
  return seeds;
}

}  // namespace

const Target kGtidSet = {.run = Run, .seeds = Seeds};

}  // namespace sluice::fuzz
