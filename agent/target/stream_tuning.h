// Tuned: an agent's values with a workflow's own over them. Pure.

#pragma once

#include "agent/target/stream_task.h"
#include "common/tuning/tuning.h"

namespace sluice::target {

StreamTuning Tuned(StreamTuning values, const stream::Tuning& tuning);

}  // namespace sluice::target
