// Transactions: the tables of the crash loop and the random changes that are made to them. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "integration/crashloop/dice.h"

namespace sluice::crashloop {

struct LoadTable {
  std::string name;
  std::string definition;         // behind CREATE TABLE `name`
  std::string key;                // its columns, as ORDER BY takes them
  std::vector<std::string> fill;  // statements that give it its first rows
};

// Tables with an integer, a text (two collations), a binary and composite keys, and unique keys
// besides. `scale` multiplies the rows; 1 is about 6 MiB.
std::vector<LoadTable> LoadTables(uint64_t scale);

// Makes transactions without knowing what the tables hold: some change nothing, some fail by a
// duplicate and are to be rolled back. Owned by one thread.
class TransactionMaker {
 public:
  TransactionMaker(uint64_t seed, uint64_t writer, uint64_t scale)
      : dice_(seed, kPurpose + writer), scale_(scale) {}

  // Without BEGIN, but with what ends it.
  std::vector<std::string> Next();

 private:
  static constexpr uint64_t kPurpose = 1000;
  using Statements = std::vector<std::string>;

  void Seats(Statements& out);
  void SwapSeats(Statements& out);
  void Hot(Statements& out);
  void Pairs(Statements& out);
  void Names(Statements& out);
  void Bins(Statements& out);
  void Wide(Statements& out);
  void Large(Statements& out);
  std::string Name();
  std::string Bytes();

  Dice dice_;
  const uint64_t scale_;
};

}  // namespace sluice::crashloop
