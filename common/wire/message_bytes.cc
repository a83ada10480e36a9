// MessageReader and Serialize.

#include "common/wire/message_bytes.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice::wire {
namespace {

constexpr uint64_t kTraversalFactor = 8;
constexpr uint64_t kTraversalWordsMin = 8192;

}  // namespace

MessageReader::MessageReader(absl::string_view bytes) {
  constexpr size_t kWord = sizeof(capnp::word);
  const size_t words = bytes.size() / kWord;
  capnp::ReaderOptions options;
  options.traversalLimitInWords = std::max<uint64_t>(kTraversalFactor * words, kTraversalWordsMin);
  kj::ArrayPtr<const capnp::word> aligned;
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(capnp::word) != 0) {
    copy_ = kj::heapArray<capnp::word>(words);
    std::memcpy(copy_.begin(), bytes.data(), words * kWord);
    aligned = copy_;
  } else {
    aligned = {reinterpret_cast<const capnp::word*>(bytes.data()), words};
  }
  reader_.emplace(aligned, options);
}

std::string Serialize(capnp::MessageBuilder& message) {
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  const auto chars = words.asChars();
  return {chars.begin(), chars.size()};
}

}  // namespace sluice::wire
