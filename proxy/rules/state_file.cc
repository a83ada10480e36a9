// The last good rule set on disk: a magic word, then a Cap'n Proto message.

#include "proxy/rules/state_file.h"

#include <capnp/message.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/message_bytes.h"
#include "proxy/wire/channel.h"

namespace sluice::proxy {
namespace {

constexpr absl::string_view kMagic = "SLUICER1";

absl::Status FileError(const std::string& path, absl::string_view what) {
  return absl::UnavailableError(
      absl::StrCat("state file ", path, ": ", what, ": ", std::strerror(errno)));
}

absl::Status WriteWhole(const std::string& path, absl::string_view bytes) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file.get() < 0) {
    return FileError(path, "can't be created");
  }
  while (!bytes.empty()) {
    const ssize_t written = write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      return FileError(path, "can't be written");
    }
    bytes = bytes.substr(written > 0 ? static_cast<size_t>(written) : 0);
  }
  return absl::OkStatus();
}

absl::Status SyncFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || fsync(directory.get()) != 0) {
    return FileError(folder, "can't be synced");
  }
  return absl::OkStatus();
}

std::string Serialize(schemas::RuleSet::Reader set) {
  capnp::MallocMessageBuilder message;
  message.setRoot(set);
  return absl::StrCat(kMagic, wire::Serialize(message));
}

}  // namespace

absl::Status WriteRules(const std::string& path, schemas::RuleSet::Reader set) {
  const std::string fresh = absl::StrCat(path, ".new");
  SLUICE_RETURN_IF_ERROR(WriteWhole(fresh, Serialize(set)));
  if (std::rename(fresh.c_str(), path.c_str()) != 0) {
    return FileError(path, "can't be replaced");
  }
  return absl::OkStatus();
}

absl::Status SyncRules(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || fsync(file.get()) != 0) {
    return FileError(path, "can't be synced");
  }
  return SyncFolderOf(path);
}

absl::Status ForgetRules(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return FileError(path, "can't be removed");
  }
  return SyncFolderOf(path);
}

absl::StatusOr<std::shared_ptr<const RuleSnapshot>> LoadRules(const std::string& path,
                                                              absl::string_view cell) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("state file ", path, " is not there"));
  }
  std::ostringstream text;
  text << file.rdbuf();
  const std::string bytes = text.str();
  const absl::string_view view = bytes;
  if (!absl::StartsWith(view, kMagic)) {
    return absl::DataLossError(absl::StrCat("state file ", path, " is not a rule set"));
  }
  return wire::ReadStored<schemas::RuleSet>(
      absl::StrCat("state file ", path), view.substr(kMagic.size()),
      [&](schemas::RuleSet::Reader set) { return RuleSnapshot::Create(set, cell); });
}

}  // namespace sluice::proxy
