// Makes a libFuzzer program of the target that SLUICE_FUZZ_TARGET names.
//
//   fuzz_<name> --write-seeds=DIR     writes the seeds into a folder and ends
//   fuzz_<name> [libFuzzer's options and folders]

#include <sanitizer/allocator_interface.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

// Of the run under way. A run has one thread.
bool measuring = false;
size_t held_bytes = 0;
size_t held_bytes_max = 0;

void OnAllocate(const volatile void* /*block*/, size_t bytes) {
  if (measuring) {
    held_bytes += bytes;
    held_bytes_max = held_bytes > held_bytes_max ? held_bytes : held_bytes_max;
  }
}

void OnFree(const volatile void* block) {
  if (measuring && block != nullptr) {
    const size_t bytes = __sanitizer_get_allocated_size(const_cast<const void*>(block));
    held_bytes -= bytes < held_bytes ? bytes : held_bytes;
  }
}

void CheckMemory(const Target& target, size_t input_bytes) {
  const size_t allowed = target.memory_bytes + target.memory_per_byte * input_bytes;
  if (held_bytes_max > allowed) {
    (void)fprintf(stderr, "%zu bytes of memory for an input of %zu bytes; allowed are %zu\n",
                  held_bytes_max, input_bytes, allowed);
    abort();
  }
}

int WriteSeeds(const Target& target, const std::string& folder) {
  size_t number = 0;
  for (const std::string& seed : target.seeds()) {
    std::ofstream file(absl::StrCat(folder, "/seed-", number++), std::ios::binary);
    file.write(seed.data(), static_cast<std::streamsize>(seed.size()));
    file.close();
    if (!file) {
      (void)fprintf(stderr, "cannot write a seed into %s\n", folder.c_str());
      return EXIT_FAILURE;
    }
  }
  return EXIT_SUCCESS;
}

void Begin(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    absl::string_view argument = arguments[i];
    if (absl::ConsumePrefix(&argument, "--write-seeds=")) {
      exit(WriteSeeds(SLUICE_FUZZ_TARGET, std::string(argument)));
    }
  }
  __sanitizer_install_malloc_and_free_hooks(OnAllocate, OnFree);
}

void RunOne(absl::string_view input) {
  held_bytes = 0;
  held_bytes_max = 0;
  measuring = true;
  SLUICE_FUZZ_TARGET.run(input);
  measuring = false;
  CheckMemory(SLUICE_FUZZ_TARGET, input.size());
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  sluice::fuzz::Begin(*count, *arguments);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::RunOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
