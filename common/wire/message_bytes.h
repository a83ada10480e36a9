// Cap'n Proto messages as bytes: written for a store or a file, and read from anywhere.

#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <exception>
#include <optional>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice::wire {

// Reads one message in place, or from an aligned copy where the bytes are not aligned. A reader may
// touch eight times the message's size in all, so few bytes cannot stand for long lists.
//
// Constructor and accessors throw kj::Exception on malformed bytes. The bytes must outlive the
// object. Thread-compatible.
class MessageReader {
 public:
  explicit MessageReader(absl::string_view bytes);
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  template <typename Root>
  typename Root::Reader root() {
    return reader_->getRoot<Root>();
  }

 private:
  kj::Array<capnp::word> copy_;
  std::optional<capnp::FlatArrayMessageReader> reader_;
};

std::string Serialize(capnp::MessageBuilder& message);

template <typename T>
struct StoredValue {
  using Type = T;
};
template <typename T>
struct StoredValue<absl::StatusOr<T>> {
  using Type = T;
};

// What `read`, a function of Root::Reader, makes of a message that was serialized. Malformed bytes
// are DATA_LOSS with the name of the thing.
template <typename Root, typename Read>
absl::StatusOr<typename StoredValue<std::invoke_result_t<Read, typename Root::Reader>>::Type>
ReadStored(absl::string_view what, absl::string_view bytes, Read read) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0) {
    return absl::DataLossError(absl::StrCat(what, " has ", bytes.size(), " bytes"));
  }
  try {
    MessageReader reader(bytes);
    return read(reader.root<Root>());
  } catch (const kj::Exception& exception) {
    return absl::DataLossError(
        absl::StrCat(what, " cannot be read: ", exception.getDescription().cStr()));
  } catch (const std::exception& exception) {
    return absl::DataLossError(absl::StrCat(what, " cannot be read: ", exception.what()));
  }
}

}  // namespace sluice::wire
