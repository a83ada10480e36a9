// Encodes and decodes frames within their limits.

#include "common/rpc/frame.h"

#include <kj/exception.h>
#include <kj/io.h>

#include <cstring>
#include <exception>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::rpc {
namespace {

absl::StatusCode CodeFromKj(kj::Exception::Type type) {
  switch (type) {
    case kj::Exception::Type::FAILED:
      return absl::StatusCode::kInvalidArgument;
    case kj::Exception::Type::OVERLOADED:
      return absl::StatusCode::kResourceExhausted;
    case kj::Exception::Type::DISCONNECTED:
      return absl::StatusCode::kUnavailable;
    case kj::Exception::Type::UNIMPLEMENTED:
      return absl::StatusCode::kUnimplemented;
  }
  return absl::StatusCode::kInternal;
}

absl::Status NewMessage(size_t bytes, Message& message) {
  nng_msg* raw = nullptr;
  absl::Status status = StatusFromNng(nng_msg_alloc(&raw, bytes), "message");
  message.reset(raw);
  return status;
}

}  // namespace

absl::Status Guard(absl::string_view what, absl::FunctionRef<absl::Status()> body) {
  try {
    return body();
  } catch (const kj::Exception& exception) {
    const kj::StringPtr text = exception.getDescription();
    return {CodeFromKj(exception.getType()),
            absl::StrCat(what, ": ", absl::string_view(text.begin(), text.size()))};
  } catch (const std::exception& exception) {
    return absl::InternalError(absl::StrCat(what, ": ", exception.what()));
  }
}

absl::Status Encode(capnp::MessageBuilder& builder, size_t bytes_max, Message& message) {
  const size_t bytes = capnp::computeSerializedSizeInWords(builder) * sizeof(capnp::word);
  if (bytes > bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("message of ", bytes, " bytes; at most ", bytes_max, " are allowed"));
  }
  SLUICE_RETURN_IF_ERROR(NewMessage(bytes, message));
  kj::ArrayOutputStream stream(
      kj::arrayPtr(static_cast<kj::byte*>(nng_msg_body(message.get())), bytes));
  capnp::writeMessage(stream, builder);
  return absl::OkStatus();
}

absl::Status CopyToMessage(absl::string_view bytes, Message& message) {
  SLUICE_RETURN_IF_ERROR(NewMessage(bytes.size(), message));
  std::memcpy(nng_msg_body(message.get()), bytes.data(), bytes.size());
  return absl::OkStatus();
}

absl::string_view BodyOf(const Message& message) {
  return {static_cast<const char*>(nng_msg_body(message.get())), nng_msg_len(message.get())};
}

}  // namespace sluice::rpc
