// A clock that stands still until a test moves it.
#pragma once

#include <galley/core/time.hpp>

#include <atomic>
#include <memory>

namespace support {

/// Time that a test moves by hand; starts at 0.
class HandClock {
 public:
  galley::Instant now() const { return {galley::TimePoint(at_->load()), clock()}; }
  void advance(galley::Duration by) { at_->store(at_->load() + by); }
  /// How often it was read.
  int reads() const { return *reads_; }

 private:
  struct State {
    std::shared_ptr<std::atomic<galley::Duration>> at;
    std::shared_ptr<std::atomic<int>> reads;
  };
  galley::Clock clock() const {
    return {[](const void* state) {
              const auto& s = *static_cast<const State*>(state);
              ++*s.reads;
              return galley::TimePoint(s.at->load());
            },
            std::make_shared<const State>(State{at_, reads_})};
  }
  std::shared_ptr<std::atomic<galley::Duration>> at_ =
      std::make_shared<std::atomic<galley::Duration>>(galley::Duration(0));
  std::shared_ptr<std::atomic<int>> reads_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace support
