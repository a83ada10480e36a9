// JsonValue: reading of MySQL's binary JSON.

#include "common/binlog/json_binary.h"

#include <cmath>
#include <cstring>

#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kJson = "JSON document";

enum Type : uint8_t {
  kSmallObject = 0x00,
  kLargeObject = 0x01,
  kSmallArray = 0x02,
  kLargeArray = 0x03,
  kLiteral = 0x04,
  kInt16 = 0x05,
  kUint16 = 0x06,
  kInt32 = 0x07,
  kUint32 = 0x08,
  kInt64 = 0x09,
  kUint64 = 0x0a,
  kDoubleType = 0x0b,
  kStringType = 0x0c,
  kOpaqueType = 0x0f,
};

// Seven bits a byte, lowest first, the high bit says that more follow; five bytes at most.
uint64_t ReadLength(ByteReader& reader) {
  uint64_t length = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    const uint8_t byte = reader.U8();
    length |= static_cast<uint64_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) {
      return length;
    }
  }
  reader.Fail();
  return 0;
}

absl::StatusOr<JsonValue> ParseLiteral(uint64_t literal) {
  JsonValue value;
  switch (literal) {
    case 0:
      value.kind = JsonValue::Kind::kNull;
      return value;
    case 1:
      value.kind = JsonValue::Kind::kTrue;
      return value;
    case 2:
      value.kind = JsonValue::Kind::kFalse;
      return value;
    default:
      return Malformed(kJson, absl::StrCat("literal ", literal));
  }
}

absl::StatusOr<JsonValue> ParseContainer(uint8_t type, absl::string_view bytes) {
  JsonValue value;
  value.kind = type == kSmallObject || type == kLargeObject ? JsonValue::Kind::kObject
                                                            : JsonValue::Kind::kArray;
  value.large = type == kLargeObject || type == kLargeArray;
  ByteReader reader(bytes);
  const size_t width = value.large ? 4 : 2;
  reader.UintLe(width);  // number of members
  const uint64_t size = reader.UintLe(width);
  if (reader.failed() || size < 2 * width || size > bytes.size()) {
    return Malformed(kJson, "size of a container");
  }
  value.bytes = bytes.substr(0, size);
  return value;
}

template <typename Integer>
JsonValue SignedValue(uint64_t bits) {
  JsonValue value;
  value.kind = JsonValue::Kind::kInt;
  value.integer = static_cast<Integer>(bits);
  return value;
}

JsonValue UnsignedValue(uint64_t bits) {
  JsonValue value;
  value.kind = JsonValue::Kind::kUint;
  value.integer = static_cast<int64_t>(bits);
  return value;
}

// The value of a type at the start of the bytes, which reach to the end of its container.
absl::StatusOr<JsonValue> ParseValue(uint8_t type, absl::string_view bytes) {
  ByteReader reader(bytes);
  JsonValue value;
  switch (type) {
    case kSmallObject:
    case kLargeObject:
    case kSmallArray:
    case kLargeArray:
      return ParseContainer(type, bytes);
    case kLiteral:
      if (bytes.empty()) {
        return Malformed(kJson, "cut short");
      }
      return ParseLiteral(reader.U8());
    case kInt16:
      value = SignedValue<int16_t>(reader.UintLe(2));
      break;
    case kInt32:
      value = SignedValue<int32_t>(reader.UintLe(4));
      break;
    case kInt64:
      value = SignedValue<int64_t>(reader.UintLe(8));
      break;
    case kUint16:
      value = UnsignedValue(reader.UintLe(2));
      break;
    case kUint32:
      value = UnsignedValue(reader.UintLe(4));
      break;
    case kUint64:
      value = UnsignedValue(reader.UintLe(8));
      break;
    case kDoubleType: {
      const uint64_t bits = reader.UintLe(8);
      value.kind = JsonValue::Kind::kDouble;
      memcpy(&value.floating, &bits, sizeof bits);
      if (!std::isfinite(value.floating)) {
        return Malformed(kJson, "a number that is not finite");
      }
      break;
    }
    case kOpaqueType:
      value.kind = JsonValue::Kind::kOpaque;
      value.opaque_type = reader.U8();
      value.bytes = reader.Bytes(ReadLength(reader));
      break;
    case kStringType:
      value.kind = JsonValue::Kind::kString;
      value.bytes = reader.Bytes(ReadLength(reader));
      break;
    default:
      return Malformed(kJson, absl::StrCat("value type ", type));
  }
  if (reader.failed()) {
    return Malformed(kJson, "cut short");
  }
  return value;
}

// Small values stand in the entry itself, in the place of the offset.
bool IsInlined(uint8_t type, bool large) {
  return type == kLiteral || type == kInt16 || type == kUint16 ||
         (large && (type == kInt32 || type == kUint32));
}

}  // namespace

absl::StatusOr<JsonValue> ParseJson(absl::string_view document) {
  if (document.empty()) {
    return JsonValue();
  }
  return ParseValue(static_cast<uint8_t>(document[0]), document.substr(1));
}

absl::Status ForEachMember(
    const JsonValue& container, JsonBudget& budget,
    absl::FunctionRef<absl::Status(absl::string_view key, const JsonValue& value)> each) {
  const bool object = container.kind == JsonValue::Kind::kObject;
  const size_t width = container.large ? 4 : 2;
  const size_t key_entry = object ? width + 2 : 0;
  const size_t value_entry = 1 + width;
  const absl::string_view bytes = container.bytes;
  const uint64_t count = ByteReader(bytes).UintLe(width);
  const size_t header = 2 * width;
  if (bytes.size() < header || count > (bytes.size() - header) / (key_entry + value_entry)) {
    return Malformed(kJson, absl::StrCat(count, " members in ", bytes.size(), " bytes"));
  }
  ByteReader keys(bytes.substr(header));
  ByteReader values(bytes.substr(header + count * key_entry));
  for (uint64_t i = 0; i < count; ++i) {
    absl::string_view key;
    if (object) {
      const uint64_t offset = keys.UintLe(width);
      const uint64_t length = keys.U16();
      if (offset > bytes.size() || length > bytes.size() - offset) {
        return Malformed(kJson, "a key outside its object");
      }
      key = bytes.substr(offset, length);
    }
    const uint8_t type = values.U8();
    const absl::string_view entry = values.Bytes(width);
    const uint64_t offset = ByteReader(entry).UintLe(width);
    const bool inlined = IsInlined(type, container.large);
    if (!inlined && (offset < header || offset > bytes.size())) {
      return Malformed(kJson, "a value outside its container");
    }
    SLUICE_ASSIGN_OR_RETURN(const JsonValue value,
                            ParseValue(type, inlined ? entry : bytes.substr(offset)));
    const bool container_value =
        value.kind == JsonValue::Kind::kObject || value.kind == JsonValue::Kind::kArray;
    if (!budget.Spend(1 + key.size() + (container_value ? 0 : value.bytes.size()))) {
      return Malformed(kJson, "values overlap");
    }
    SLUICE_RETURN_IF_ERROR(each(key, value));
  }
  return absl::OkStatus();
}

}  // namespace sluice::binlog
