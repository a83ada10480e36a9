// Clients: what they do.

#include "integration/simulate/clients.h"

#include <utility>

#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

constexpr uint32_t kOutsideHost = 80'000;

bool Writes(OperationKind kind) {
  return kind != OperationKind::kRead && kind != OperationKind::kReadReplica;
}

}  // namespace

Clients::Clients(World& world)
    : world_(world), outside_(world.scheduler, "clients", kOutsideHost) {}

void Clients::Begin() {
  for (uint32_t client = 0; client < world_.setup().clients; ++client) {
    Next(client);
  }
}

void Clients::Next(uint32_t client) {
  Random& random = world_.random;
  const Micros pause = random.OneIn(10) ? random.Between(20 * kMilli, 300 * kMilli)
                                        : random.Between(kMilli, 40 * kMilli);
  outside_.Later(pause, [this, client] {
    if (!stopped_) {
      Run(client);
    }
  });
}

Operation Clients::Draw() {
  Random& random = world_.random;
  Operation operation;
  operation.shard = static_cast<uint32_t>(random.Below(world_.shards()));
  operation.key = static_cast<uint32_t>(random.Below(kKeys));
  operation.token = ++token_;
  const uint64_t die = random.Below(100);
  if (die < 35) {
    operation.kind = OperationKind::kRead;
  } else if (die < 40) {
    operation.kind = OperationKind::kReadReplica;
  } else if (die < 70) {
    operation.kind = OperationKind::kUpdate;
  } else if (die < 80) {
    operation.kind = OperationKind::kTransaction;
    operation.key %= kKeys - 1;
    operation.thinks = world_.faults_on && random.OneIn(25) ? random.Between(kSecond, 6 * kSecond)
                                                            : random.Between(kMilli, 40 * kMilli);
  } else if (die < 92 || orders_.empty()) {
    operation.kind = OperationKind::kInsert;
  } else {
    operation.kind = OperationKind::kDelete;
    operation.shard = orders_.front().shard;
    operation.key = orders_.front().id;
    orders_.pop_front();
  }
  return operation;
}

void Clients::Run(uint32_t client) {
  if (client == 0 && world_.random.OneIn(2)) {
    return RunPast(client);
  }
  Proxy& proxy = *world_.proxies().at(client % world_.proxies().size());
  if (!proxy.process.up()) {
    return Next(client);
  }
  const Operation operation = Draw();
  const uint64_t floor = world_.oracle.Floor(operation.shard, operation.key % kKeys);
  ++busy_;
  proxy.Execute(operation, [this, client, operation, floor](const Reply& result) {
    --busy_;
    Take(operation, floor, result);
    Next(client);
  });
}

void Clients::RunPast(uint32_t client) {
  Operation operation = {.kind = OperationKind::kUpdate,
                         .shard = static_cast<uint32_t>(world_.random.Below(world_.shards())),
                         .key = static_cast<uint32_t>(world_.random.Below(kKeys)),
                         .token = ++token_};
  Mysqld& server = world_.Primary(static_cast<uint32_t>(world_.random.Below(2)), operation.shard);
  ++busy_;
  world_.network.Call(
      {.from = outside_,
       .to = server.process,
       .timeout = 5 * kSecond,
       .transport = Transport::kSession},
      [this, &server, operation](const Respond& respond) {
        Serve(
            server, world_.random, {.operation = operation},
            [this] { return world_.oracle.term(); }, respond);
      },
      [this, client, operation](const Answer& answer) {
        --busy_;
        if (answer.status.ok()) {
          world_.oracle.Acknowledged(operation.shard, operation.token);
        }
        Next(client);
      });
}

void Clients::Take(const Operation& operation, uint64_t floor, const Reply& result) {
  ++world_.counts.operations;
  if (result.kind != Reply::Kind::kOk) {
    ++(result.kind == Reply::Kind::kFailed ? world_.counts.failed : world_.counts.unknown);
    return;
  }
  if (Writes(operation.kind)) {
    world_.oracle.Acknowledged(operation.shard, operation.token);
    if (operation.kind == OperationKind::kInsert) {
      orders_.push_back({operation.shard, static_cast<uint32_t>(result.number)});
    }
  } else if (operation.kind == OperationKind::kRead && !result.may_lag) {
    world_.oracle.Read(*result.server, operation.key, floor,
                       {.version = result.version, .token = result.number});
  }
}

}  // namespace sluice::simulate
