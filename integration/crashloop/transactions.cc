// Transactions: SQL of the crash loop's load.

#include "integration/crashloop/transactions.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice::crashloop {
namespace {

constexpr int64_t kSeats = 2000;  // rows of a table, times the scale
constexpr int64_t kPairs = 2000;
constexpr int64_t kNames = 1500;
constexpr int64_t kBins = 2000;
constexpr int64_t kWide = 800;
constexpr int64_t kHot = 6;
constexpr int64_t kMoved = 1'000'000;  // added to a key that moves
constexpr int64_t kRowsPerFill = 500;

// INSERT IGNORE of rows first … last, each as `row` makes it.
template <typename Row>
std::vector<std::string> Fill(absl::string_view table, int64_t last, const Row& row) {
  std::vector<std::string> statements;
  for (int64_t first = 1; first <= last; first += kRowsPerFill) {
    std::vector<std::string> rows;
    for (int64_t i = first; i <= last && i < first + kRowsPerFill; ++i) {
      rows.push_back(row(i));
    }
    statements.push_back(
        absl::StrCat("INSERT IGNORE INTO ", table, " VALUES ", absl::StrJoin(rows, ", ")));
  }
  return statements;
}

}  // namespace

std::vector<LoadTable> LoadTables(uint64_t scale) {
  const auto rows = [scale](int64_t of) { return of * static_cast<int64_t>(scale); };
  std::vector<LoadTable> tables;
  tables.push_back({"seats",
                    "(id INT NOT NULL PRIMARY KEY, seat INT NOT NULL UNIQUE, "
                    "note VARCHAR(60) CHARACTER SET utf8mb4)",
                    "id", Fill("seats", rows(kSeats), [](int64_t i) {
                      return absl::StrCat("(", i, ", ", i + 10'000'000, ", REPEAT('é', ", i % 30,
                                          "))");
                    })});
  tables.push_back({"hot",
                    "(id INT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, at DATETIME(6), "
                    "pad VARBINARY(300))",
                    "id", Fill("hot", kHot, [](int64_t i) {
                      return absl::StrCat("(", i, ", 0, NOW(6), 'hot')");
                    })});
  tables.push_back({"pairs",
                    "(a INT NOT NULL, b VARCHAR(24) COLLATE utf8mb4_0900_ai_ci NOT NULL, n INT, "
                    "tag VARCHAR(20) CHARACTER SET latin1, PRIMARY KEY (a, b), KEY (tag))",
                    "a, b", Fill("pairs", rows(kPairs), [](int64_t i) {
                      return absl::StrCat("(", i % 50, ", 'Pair ", i / 50, "', ", i, ", 'tag ",
                                          i % 7, "')");
                    })});
  tables.push_back({"names",
                    "(name VARCHAR(30) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY, "
                    "other VARCHAR(30) COLLATE utf8mb4_bin UNIQUE, n INT)",
                    "name", Fill("names", rows(kNames), [](int64_t i) {
                      return absl::StrCat("('name ", i, "', 'other ", i, "', ", i, ")");
                    })});
  tables.push_back({"bins",
                    "(k VARBINARY(12) NOT NULL, d DATETIME(3) NOT NULL, v VARCHAR(40), "
                    "PRIMARY KEY (k, d))",
                    "k, d", Fill("bins", rows(kBins), [](int64_t i) {
                      return absl::StrCat("(UNHEX(LEFT(SHA2(", i, ", 256), ", 2 * (1 + i % 12),
                                          ")), '2020-01-01 00:00:00.125', 'v", i, "')");
                    })});
  tables.push_back(
      {"wide", "(id BIGINT UNSIGNED NOT NULL PRIMARY KEY, j JSON, body MEDIUMBLOB, n INT)", "id",
       Fill("wide", rows(kWide), [](int64_t i) {
         return absl::StrCat("(", i, ", JSON_OBJECT('id', ", i,
                             ", 'list', JSON_ARRAY(1, 'two')), REPEAT(SHA2(", i, ", 256), 94), 0)");
       })});
  return tables;
}

std::string TransactionMaker::Bytes() {
  return absl::StrCat("UNHEX(LEFT(SHA2(", dice_.Roll(3000 * scale_), ", 256), ",
                      2 * (1 + dice_.Roll(12)), "))");
}

// One of the spellings that the collation takes for the same name.
std::string TransactionMaker::Name() {
  static constexpr std::array<absl::string_view, 5> kForms = {"name ", "Name ", "NAME ", "näme ",
                                                              "nAmé "};
  return absl::StrCat("'", kForms[dice_.Roll(kForms.size())],
                      dice_.Between(1, kNames * static_cast<int64_t>(scale_)),
                      dice_.OneIn(4) ? "  " : "", "'");
}

// Two rows exchange what is unique of them, in each of the ways that applications know.
void TransactionMaker::SwapSeats(Statements& out) {
  const int64_t last = kSeats * static_cast<int64_t>(scale_);
  const int64_t a = dice_.Between(1, last);
  const int64_t b = a == last ? 1 : a + 1;
  out.push_back("SET @a = NULL, @b = NULL");
  out.push_back(absl::StrCat("SELECT seat INTO @a FROM seats WHERE id = ", a, " FOR UPDATE"));
  out.push_back(absl::StrCat("SELECT seat INTO @b FROM seats WHERE id = ", b, " FOR UPDATE"));
  switch (dice_.Roll(4)) {
    case 0:  // through a value that nobody has
      out.push_back(absl::StrCat("UPDATE seats SET seat = ", -a, " WHERE id = ", a,
                                 " AND @a IS NOT NULL AND @b IS NOT NULL"));
      out.push_back(absl::StrCat("UPDATE seats SET seat = @a WHERE id = ", b,
                                 " AND @a IS NOT NULL AND @b IS NOT NULL"));
      out.push_back(absl::StrCat("UPDATE seats SET seat = @b WHERE id = ", a,
                                 " AND @a IS NOT NULL AND @b IS NOT NULL"));
      break;
    case 1:  // by one REPLACE of both
      out.push_back(
          absl::StrCat("REPLACE INTO seats SELECT * FROM (SELECT ", a,
                       " AS id, @b AS seat, 'swapped' AS note UNION ALL SELECT ", b,
                       ", @a, 'swapped') AS both WHERE @a IS NOT NULL AND @b IS NOT NULL"));
      break;
    case 2:  // by deleting both and inserting them anew
      out.push_back(absl::StrCat("DELETE FROM seats WHERE id IN (", a, ", ", b,
                                 ") AND @a IS NOT NULL AND @b IS NOT NULL"));
      out.push_back(absl::StrCat("INSERT INTO seats SELECT * FROM (SELECT ", b,
                                 " AS id, @a AS seat, 'again' AS note UNION ALL SELECT ", a,
                                 ", @b, NULL) AS both WHERE @a IS NOT NULL AND @b IS NOT NULL"));
      break;
    default:  // their keys
      out.push_back(absl::StrCat("UPDATE seats SET id = ", -a, " WHERE id = ", a));
      out.push_back(absl::StrCat("UPDATE seats SET id = ", a, " WHERE id = ", b));
      out.push_back(absl::StrCat("UPDATE seats SET id = ", b, " WHERE id = ", -a));
  }
}

void TransactionMaker::Seats(Statements& out) {
  const int64_t last = kSeats * static_cast<int64_t>(scale_);
  const int64_t id = dice_.Between(1, last);
  const int64_t seat = 10'000'000 + dice_.Between(1, last);
  const int64_t few = dice_.Between(2, 30);
  switch (dice_.Roll(8)) {
    case 0:  // everybody moves up by one seat, in one statement
      out.push_back(absl::StrCat("UPDATE seats SET seat = seat + 1 WHERE seat BETWEEN ", seat,
                                 " AND ", seat + few, " ORDER BY seat DESC"));
      break;
    case 1:
      out.push_back(absl::StrCat("UPDATE seats SET seat = seat - 1 WHERE seat BETWEEN ", seat,
                                 " AND ", seat + few, " ORDER BY seat"));
      break;
    case 2:  // keys move away and back
      out.push_back(absl::StrCat("UPDATE seats SET id = id + ", kMoved, " WHERE id BETWEEN ", id,
                                 " AND ", id + few));
      break;
    case 3:
      out.push_back(absl::StrCat("UPDATE seats SET id = id - ", kMoved, " WHERE id BETWEEN ",
                                 id + kMoved, " AND ", id + kMoved + few));
      break;
    case 4:
      out.push_back(absl::StrCat("DELETE FROM seats WHERE id BETWEEN ", id, " AND ", id + 2));
      out.push_back(absl::StrCat("INSERT IGNORE INTO seats VALUES (", id, ", ", seat,
                                 ", 'again'), (", id + 1, ", ", seat + 1, ", 'again too')"));
      break;
    case 5:
      out.push_back(absl::StrCat("REPLACE INTO seats VALUES (", id, ", ", seat, ", 'replaced')"));
      break;
    default:
      SwapSeats(out);
  }
}

void TransactionMaker::Hot(Statements& out) {
  for (uint64_t i = dice_.Roll(4); i < 4; ++i) {
    out.push_back(absl::StrCat("UPDATE hot SET n = n + 1, at = NOW(6), pad = REPEAT('x', ",
                               dice_.Roll(300), ") WHERE id = ", dice_.Between(1, kHot)));
  }
}

void TransactionMaker::Pairs(Statements& out) {
  static constexpr std::array<absl::string_view, 4> kForms = {"Pair ", "pair ", "PAIR ", "paír "};
  const int64_t a = dice_.Between(0, 49);
  const std::string b = absl::StrCat("'", kForms[dice_.Roll(kForms.size())],
                                     dice_.Between(0, 40 * static_cast<int64_t>(scale_)), "'");
  switch (dice_.Roll(5)) {
    case 0:
      out.push_back(absl::StrCat("REPLACE INTO pairs VALUES (", a, ", ", b, ", ", dice_.Roll(100),
                                 ", 'tag ", dice_.Roll(9), "')"));
      break;
    case 1:  // the same key in other letters
      out.push_back(absl::StrCat("UPDATE pairs SET b = ", b, " WHERE a = ", a, " AND b = ", b));
      break;
    case 2:
      out.push_back(absl::StrCat("UPDATE IGNORE pairs SET a = ", dice_.Between(0, 49),
                                 " WHERE a = ", a, " AND b = ", b));
      break;
    case 3:
      out.push_back(absl::StrCat("DELETE FROM pairs WHERE a = ", a, " AND b = ", b));
      out.push_back(
          absl::StrCat("INSERT IGNORE INTO pairs VALUES (", a, ", UPPER(", b, "), -1, 'é')"));
      break;
    default:
      out.push_back(
          absl::StrCat("UPDATE pairs SET n = n + 1, tag = CONCAT('tag ', n % 9) WHERE a = ", a,
                       " AND n % 5 = ", dice_.Roll(5)));
  }
}

void TransactionMaker::Names(Statements& out) {
  const std::string name = Name();
  switch (dice_.Roll(6)) {
    case 0:  // spelt otherwise
      out.push_back(absl::StrCat("UPDATE names SET name = ", name, " WHERE name = ", name));
      break;
    case 1:
      out.push_back(
          absl::StrCat("UPDATE IGNORE names SET name = ", Name(), " WHERE name = ", name));
      break;
    case 2:
      out.push_back(absl::StrCat("DELETE FROM names WHERE name = ", name));
      out.push_back(absl::StrCat("INSERT IGNORE INTO names VALUES (", name, ", NULL, 0)"));
      break;
    case 3:
      out.push_back(absl::StrCat("REPLACE INTO names VALUES (", name, ", 'other ",
                                 dice_.Between(1, kNames), "', 7)"));
      break;
    case 4:
      out.push_back(absl::StrCat("UPDATE IGNORE names SET other = 'other ",
                                 dice_.Between(1, kNames), "' WHERE name = ", name));
      break;
    default:
      out.push_back(absl::StrCat("UPDATE names SET n = n + 1 WHERE name = ", name));
  }
}

void TransactionMaker::Bins(Statements& out) {
  const std::string key = Bytes();
  switch (dice_.Roll(4)) {
    case 0:
      out.push_back(absl::StrCat("REPLACE INTO bins VALUES (", key,
                                 ", '2020-01-01 00:00:00.125', '", dice_.Roll(1000), "')"));
      break;
    case 1:
      out.push_back(absl::StrCat("UPDATE IGNORE bins SET k = ", Bytes(), " WHERE k = ", key));
      break;
    case 2:
      out.push_back(absl::StrCat("UPDATE IGNORE bins SET d = d + INTERVAL ", dice_.Between(-5, 5),
                                 " SECOND WHERE k = ", key));
      break;
    default:
      out.push_back(absl::StrCat("DELETE FROM bins WHERE k = ", key));
      out.push_back(absl::StrCat("INSERT IGNORE INTO bins VALUES (", key, ", NOW(3), 'again')"));
  }
}

void TransactionMaker::Wide(Statements& out) {
  const int64_t id = dice_.Between(1, kWide * static_cast<int64_t>(scale_));
  constexpr uint64_t kHalf = uint64_t{1} << 63U;
  switch (dice_.Roll(5)) {
    case 0:
      out.push_back(absl::StrCat("UPDATE wide SET body = REPEAT('", dice_.Roll(10), "', ",
                                 dice_.Roll(20'000), ") WHERE id = ", id));
      break;
    case 1:
      out.push_back(absl::StrCat("UPDATE wide SET j = JSON_SET(j, '$.n', ", dice_.Roll(1000),
                                 ", '$.list[1]', '", dice_.Roll(9), "') WHERE id BETWEEN ", id,
                                 " AND ", id + 3));
      break;
    case 2:  // to the other end of the table, or back
      out.push_back(absl::StrCat("UPDATE IGNORE wide SET id = id ^ ", kHalf, " WHERE id IN (", id,
                                 ", ", kHalf + static_cast<uint64_t>(id), ")"));
      break;
    case 3:
      out.push_back(absl::StrCat("DELETE FROM wide WHERE id = ", id));
      break;
    default:
      out.push_back(absl::StrCat("REPLACE INTO wide VALUES (", id, ", JSON_ARRAY(", id,
                                 "), REPEAT('r', ", dice_.Roll(9000), "), ", dice_.Roll(100), ")"));
  }
}

// More than fits into a group of the applier, by rows or by bytes.
void TransactionMaker::Large(Statements& out) {
  switch (dice_.Roll(3)) {
    case 0:
      out.push_back("UPDATE wide SET n = n + 1");
      out.push_back("UPDATE seats SET note = CONCAT('all ', id % 10)");
      break;
    case 1:
      out.push_back(
          "INSERT IGNORE INTO bins SELECT UNHEX(LEFT(SHA2(CONCAT(a.id, '-', b.id), 256), 24)), "
          "'2021-01-01', 'many' FROM seats a JOIN hot b ON b.id <= 6 LIMIT 12000");
      out.push_back("UPDATE bins SET v = 'more' WHERE v = 'many'");
      out.push_back("DELETE FROM bins WHERE v = 'more'");
      break;
    default:
      out.push_back("UPDATE pairs SET n = n + 1");
      out.push_back("UPDATE names SET n = n + 1");
      out.push_back("UPDATE bins SET v = CONCAT('all ', LENGTH(k))");
  }
}

std::vector<std::string> TransactionMaker::Next() {
  Statements statements;
  if (dice_.OneIn(400)) {
    Large(statements);
  }
  for (uint64_t parts = dice_.OneIn(3) ? 1 + dice_.Roll(5) : 1; parts > 0; --parts) {
    switch (dice_.Roll(6)) {
      case 0:
        Hot(statements);
        break;
      case 1:
        Pairs(statements);
        break;
      case 2:
        Names(statements);
        break;
      case 3:
        Bins(statements);
        break;
      case 4:
        Wide(statements);
        break;
      default:
        Seats(statements);
    }
  }
  statements.push_back(dice_.OneIn(30) ? "ROLLBACK" : "COMMIT");
  return statements;
}

}  // namespace sluice::crashloop
