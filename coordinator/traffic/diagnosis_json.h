// The documents of workflow diagnose and workflow repair (coordinator/README.md). Pure.

#pragma once

#include <string>
#include <vector>

#include "coordinator/traffic/diagnosis.h"
#include "coordinator/traffic/repair_command.h"

namespace sluice::traffic {

// {"workflow","summary","traffic_state","consistent","findings":[{"place","about","state",
// "expected","verdict"}]}
std::string DiagnosisJson(const std::string& workflow, const std::string& traffic_state,
                          const std::vector<Finding>& findings);

// {"workflow","summary","done","repairs":[{"what","irreversible","result"}],"remains":[],
// "refused","consistent","findings":[…]}; `findings` as they are afterwards.
std::string RepairJson(const RepairReport& report, const std::vector<Finding>& findings);

}  // namespace sluice::traffic
