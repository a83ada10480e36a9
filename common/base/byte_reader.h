// ByteReader: bounds-checked reading of integers and byte runs out of untrusted bytes.

#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace sluice {

// Reads forwards. A read past the end makes the reader fail for good: it and all later reads return
// zeros or empty views, and failed() stays true, so a decoder may check once after a group of
// reads. Views point into the bytes given. Owned by one thread.
class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] size_t remaining() const { return failed_ ? 0 : bytes_.size() - position_; }
  [[nodiscard]] bool done() const { return remaining() == 0; }
  [[nodiscard]] size_t position() const { return position_; }

  // The next `size` bytes.
  absl::string_view Bytes(size_t size) {
    if (size > remaining()) {
      failed_ = true;
      return {};
    }
    absl::string_view view = bytes_.substr(position_, size);
    position_ += size;
    return view;
  }

  absl::string_view Rest() { return Bytes(remaining()); }

  // An unsigned integer of 1 to 8 bytes, least significant byte first.
  uint64_t UintLe(size_t size) {
    uint64_t value = 0;
    const absl::string_view view = Bytes(size);
    for (size_t i = view.size(); i > 0; --i) {
      value = (value << 8U) | static_cast<uint8_t>(view[i - 1]);
    }
    return value;
  }

  // The same, most significant byte first.
  uint64_t UintBe(size_t size) {
    uint64_t value = 0;
    for (const char c : Bytes(size)) {
      value = (value << 8U) | static_cast<uint8_t>(c);
    }
    return value;
  }

  uint8_t U8() { return static_cast<uint8_t>(UintLe(1)); }
  uint16_t U16() { return static_cast<uint16_t>(UintLe(2)); }
  uint32_t U32() { return static_cast<uint32_t>(UintLe(4)); }
  uint64_t U64() { return UintLe(8); }

  // A "packed integer" of the MySQL protocol: below 251 itself, 252, 253, 254 announce 2, 3, 8
  // bytes.
  uint64_t PackedInt() {
    const uint8_t first = U8();
    switch (first) {
      case 252:
        return UintLe(2);
      case 253:
        return UintLe(3);
      case 254:
        return UintLe(8);
      case 251:
      case 255:
        failed_ = true;
        return 0;
      default:
        return first;
    }
  }

  // An unsigned variable-length integer of mysql::serialization: as many trailing ones in the first
  // byte as bytes follow; the value begins above the first zero bit (libs/mysql/serialization).
  uint64_t VarlenUint() {
    const uint8_t first = U8();
    size_t more = 0;
    while (more < 8 && ((static_cast<unsigned>(first) >> more) & 1U) != 0) {
      ++more;
    }
    const uint64_t rest = UintLe(more);
    if (more >= 7) {
      return rest;  // no bits of the value are in the first byte
    }
    const uint64_t low = static_cast<uint64_t>(first) >> (more + 1);
    return (rest << (7 - more)) | low;
  }

  // The signed form: the lowest bit is the sign.
  int64_t VarlenInt() {
    const uint64_t value = VarlenUint();
    const uint64_t magnitude = value >> 1U;
    return static_cast<int64_t>((value & 1U) != 0 ? ~magnitude : magnitude);
  }

  void Fail() { failed_ = true; }

 private:
  absl::string_view bytes_;
  size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace sluice
