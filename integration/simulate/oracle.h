// Oracle: sees all databases and all answers at once, and says which promise is broken.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "integration/simulate/data.h"
#include "integration/simulate/mysqld.h"

namespace sluice::simulate {

class World;

// Clients' writes: what is in a binlog is committed, what a client was told is acknowledged. A row
// of accounts is written upon the one before it, whose token the new one names, so that all
// committed writes of a key are one chain wherever they went.
class Oracle {
 public:
  explicit Oracle(World& world, uint32_t shards);

  // Of the databases.
  void Binlogged(const Mysqld& mysqld, const Tx& tx);
  void Applied(const Mysqld& mysqld);
  void Opened(const Mysqld& mysqld);
  // A client would have written to a server that a failover has left open: see Mysqld::LeftOpen.
  void MetLeftOpen(const Mysqld& mysqld);
  // These were in the binlog of a server that has failed over to one without them. `seen`: some of
  // them were visible, so that all of the shard may be lost by the failover.
  void Lost(const Mysqld& mysqld, const std::vector<TxPointer>& transactions, bool seen);
  void ReversePlaced(const Mysqld& mysqld, const StreamRow& stream);
  void Committed(bool counters_raised) {
    ++term_;
    counters_raised_ = counters_raised;
  }

  // Of the clients.
  void Acknowledged(uint32_t shard, uint64_t token);
  [[nodiscard]] uint64_t Floor(uint32_t shard, uint32_t key) const;
  void Read(const Mysqld& mysqld, uint32_t key, uint64_t floor, const Row& row);

  // Once all is quiet.
  void JudgeOwner(const Mysqld& owner);
  void JudgeCopy(const Mysqld& owner, const Mysqld& copy);

  void Violate(const std::string& what);
  [[nodiscard]] const std::string& violation() const { return violation_; }
  [[nodiscard]] bool excused(uint32_t shard) const { return shards_.at(shard).excused; }
  [[nodiscard]] uint32_t term() const { return term_; }
  [[nodiscard]] uint64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] uint64_t lost_by_failover() const { return lost_acknowledged_; }
  [[nodiscard]] uint64_t reads() const { return reads_; }

 private:
  struct Write {
    uint8_t table = 0;
    uint32_t key = 0;
    uint64_t version = 0;
    uint64_t before = 0;  // token
    bool acknowledged = false;
    bool lost = false;
    bool deletes = false;
  };
  struct Shard {
    bool excused = false;
    std::map<uint64_t, std::vector<Write>> writes;         // by token
    std::array<std::vector<uint64_t>, kKeys> chains;       // tokens, oldest first
    std::array<uint64_t, kKeys> floors = {};               // highest version acknowledged
    std::map<uint32_t, std::pair<uint64_t, bool>> orders;  // id -> token, deleted
    std::array<uint32_t, 2> highest_order = {};            // by side
  };

  void JudgeGates(const Mysqld& mysqld);
  void Chain(const Mysqld& mysqld, const RowChange& change, uint64_t token);
  void Number(const Mysqld& mysqld, const RowChange& change, uint64_t token);

  World& world_;
  std::vector<Shard> shards_;
  uint32_t term_ = 0;
  bool counters_raised_ = false;
  uint64_t acknowledged_ = 0;
  uint64_t lost_acknowledged_ = 0;
  uint64_t reads_ = 0;
  std::string violation_;
};

}  // namespace sluice::simulate
