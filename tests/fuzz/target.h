// Target: a decoder under fuzzing: what is done with one input, and the inputs to begin with.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::fuzz {

struct Target {
  // Feeds one input to the decoder. Aborts when an invariant is broken.
  void (*run)(absl::string_view input);
  // Inputs that reach deep into the decoder, made from readable values.
  std::vector<std::string> (*seeds)();
  // The most memory that one run may hold at once: so many bytes, and more for each of the input.
  size_t memory_bytes = size_t{4} << 20U;
  size_t memory_per_byte = 512;
};

// One a source file of this folder, named like it.
extern const Target kBinlogEvent;
extern const Target kBinlogStream;
extern const Target kGtidSet;
extern const Target kJsonBinary;
extern const Target kProxyPacket;
extern const Target kRoutingRules;
extern const Target kRowImage;
extern const Target kRowText;
extern const Target kRpcFrame;
extern const Target kSql;
extern const Target kStoredOperation;
extern const Target kTransactionPayload;
extern const Target kValues;

}  // namespace sluice::fuzz
