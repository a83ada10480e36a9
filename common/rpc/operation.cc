// Operation: a mutex around the start, the end and the cancelling of one aio.

#include "common/rpc/operation.h"

namespace sluice::rpc {

Operation::Operation() {
  nng_aio* aio = nullptr;
  if (nng_aio_alloc(&aio, &Operation::OnDone, this) == 0) {
    aio_.reset(aio);
  }
}

int Operation::Run(absl::Time deadline, absl::FunctionRef<void(nng_aio*)> start) {
  if (aio_ == nullptr) {
    return NNG_ENOMEM;
  }
  const absl::MutexLock lock(&mutex_);
  if (cancelled_) {
    return NNG_ECANCELED;
  }
  done_ = false;
  start(aio_.get());
  if (!mutex_.AwaitWithDeadline(absl::Condition(&done_), deadline)) {
    nng_aio_abort(aio_.get(), NNG_ETIMEDOUT);
    mutex_.Await(absl::Condition(&done_));
  }
  return nng_aio_result(aio_.get());
}

void Operation::Cancel() {
  const absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (aio_ != nullptr) {
    nng_aio_cancel(aio_.get());
  }
}

void Operation::OnDone(void* self) {
  auto* operation = static_cast<Operation*>(self);
  const absl::MutexLock lock(&operation->mutex_);
  operation->done_ = true;
}

}  // namespace sluice::rpc
