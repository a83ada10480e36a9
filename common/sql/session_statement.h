// Statements about the session: SET, USE, SHOW, KILL, transactions. Pure; used by AnalyzeStatement.

#pragma once

#include <vector>

#include "common/sql/statement.h"
#include "common/sql/table_finder.h"

namespace sluice::sql {

// Fills in what the statement says when its first keyword is one of these; false when not.
bool AnalyzeSessionStatement(const std::vector<Token>& tokens, TableFinder& finder, Statement& out);

}  // namespace sluice::sql
