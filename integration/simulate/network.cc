// Network: what becomes of a message.

#include "integration/simulate/network.h"

namespace sluice::simulate {

void Network::Send(const Process& from, Process& to, Transport transport, Action action) {
  ++counts_.messages;
  if (!Joined(from.host(), to.host())) {
    ++counts_.cut_off;
    return;
  }
  const bool here = from.host() == to.host();
  if (!here && random_.Chance(troubles_.lost)) {
    ++counts_.lost;
    return;
  }
  Micros delay = here ? random_.Between(5, 50) : random_.Between(40, 400);
  if (!here && random_.Chance(troubles_.late)) {
    ++counts_.late;
    delay = random_.Between(kMilli, troubles_.late_max);
  }
  if (transport == Transport::kRequests && !here && random_.Chance(troubles_.doubled)) {
    ++counts_.doubled;
    scheduler_.In(random_.Between(delay, troubles_.late_max), action);
  }
  scheduler_.In(delay, std::move(action));
}

void Network::Call(const Request& request, std::function<void(Respond)> handle, Respond done) {
  Process& from = request.from;
  Process& to = request.to;
  const Transport transport = request.transport;
  const uint64_t life = from.life();
  const auto over = std::make_shared<bool>(false);
  const Respond finish = [over, &from, life, done = std::move(done)](Answer answer) {
    if (!from.up() || from.life() != life || *over) {
      return;
    }
    *over = true;
    done(std::move(answer));
  };
  from.Later(request.timeout,
             [finish] { finish({.status = absl::DeadlineExceededError("no answer")}); });
  const Respond respond = [this, &from, &to, transport, finish](Answer answer) {
    Send(to, from, transport, [&from, finish, answer = std::move(answer)] {
      from.Arrive([finish, answer] { finish(answer); });
    });
  };
  Send(from, to, transport, [&to, respond, handle = std::move(handle)] {
    if (!to.up()) {
      respond({.status = absl::UnavailableError("nobody is there")});
      return;
    }
    to.Arrive([handle, respond] { handle(respond); });
  });
}

}  // namespace sluice::simulate
