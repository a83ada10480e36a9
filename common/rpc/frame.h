// Frames: Cap'n Proto messages in nng messages, with Cap'n Proto's exceptions kept inside.

#pragma once

#include <capnp/message.h>

#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/rpc/nng_handles.h"
#include "common/wire/message_bytes.h"

namespace sluice::rpc {

// No frame above this is sent or received.
inline constexpr size_t kFrameBytesMax = 64U << 20U;

// Runs body. An exception of Cap'n Proto becomes a status: malformed data is INVALID_ARGUMENT.
absl::Status Guard(absl::string_view what, absl::FunctionRef<absl::Status()> body);

// Its constructor and accessors throw kj::Exception on malformed bytes: use inside Guard.
using FrameReader = wire::MessageReader;

// The message's bytes in a new nng message. RESOURCE_EXHAUSTED, with the size, above bytes_max.
absl::Status Encode(capnp::MessageBuilder& builder, size_t bytes_max, Message& message);

// A new nng message of these bytes.
absl::Status CopyToMessage(absl::string_view bytes, Message& message);

absl::string_view BodyOf(const Message& message);

}  // namespace sluice::rpc
