// Privileges from the text of SHOW GRANTS.

#include "agent/health/privileges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::agent {
namespace {

constexpr int kVersion = 90704;
constexpr const char* kAccount = "'sluice'@'localhost'";

std::vector<std::string> Complete() {
  return {
      "GRANT REPLICATION SLAVE, REPLICATION CLIENT, CREATE USER ON *.* TO `sluice`@`localhost`",
      "GRANT SESSION_VARIABLES_ADMIN,SET_ANY_DEFINER,XA_RECOVER_ADMIN ON *.* TO "
      "`sluice`@`localhost`",
      "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE VIEW, "
      "SHOW VIEW, TRIGGER ON `vt\\_commerce`.* TO `sluice`@`localhost` WITH GRANT OPTION",
      "GRANT ALL PRIVILEGES ON `_sluice`.* TO `sluice`@`localhost`",
      "GRANT SELECT ON `performance_schema`.* TO `sluice`@`localhost`",
  };
}

MissingPrivileges Missing(const std::vector<std::string>& lines) {
  return FindMissingPrivileges(Privileges::Parse(lines), "vt_commerce", kAccount, kVersion);
}

TEST(PrivilegesTest, FindsNothingMissingInTheDocumentedGrants) {
  EXPECT_EQ(Missing(Complete()).text, "");
}

TEST(PrivilegesTest, FindsNothingMissingForTheUsualRoot) {
  EXPECT_EQ(
      Missing({"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, REFERENCES, INDEX, "
               "ALTER, SUPER, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, "
               "CREATE USER, TRIGGER ON *.* TO `root`@`localhost` WITH GRANT OPTION",
               "GRANT SET_ANY_DEFINER,SYSTEM_VARIABLES_ADMIN,XA_RECOVER_ADMIN ON *.* TO "
               "`root`@`localhost` WITH "
               "GRANT OPTION",
               "GRANT PROXY ON ``@`` TO `root`@`localhost` WITH GRANT OPTION"})
          .text,
      "");
}

TEST(PrivilegesTest, NamesExactlyWhatIsMissingWithTheStatementThatGivesIt) {
  auto lines = Complete();
  lines[0] = "GRANT REPLICATION CLIENT, CREATE USER ON *.* TO `sluice`@`localhost`";
  lines[2] =
      "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, SHOW VIEW, "
      "TRIGGER ON `vt\\_commerce`.* TO `sluice`@`localhost` WITH GRANT OPTION";
  const MissingPrivileges missing = Missing(lines);
  EXPECT_EQ(missing.text, "REPLICATION SLAVE on *.*; CREATE VIEW on `vt_commerce`.*");
  ASSERT_EQ(missing.remedies.size(), 2U);
  EXPECT_EQ(missing.remedies[0], "GRANT REPLICATION SLAVE ON *.* TO 'sluice'@'localhost'");
  EXPECT_EQ(missing.remedies[1], "GRANT CREATE VIEW ON `vt_commerce`.* TO 'sluice'@'localhost'");
}

TEST(PrivilegesTest, SeesAMissingGrantOption) {
  auto lines = Complete();
  lines[2] = lines[2].substr(0, lines[2].find(" WITH"));
  const MissingPrivileges missing = Missing(lines);
  EXPECT_EQ(missing.text, "GRANT OPTION on `vt_commerce`.*");
  EXPECT_EQ(missing.remedies.front(),
            "GRANT SELECT ON `vt_commerce`.* TO 'sluice'@'localhost' WITH GRANT OPTION");
}

TEST(PrivilegesTest, SeesEverythingMissingForAnEmptyAccount) {
  const MissingPrivileges missing = Missing({"GRANT USAGE ON *.* TO `sluice`@`localhost`"});
  EXPECT_NE(missing.text.find("REPLICATION SLAVE"), std::string::npos);
  EXPECT_NE(missing.text.find("SESSION_VARIABLES_ADMIN"), std::string::npos);
  EXPECT_NE(missing.text.find("performance_schema"), std::string::npos);
  EXPECT_EQ(missing.remedies.size(), 4U);
}

TEST(PrivilegesTest, IgnoresGrantsOnOtherLevels) {
  const auto privileges = Privileges::Parse({
      "GRANT SELECT ON `vt_commerce`.`t` TO `u`@`h`",
      "GRANT SELECT (`a`), INSERT (`a`) ON `vt_commerce`.* TO `u`@`h`",
      "GRANT EXECUTE ON FUNCTION `vt_commerce`.`f` TO `u`@`h`",
      "GRANT `role`@`%` TO `u`@`h`",
  });
  EXPECT_FALSE(privileges.HasOn("vt_commerce", "SELECT"));
  EXPECT_FALSE(privileges.HasOn("vt_commerce", "INSERT"));
  EXPECT_FALSE(privileges.HasOn("vt_commerce", "EXECUTE"));
}

TEST(PrivilegesTest, TakesPartialRevokesAway) {
  const auto privileges = Privileges::Parse(
      {"GRANT SELECT, INSERT ON *.* TO `u`@`h`", "REVOKE INSERT ON `vt_commerce`.* FROM `u`@`h`"});
  EXPECT_TRUE(privileges.HasOn("vt_commerce", "SELECT"));
  EXPECT_FALSE(privileges.HasOn("vt_commerce", "INSERT"));
  EXPECT_TRUE(privileges.HasOn("vt_customer", "INSERT"));
}

TEST(PrivilegesTest, ReadsPatterns) {
  EXPECT_TRUE(MatchesPattern("vt_commerce", "vt_commerce"));
  EXPECT_TRUE(MatchesPattern("vt_commerce", "vt\\_commerce"));
  EXPECT_TRUE(MatchesPattern("vtXcommerce", "vt_commerce"));
  EXPECT_FALSE(MatchesPattern("vtXcommerce", "vt\\_commerce"));
  EXPECT_TRUE(MatchesPattern("vt_commerce", "vt%"));
  EXPECT_TRUE(MatchesPattern("vt_commerce", "%merce"));
  EXPECT_FALSE(MatchesPattern("vt_commerce", "vt_comm"));
  EXPECT_FALSE(MatchesPattern("vt", "vt_"));
}

TEST(PrivilegesTest, AsksForMoreWhereBlockersAreEndedOrTheServerIsClosed) {
  const Privileges privileges = Privileges::Parse(Complete());
  const auto missing = [&](const GateNeeds& needs) {
    return FindMissingPrivileges(privileges, "vt_commerce", kAccount, kVersion, needs);
  };
  EXPECT_EQ(missing({}).text, "");
  EXPECT_EQ(missing({.kill = true}).text, "PROCESS, CONNECTION_ADMIN on *.*");
  const MissingPrivileges server = missing({.server = true});
  EXPECT_EQ(server.text,
            "SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN, SHOW_ROUTINE, SHOW DATABASES on *.*; "
            "SELECT on `mysql`.*; EVENT on `vt_commerce`.*");
  EXPECT_THAT(server.remedies,
              ::testing::Contains(std::string("GRANT EVENT ON `vt_commerce`.* TO ") + kAccount));
}

TEST(PrivilegesTest, AsksForTheOldNameOnOldServers) {
  const MissingPrivileges missing = FindMissingPrivileges(
      Privileges::Parse({"GRANT USAGE ON *.* TO `u`@`h`"}), "d", kAccount, 80036);
  EXPECT_NE(missing.text.find("SET_USER_ID"), std::string::npos);
  EXPECT_EQ(missing.text.find("SET_ANY_DEFINER"), std::string::npos);
}

}  // namespace
}  // namespace sluice::agent
