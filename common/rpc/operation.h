// Operation: an asynchronous operation of nng that the thread which starts it waits for.

#pragma once

#include <nng/nng.h>

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/nng_handles.h"

namespace sluice::rpc {

// One operation at a time, run again and again by one thread. Cancel may come from any thread, at
// any time; it is never lost, since an operation is started under the lock under which it is
// cancelled. nng's own time-outs are not used: in 1.5 one may strike the operation after the one
// that it was meant for.
class Operation {
 public:
  Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // Waits for the operation that `start` begins, and returns its error (nng's, 0 for none): at the
  // deadline NNG_ETIMEDOUT, after Cancel NNG_ECANCELED. Either may come too late for an operation
  // that has succeeded.
  int Run(absl::Time deadline, absl::FunctionRef<void(nng_aio*)> start) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the operation, and each later one before it starts.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);

  // What the last operation has produced. Of the thread that ran it.
  [[nodiscard]] size_t bytes() const { return nng_aio_count(aio_.get()); }
  [[nodiscard]] Stream TakeStream() const {
    return Stream(static_cast<nng_stream*>(nng_aio_get_output(aio_.get(), 0)));
  }

 private:
  static void OnDone(void* self);  // on a thread of nng

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  // The last field: freeing it waits for OnDone.
  Aio aio_;
};

}  // namespace sluice::rpc
