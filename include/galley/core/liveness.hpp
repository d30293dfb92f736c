// Liveness: which rows' requests are over, each request asked once.
#pragma once

#include <galley/core/context.hpp>
#include <galley/core/status.hpp>

namespace galley::inline v1 {

/// Whether the requests of rows still want an answer, for rows looked at in order: the clock is
/// read once for the rows of a request that follow each other.
///
/// Threads  thread-compatible
class Liveness {
 public:
  /// `ok`, `cancelled` or `deadline_exceeded`.
  Status of(const Context& context) {
    if (&context != seen_) {
      status_ = context.live();
      seen_ = &context;
    }
    return status_;
  }
  /// Forgets what it knows: time has passed.
  void again() noexcept { seen_ = nullptr; }

 private:
  const Context* seen_ = nullptr;
  Status status_ = Status::ok;
};

}  // namespace galley::inline v1
