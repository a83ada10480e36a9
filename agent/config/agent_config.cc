// AgentConfig: the agent's settings, read from a TOML file.

#include "agent/config/agent_config.h"

#include <filesystem>
#include <fstream>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/config.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::agent {
namespace {

constexpr size_t kPasswordBytesMax = 4096;
constexpr size_t kDatabaseBytesMax = 64;

// A name that is part of aliases, URLs and routing rules.
void CheckName(ConfigFile& file, absl::string_view key, absl::string_view name) {
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
    if (!plain) {
      file.AddError(key, absl::StrCat("\"", name, "\" may hold letters, digits, - and _ only"));
      return;
    }
  }
}

std::string Url(ConfigFile& file, absl::string_view key, bool required) {
  std::string url = required ? file.RequireString(key) : file.String(key);
  if (!url.empty() && !absl::StartsWith(url, "tcp://")) {
    file.AddError(key, absl::StrCat("\"", url, "\" is not of the form tcp://host:port"));
  }
  return url;
}

std::string ResolvePath(const std::string& config_path, const std::string& path) {
  return (std::filesystem::path(config_path).parent_path() / path).string();
}

absl::StatusOr<std::string> ReadPassword(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string line;
  if (!stream || (!std::getline(stream, line) && !stream.eof())) {
    return absl::NotFoundError(absl::StrCat("password file ", path, ": can't be read"));
  }
  if (line.size() > kPasswordBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("password file ", path, ": line too long"));
  }
  return std::string(absl::StripSuffix(line, "\r"));
}

void ReadIdentity(ConfigFile& file, AgentConfig& config) {
  config.cell = file.RequireString("cell");
  CheckName(file, "cell", config.cell);
  config.uid = static_cast<uint32_t>(
      file.RequireInt("uid", {.min = 1, .max = std::numeric_limits<uint32_t>::max()}));
  config.keyspace = file.RequireString("keyspace");
  CheckName(file, "keyspace", config.keyspace);
  config.shard = file.String("shard", "0");
  CheckName(file, "shard", config.shard);
  const std::string type = file.RequireString("type");
  if (auto parsed = routing::ParseTabletType(type); parsed.ok()) {
    config.type = *parsed;
  } else if (!type.empty()) {
    file.AddError("type", "expected PRIMARY, REPLICA or RDONLY");
  }
  config.database = file.String("database", absl::StrCat("vt_", config.keyspace));
  if (config.database.empty() || config.database.size() > kDatabaseBytesMax) {
    file.AddError("database", "expected a name of 1 to 64 bytes");
  }
  config.listen = Url(file, "listen", /*required=*/true);
  config.advertise_url = Url(file, "advertise_url", /*required=*/false);
  if (config.advertise_url.empty() &&
      (absl::StrContains(config.listen, "//0.0.0.0") || absl::StrContains(config.listen, "//*"))) {
    file.AddError("advertise_url", "is missing, and others can't dial the listen address");
  }
  config.coordinator = Url(file, "coordinator", /*required=*/true);
}

void CheckMysqlKeys(ConfigFile& file) {
  if (file.Has("mysql.password_file") && file.Has("mysql.option_file")) {
    file.AddError("mysql.password_file", "can't be combined with mysql.option_file");
  }
  if (file.Has("mysql.host") && file.Has("mysql.socket")) {
    file.AddError("mysql.socket", "can't be combined with mysql.host");
  }
  if (!file.Has("mysql.option_file") && !file.Has("mysql.host") && !file.Has("mysql.socket")) {
    file.AddError("mysql", "needs option_file, host or socket");
  }
  if (!file.Has("mysql.option_file") && !file.Has("mysql.user")) {
    file.AddError("mysql.user", "is missing");
  }
}

// Keys of the file win over those of the option file.
absl::Status ReadMysql(ConfigFile& file, const std::string& path, AgentConfig& config) {
  CheckMysqlKeys(file);
  const std::string option_file = file.String("mysql.option_file");
  const std::string password_file = file.String("mysql.password_file");
  const std::string host = file.String("mysql.host");
  const std::string socket = file.String("mysql.socket");
  const std::string user = file.String("mysql.user");
  const auto port = static_cast<uint16_t>(file.Int("mysql.port", 0, {.min = 1, .max = 65535}));
  config.mysql_advertise_host = file.String("mysql.advertise_host");
  config.mysql_advertise_port =
      static_cast<uint16_t>(file.Int("mysql.advertise_port", 0, {.min = 1, .max = 65535}));
  SLUICE_RETURN_IF_ERROR(file.Finish());
  if (!option_file.empty()) {
    SLUICE_ASSIGN_OR_RETURN(
        config.mysql, mysql::LoadOptionFile(ResolvePath(path, option_file), {"sluice-agent"}));
  }
  mysql::ConnectionOptions& options = config.mysql;
  if (!host.empty()) {
    options.host = host;
    options.socket.clear();
  } else if (!socket.empty()) {
    options.socket = ResolvePath(path, socket);
  }
  if (!options.socket.empty()) {
    options.host.clear();
  } else if (options.host.empty()) {
    options.host = "127.0.0.1";
  }
  options.user = user.empty() ? options.user : user;
  options.port = port == 0 ? options.port : port;
  if (!password_file.empty()) {
    SLUICE_ASSIGN_OR_RETURN(options.password, ReadPassword(ResolvePath(path, password_file)));
  }
  options.database.clear();
  return absl::OkStatus();
}

}  // namespace

std::string AgentConfig::alias() const {
  return absl::StrCat(cell, "-", uid);
}

absl::StatusOr<AgentConfig> LoadAgentConfig(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(ConfigFile file, ConfigFile::Load(path));
  AgentConfig config;
  ReadIdentity(file, config);
  SLUICE_RETURN_IF_ERROR(ReadMysql(file, path, config));
  if (config.mysql_advertise_host.empty()) {
    config.mysql_advertise_host = config.mysql.host.empty() ? "127.0.0.1" : config.mysql.host;
  }
  if (config.mysql_advertise_port == 0 && !config.mysql.host.empty()) {
    config.mysql_advertise_port = config.mysql.port;
  }
  config.mysql.program = absl::StrCat("sluice-agent ", config.alias());
  return config;
}

}  // namespace sluice::agent
