// AgentConfig: the agent's settings, read from a TOML file.

#include "agent/config/agent_config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

uint32_t ReadUid(ConfigFile& table) {
  return static_cast<uint32_t>(
      table.RequireInt("uid", {.min = 1, .max = std::numeric_limits<uint32_t>::max()}));
}

routing::TabletType ReadType(ConfigFile& table, routing::TabletType otherwise) {
  // Where there is a default, the key may be missing.
  const std::string type = otherwise == routing::TabletType::kUnknown ? table.RequireString("type")
                                                                      : table.String("type");
  if (auto parsed = routing::ParseTabletType(type); parsed.ok()) {
    return *parsed;
  }
  if (!type.empty()) {
    table.AddError("type", "expected PRIMARY, REPLICA or RDONLY");
  }
  return otherwise;
}

std::string CheckDatabase(ConfigFile& table, std::string database) {
  if (database.empty() || database.size() > kDatabaseBytesMax) {
    table.AddError("database", "expected a name of 1 to 64 bytes");
  }
  return database;
}

std::string ReadName(ConfigFile& table, absl::string_view key) {
  std::string name = table.RequireString(key);
  CheckName(table, key, name);
  return name;
}

// The keys of the one shard of an agent that has no [[shard]].
ShardConfig ReadOnlyShard(ConfigFile& file) {
  ShardConfig shard;
  shard.uid = ReadUid(file);
  shard.keyspace = ReadName(file, "keyspace");
  shard.shard = file.String("shard", "0");
  CheckName(file, "shard", shard.shard);
  shard.type = ReadType(file, routing::TabletType::kUnknown);
  shard.database =
      CheckDatabase(file, file.String("database", absl::StrCat("vt_", shard.keyspace)));
  return shard;
}

// Says which earlier entry has the same.
template <typename Same>
void CheckUnique(ConfigFile& entry, absl::string_view key, absl::string_view value,
                 const std::vector<ShardConfig>& earlier, const Same& same) {
  const auto found = std::find_if(earlier.begin(), earlier.end(), same);
  if (found != earlier.end()) {
    entry.AddError(key,
                   absl::StrCat(value, " is that of shard[", found - earlier.begin(), "] too"));
  }
}

// What is missing is an error already.
void CheckDiffers(ConfigFile& entry, const ShardConfig& shard,
                  const std::vector<ShardConfig>& earlier) {
  if (shard.uid != 0) {
    CheckUnique(entry, "uid", absl::StrCat(shard.uid), earlier,
                [&](const ShardConfig& other) { return other.uid == shard.uid; });
  }
  if (!shard.database.empty()) {
    CheckUnique(entry, "database", shard.database, earlier,
                [&](const ShardConfig& other) { return other.database == shard.database; });
  }
  if (!shard.keyspace.empty() && !shard.shard.empty()) {
    CheckUnique(entry, "shard", absl::StrCat(shard.keyspace, "/", shard.shard), earlier,
                [&](const ShardConfig& other) {
                  return other.keyspace == shard.keyspace && other.shard == shard.shard;
                });
  }
}

std::vector<ShardConfig> ReadShards(ConfigFile& file) {
  // Read, so that they are not unknown as well.
  file.Int("uid", 0);
  file.String("keyspace");
  file.String("database");
  for (const absl::string_view key : {"uid", "keyspace", "database"}) {
    if (file.Has(key)) {
      file.AddError(key, "can't be combined with [[shard]]; say it in each of them");
    }
  }
  const routing::TabletType type = file.Has("type") ? ReadType(file, routing::TabletType::kUnknown)
                                                    : routing::TabletType::kUnknown;
  std::vector<ShardConfig> shards;
  for (ConfigFile& entry : file.TableList("shard")) {
    ShardConfig shard;
    shard.uid = ReadUid(entry);
    shard.keyspace = ReadName(entry, "keyspace");
    shard.shard = ReadName(entry, "shard");
    shard.type = ReadType(entry, type);
    shard.database = CheckDatabase(entry, entry.RequireString("database"));
    CheckDiffers(entry, shard, shards);
    shards.push_back(std::move(shard));
  }
  if (shards.empty()) {
    file.AddError("shard", "names no shard");
  }
  return shards;
}

void ReadIdentity(ConfigFile& file, AgentConfig& config) {
  config.cell = ReadName(file, "cell");
  if (file.HasList("shard")) {
    config.shards = ReadShards(file);
  } else {
    config.shards.push_back(ReadOnlyShard(file));
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

std::string AgentConfig::AliasOf(const ShardConfig& shard) const {
  return absl::StrCat(cell, "-", shard.uid);
}

std::optional<size_t> AgentConfig::FindDatabase(absl::string_view database) const {
  for (size_t i = 0; i < shards.size(); ++i) {
    if (shards[i].database == database) {
      return i;
    }
  }
  return std::nullopt;
}

std::vector<std::string> AgentConfig::Databases() const {
  std::vector<std::string> databases;
  databases.reserve(shards.size());
  for (const ShardConfig& shard : shards) {
    databases.push_back(shard.database);
  }
  return databases;
}

std::string AgentConfig::DescribeDatabases() const {
  return absl::StrJoin(shards, ", ", [this](std::string* out, const ShardConfig& shard) {
    absl::StrAppend(out, shard.database, " (", AliasOf(shard), ")");
  });
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
  config.mysql.program = absl::StrCat("sluice-agent ", config.name());
  return config;
}

}  // namespace sluice::agent
