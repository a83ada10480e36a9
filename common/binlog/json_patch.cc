// ApplyJsonDiffs: a tree of the document, changed diff by diff, written as binary JSON again.

#include "common/binlog/json_patch.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/json_binary.h"
#include "common/binlog/json_path.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kDiff = "JSON diff";

using Kind = JsonValue::Kind;

struct Member;

// A value; the bytes of scalars lie in the document or in the diffs.
struct Node {
  JsonValue value;
  std::vector<Member> members;  // of an object in the order of its keys, of an array
};

struct Member {
  std::string key;  // empty in an array
  Node node;
};

bool IsContainer(const Node& node) {
  return node.value.kind == Kind::kObject || node.value.kind == Kind::kArray;
}

absl::StatusOr<Node> MakeNode(const JsonValue& value, JsonBudget& budget, int depth) {
  Node node{.value = value, .members = {}};
  if (!IsContainer(node)) {
    return node;
  }
  if (depth > kJsonDepthMax) {
    return Malformed("JSON document", absl::StrCat("nested deeper than ", kJsonDepthMax));
  }
  SLUICE_RETURN_IF_ERROR(ForEachMember(
      value, budget, [&](absl::string_view key, const JsonValue& member) -> absl::Status {
        SLUICE_ASSIGN_OR_RETURN(Node child, MakeNode(member, budget, depth + 1));
        node.members.push_back(Member{std::string(key), std::move(child)});
        return absl::OkStatus();
      }));
  return node;
}

// `depth`: of its root in the document that it becomes a part of.
absl::StatusOr<Node> ReadTree(absl::string_view document, int depth) {
  SLUICE_ASSIGN_OR_RETURN(const JsonValue root, ParseJson(document));
  JsonBudget budget(document.size());
  return MakeNode(root, budget, depth);
}

// Keys are sorted by length, then by bytes.
bool KeyLess(absl::string_view a, absl::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

std::vector<Member>::iterator FindKey(Node& object, absl::string_view key) {
  return std::find_if(object.members.begin(), object.members.end(),
                      [key](const Member& member) { return member.key == key; });
}

// The place that a leg means in an array; its size or more when there is no such cell.
size_t CellIndex(const JsonPathLeg& leg, size_t size) {
  if (!leg.from_last) {
    return leg.index;
  }
  return leg.index < size ? size - 1 - leg.index : size;
}

// nullptr when there is no such value. What is no array is its own first and last cell.
Node* Step(Node& node, const JsonPathLeg& leg) {
  if (!leg.is_cell) {
    if (node.value.kind != Kind::kObject) {
      return nullptr;
    }
    const auto found = FindKey(node, leg.key);
    return found == node.members.end() ? nullptr : &found->node;
  }
  if (node.value.kind != Kind::kArray) {
    return leg.index == 0 ? &node : nullptr;
  }
  const size_t index = CellIndex(leg, node.members.size());
  return index < node.members.size() ? &node.members[index].node : nullptr;
}

Node* Seek(Node& root, const std::vector<JsonPathLeg>& legs, size_t count) {
  Node* node = &root;
  for (size_t i = 0; i < count && node != nullptr; ++i) {
    node = Step(*node, legs[i]);
  }
  return node;
}

bool Insert(Node& parent, const JsonPathLeg& leg, Node value) {
  std::vector<Member>& members = parent.members;
  if (leg.is_cell) {
    if (parent.value.kind != Kind::kArray) {
      return false;
    }
    const size_t index = std::min(CellIndex(leg, members.size()), members.size());
    members.insert(members.begin() + static_cast<std::ptrdiff_t>(index),
                   Member{"", std::move(value)});
    return true;
  }
  if (parent.value.kind != Kind::kObject || FindKey(parent, leg.key) != members.end()) {
    return false;
  }
  const auto place = std::find_if(members.begin(), members.end(), [&leg](const Member& member) {
    return KeyLess(leg.key, member.key);
  });
  members.insert(place, Member{leg.key, std::move(value)});
  return true;
}

bool Remove(Node& parent, const JsonPathLeg& leg) {
  std::vector<Member>& members = parent.members;
  if (leg.is_cell) {
    const size_t index = CellIndex(leg, members.size());
    if (parent.value.kind != Kind::kArray || index >= members.size()) {
      return false;
    }
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(index));
    return true;
  }
  if (parent.value.kind != Kind::kObject) {
    return false;
  }
  const auto found = FindKey(parent, leg.key);
  if (found == members.end()) {
    return false;
  }
  members.erase(found);
  return true;
}

struct Diff {
  enum Operation : uint8_t { kReplace = 0, kInsert = 1, kRemove = 2 };
  uint8_t operation = kReplace;
  std::vector<JsonPathLeg> legs;
  Node value;
};

absl::StatusOr<Diff> ReadDiff(ByteReader& reader) {
  Diff diff;
  diff.operation = reader.U8();
  const absl::string_view path = reader.Bytes(reader.PackedInt());
  if (reader.failed() || diff.operation > Diff::kRemove) {
    return Malformed(kDiff, "cut short, or of an unknown operation");
  }
  SLUICE_ASSIGN_OR_RETURN(diff.legs, ParseJsonPath(path));
  if (diff.operation != Diff::kRemove) {
    const absl::string_view value = reader.Bytes(reader.PackedInt());
    if (reader.failed() || value.empty()) {
      return Malformed(kDiff, "its value is cut short");
    }
    if (diff.legs.size() > kJsonDepthMax) {
      return Malformed(kDiff, absl::StrCat("its path is longer than ", kJsonDepthMax));
    }
    SLUICE_ASSIGN_OR_RETURN(diff.value, ReadTree(value, static_cast<int>(diff.legs.size()) + 1));
  }
  return diff;
}

bool Apply(Diff diff, Node& root) {
  if (diff.operation == Diff::kReplace) {
    Node* const node = Seek(root, diff.legs, diff.legs.size());
    if (node != nullptr) {
      *node = std::move(diff.value);
    }
    return node != nullptr;
  }
  if (diff.legs.empty()) {
    return false;
  }
  Node* const parent = Seek(root, diff.legs, diff.legs.size() - 1);
  if (parent == nullptr) {
    return false;
  }
  return diff.operation == Diff::kInsert ? Insert(*parent, diff.legs.back(), std::move(diff.value))
                                         : Remove(*parent, diff.legs.back());
}

// Writes the tree with offsets of 4 bytes and numbers of 8, whatever their size.
class Writer {
 public:
  static std::string Write(const Node& root) {
    Writer writer;
    writer.out_.push_back(static_cast<char>(TypeOf(root)));
    if (IsLiteral(root)) {
      writer.out_.push_back(static_cast<char>(LiteralOf(root)));
    } else {
      writer.Value(root);
    }
    return std::move(writer.out_);
  }

 private:
  static bool IsLiteral(const Node& node) {
    return node.value.kind == Kind::kNull || node.value.kind == Kind::kTrue ||
           node.value.kind == Kind::kFalse;
  }
  static uint8_t LiteralOf(const Node& node) {
    if (node.value.kind == Kind::kNull) {
      return 0;
    }
    return node.value.kind == Kind::kTrue ? 1 : 2;
  }
  // Types of sql-common/json_binary.cc.
  static uint8_t TypeOf(const Node& node) {
    switch (node.value.kind) {
      case Kind::kObject:
        return 0x01;
      case Kind::kArray:
        return 0x03;
      case Kind::kInt:
        return 0x09;
      case Kind::kUint:
        return 0x0a;
      case Kind::kDouble:
        return 0x0b;
      case Kind::kString:
        return 0x0c;
      case Kind::kOpaque:
        return 0x0f;
      default:
        return 0x04;
    }
  }

  void Uint(uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) {
      out_.push_back(static_cast<char>(value & 0xFFU));
      value >>= 8U;
    }
  }
  void Patch(size_t at, uint64_t value) {
    for (size_t i = 0; i < 4; ++i) {
      out_[at + i] = static_cast<char>(value & 0xFFU);
      value >>= 8U;
    }
  }
  void Sized(absl::string_view bytes) {
    uint64_t length = bytes.size();
    while (length >= 0x80) {
      out_.push_back(static_cast<char>((length & 0x7FU) | 0x80U));
      length >>= 7U;
    }
    out_.push_back(static_cast<char>(length));
    out_.append(bytes.data(), bytes.size());
  }

  void Value(const Node& node) {
    switch (node.value.kind) {
      case Kind::kObject:
      case Kind::kArray:
        Container(node);
        break;
      case Kind::kInt:
      case Kind::kUint:
        Uint(static_cast<uint64_t>(node.value.integer), 8);
        break;
      case Kind::kDouble: {
        uint64_t bits = 0;
        std::memcpy(&bits, &node.value.floating, sizeof bits);
        Uint(bits, 8);
        break;
      }
      case Kind::kOpaque:
        out_.push_back(static_cast<char>(node.value.opaque_type));
        Sized(node.value.bytes);
        break;
      default:
        Sized(node.value.bytes);
    }
  }

  void Container(const Node& node) {
    constexpr size_t kKeyEntry = 4 + 2;
    constexpr size_t kValueEntry = 1 + 4;
    const bool object = node.value.kind == Kind::kObject;
    const size_t start = out_.size();
    Uint(node.members.size(), 4);
    Uint(0, 4);  // the size, known at the end
    const size_t keys = out_.size();
    out_.append(object ? node.members.size() * kKeyEntry : 0, '\0');
    const size_t values = out_.size();
    out_.append(node.members.size() * kValueEntry, '\0');
    for (size_t i = 0; object && i < node.members.size(); ++i) {
      const std::string& key = node.members[i].key;
      const size_t entry = keys + i * kKeyEntry;
      Patch(entry, out_.size() - start);
      out_[entry + 4] = static_cast<char>(key.size() & 0xFFU);
      out_[entry + 5] = static_cast<char>((key.size() >> 8U) & 0xFFU);
      out_ += key;
    }
    for (size_t i = 0; i < node.members.size(); ++i) {
      const Node& member = node.members[i].node;
      const size_t entry = values + i * kValueEntry;
      out_[entry] = static_cast<char>(TypeOf(member));
      if (IsLiteral(member)) {
        Patch(entry + 1, LiteralOf(member));
      } else {
        Patch(entry + 1, out_.size() - start);
        Value(member);
      }
    }
    Patch(start + 4, out_.size() - start);
  }

  std::string out_;
};

}  // namespace

absl::StatusOr<std::string> ApplyJsonDiffs(absl::string_view document, absl::string_view diffs) {
  SLUICE_ASSIGN_OR_RETURN(Node root, ReadTree(document, 1));
  ByteReader reader(diffs);
  for (size_t number = 1; !reader.done(); ++number) {
    SLUICE_ASSIGN_OR_RETURN(Diff diff, ReadDiff(reader));
    if (!Apply(std::move(diff), root)) {
      return Malformed(kDiff, absl::StrCat("number ", number, " does not fit the document"));
    }
  }
  return Writer::Write(root);
}

}  // namespace sluice::binlog
